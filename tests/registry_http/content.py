"""Manifests for tests: small, valid, and different every time unless a marker is given."""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
OCI_NONDISTRIBUTABLE = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
SBOM = "application/vnd.example.sbom.v1"
SIGNATURE = "application/vnd.example.signature.v1"
OCTETS = "application/octet-stream"


class Blob(NamedTuple):
    """Content and the digest that it goes by."""

    content: bytes
    digest: str

    def descriptor(self, media_type: str = OCI_LAYER, **members: Any) -> dict[str, Any]:
        """Return what a manifest says of it."""
        return {"mediaType": media_type, "digest": self.digest, "size": len(self.content), **members}


class Document(NamedTuple):
    """A manifest."""

    content: bytes
    digest: str
    media_type: str

    def descriptor(self, **members: Any) -> dict[str, Any]:
        """Return what an index or a subject says of it."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.content), **members}


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def blob(content: bytes | int | None = None, algorithm: str = "sha256") -> Blob:
    """Return a blob of that content, of so many random bytes, or of a few."""
    if not isinstance(content, bytes):
        content = secrets.token_bytes(100 if content is None else content)
    return Blob(content, digest_of(content, algorithm))


def document(body: Mapping[str, Any], media_type: str = OCI_MANIFEST, algorithm: str = "sha256") -> Document:
    """Return a manifest with exactly those members."""
    content = json.dumps(body, indent=1).encode()
    return Document(content, digest_of(content, algorithm), media_type)


def image(
    config: Mapping[str, Any],
    layers: Sequence[Mapping[str, Any]] | None = (),
    media_type: str = OCI_MANIFEST,
    algorithm: str = "sha256",
    **members: Any,
) -> Document:
    """Return an image manifest."""
    body = {"schemaVersion": 2, "mediaType": media_type, "config": dict(config), "layers": layers, **members}
    if layers is not None:
        body["layers"] = [dict(layer) for layer in layers]
    return document(body, media_type, algorithm)


def index(
    manifests: Sequence[Mapping[str, Any]], media_type: str = OCI_INDEX, algorithm: str = "sha256", **members: Any
) -> Document:
    """Return an index or manifest list."""
    body = {"schemaVersion": 2, "mediaType": media_type, "manifests": [dict(each) for each in manifests], **members}
    return document(body, media_type, algorithm)
