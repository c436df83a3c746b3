"""What clients do with a registry: push blobs as Docker and as simpler clients do, push images.

Source: OCI Distribution 1.1, "Pushing blobs" and "Pushing manifests".
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.client import Connection, target_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.payload import Payload

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
ACCEPT = (
    f"{MANIFEST_TYPE}, application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json"
)
_OCTETS = {"Content-Type": "application/octet-stream"}


def digest_of(content: bytes) -> str:
    """Return the sha256 digest."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True)
class Blob:
    """A small blob in memory."""

    digest: str
    content: bytes

    @classmethod
    def of(cls, content: bytes) -> Blob:
        """Return the blob of these bytes."""
        return cls(digest_of(content), content)


@dataclass(frozen=True)
class Image:
    """An image of one platform."""

    config: Blob
    layers: tuple[Blob, ...]
    manifest: bytes

    @property
    def digest(self) -> str:
        """The manifest's digest."""
        return digest_of(self.manifest)


def render_manifest(config: Blob, layers: tuple[Blob, ...], annotations: dict[str, str] | None = None) -> bytes:
    """Return an OCI image manifest as builders write it."""
    manifest: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "digest": config.digest, "size": len(config.content)},
        "layers": [{"mediaType": LAYER_TYPE, "digest": layer.digest, "size": len(layer.content)} for layer in layers],
    }
    if annotations:
        manifest["annotations"] = annotations
    return json.dumps(manifest, indent=3).encode()


def make_image(random_bytes: Callable[[int], bytes], layers: int, layer_bytes: int) -> Image:
    """Return an image of random contents."""
    blobs = tuple(Blob.of(random_bytes(layer_bytes)) for _ in range(layers))
    document = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/usr/sbin:/usr/bin"], "Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": [blob.digest for blob in blobs]},
        "history": [{"created_by": random_bytes(16).hex()}],
    }
    config = Blob.of(json.dumps(document).encode())
    return Image(config, blobs, render_manifest(config, blobs))


def with_digest(location: str, digest: str) -> str:
    """Return the target that finishes an upload: its ``Location`` and the digest."""
    target = target_of(location)
    return f"{target}{'&' if '?' in target else '?'}digest={digest}"


def _begin(connection: Connection, name: str) -> str:
    return connection.request("POST", f"/v2/{name}/blobs/uploads/").expect(202).headers["location"]


def push_chunked(connection: Connection, name: str, payload: Payload) -> None:
    """Push as Docker does: POST, one PATCH of unsaid length, PUT."""
    location = _begin(connection, name)
    answer = connection.upload_chunked("PATCH", target_of(location), _OCTETS, payload).expect(202)
    connection.request("PUT", with_digest(answer.headers["location"], payload.digest)).expect(201)


def push_monolithic(connection: Connection, name: str, payload: Payload) -> None:
    """Push with POST and one PUT that carries the content and its length."""
    location = _begin(connection, name)
    connection.upload("PUT", with_digest(location, payload.digest), _OCTETS, payload).expect(201)


def push_small_blob(connection: Connection, name: str, blob: Blob) -> None:
    """Push a blob from memory as Docker does: HEAD, POST, PATCH, PUT."""
    if connection.request("HEAD", f"/v2/{name}/blobs/{blob.digest}").expect(200, 404).status == 200:  # noqa: PLR2004 -- HTTP's own number
        return
    location = _begin(connection, name)
    headers = {**_OCTETS, "Transfer-Encoding": "chunked"}
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(blob.content), blob.content)
    answer = connection.request("PATCH", target_of(location), headers, body).expect(202)
    connection.request("PUT", with_digest(answer.headers["location"], blob.digest)).expect(201)


def put_manifest(connection: Connection, name: str, reference: str, manifest: bytes) -> None:
    """Push a manifest under a tag or its digest."""
    connection.request("PUT", f"/v2/{name}/manifests/{reference}", {"Content-Type": MANIFEST_TYPE}, manifest).expect(
        201
    )


def push_image(connection: Connection, name: str, tag: str, image: Image) -> None:
    """Push layers, config and manifest over one connection."""
    for blob in (*image.layers, image.config):
        push_small_blob(connection, name, blob)
    put_manifest(connection, name, tag, image.manifest)
