"""Manifests: parsed and checked, never changed; what is stored is what came in, byte for byte.

Source: OCI Image Specification 1.1, "Image Manifest", "Image Index"; Docker Image Manifest V2, Schema 2.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from matou.registry.content import mediatypes
from matou.registry.content.digest import Digest
from matou.registry.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA_VERSION = 2
MAX_DEPTH = 64  # of nesting; real manifests have about six levels
MAX_DESCRIPTORS = 20_000

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A reference to content."""

    media_type: str
    digest: Digest
    size: int
    urls: tuple[str, ...] = ()
    platform: Mapping[str, Any] | None = None

    @property
    def is_foreign(self) -> bool:
        """Whether the content lies elsewhere and need not be in the registry, though it may be."""
        return bool(self.urls) and self.media_type in mediatypes.FOREIGN_LAYERS


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest says.

    Attributes:
        media_type: of the manifest.
        artifact_type: as the referrers API gives it: ``artifactType``, or else the media type of the config.
        subject: digest of the manifest that it refers to.
        children: the manifests of an index.
    """

    media_type: str
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    children: tuple[Descriptor, ...] = ()
    subject: Digest | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def blob_references(self) -> tuple[Digest, ...]:
        """Digests of the config and the layers, each once: what must not be collected while the manifest is there."""
        return tuple(dict.fromkeys(each.digest for each in self._blobs))

    @property
    def required_blobs(self) -> tuple[Digest, ...]:
        """Those of ``blob_references`` that the repository must hold: layers that lie elsewhere it need not."""
        return tuple(dict.fromkeys(each.digest for each in self._blobs if not each.is_foreign))

    @property
    def _blobs(self) -> tuple[Descriptor, ...]:
        return (*((self.config,) if self.config else ()), *self.layers)

    @property
    def child_references(self) -> tuple[Digest, ...]:
        """Digests of an index's manifests, each once."""
        return tuple(dict.fromkeys(child.digest for child in self.children))


def parse_manifest(content: bytes, content_type: str | None) -> Manifest:
    """Parse and check a manifest.

    Args:
        content: as it came in or as it is stored.
        content_type: the request's ``Content-Type``; None for content that this or another registry has stored, whose
            type is in it or follows from it, and which is not held to what we ask of a push.

    Raises:
        RegistryError: MANIFEST_INVALID; its detail says what is wrong and where.
    """
    document = _load(content, unique_names=content_type is not None)
    media_type = _media_type(document, content_type)
    version = document.get("schemaVersion")
    if type(version) is not int or version != SCHEMA_VERSION:  # neither 2.0 nor true
        raise _invalid("schemaVersion must be 2", "schemaVersion")
    annotations = _annotations(document)
    subject = _descriptor(document["subject"], "subject").digest if document.get("subject") is not None else None
    artifact_type = _text(document, "artifactType", "")
    if media_type in mediatypes.INDEXES:
        _refuse_fields(document, media_type, ("layers", "config", "fsLayers"))
        children = _descriptors(document, "manifests")
        return Manifest(
            media_type,
            children=children,
            subject=subject,
            artifact_type=artifact_type,
            annotations=annotations,
        )
    _refuse_fields(document, media_type, ("manifests", "fsLayers"))
    if "config" not in document:
        raise _invalid("the image manifest has no config", "config")
    config = _descriptor(document["config"], "config")
    return Manifest(
        media_type,
        config=config,
        layers=_descriptors(document, "layers"),
        subject=subject,
        artifact_type=artifact_type or config.media_type,
        annotations=annotations,
    )


def _load(content: bytes, *, unique_names: bool) -> dict[str, Any]:
    if not content:
        raise _invalid("the manifest is empty", "")
    try:
        # Decoded here: given bytes, the parser would take UTF-16 and UTF-32, too (RFC 8259 section 8.1 does not).
        text = content.decode()
        document = json.loads(
            text, object_pairs_hook=_unique if unique_names else None, parse_constant=_refuse_constant
        )
        if _SURROGATE.search(text):
            json.dumps(document, ensure_ascii=False).encode()
    except RecursionError:
        raise _invalid(f"nested more than {MAX_DEPTH} levels deep", "") from None
    except UnicodeEncodeError:
        raise _invalid("a string has half of a surrogate pair, which is no character", "") from None
    except ValueError as error:
        raise _invalid(f"not JSON: {error}", "") from None
    if not isinstance(document, dict):
        raise _invalid("not a JSON object", "")
    _check_depth(document)
    return document


def _check_depth(document: Any) -> None:
    level = [document]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise _invalid(f"nested more than {MAX_DEPTH} levels deep", "")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"the name {name[:100]!r} appears twice in one object")
            seen.add(name)
    return document


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


def _media_type(document: dict[str, Any], content_type: str | None) -> str:
    stated = _text(document, "mediaType", "")
    if content_type is None:
        media_type = stated or _implied_type(document)
    else:
        media_type = content_type.split(";")[0].strip().lower()
        if stated and stated != media_type:
            raise _invalid(f"mediaType is {stated!r}, but Content-Type {media_type!r}", "mediaType")
    if media_type in mediatypes.SCHEMA1 or document.get("schemaVersion") == 1:
        raise _invalid(
            "Docker manifest schema 1 is not supported; push the image again with a current client, which sends "
            "schema 2 (compatibility.schema1.enabled is not available)",
            "schemaVersion",
        )
    if media_type not in mediatypes.MANIFESTS:
        raise _invalid(
            f"unsupported manifest media type {media_type[:100]!r}; expected one of "
            + ", ".join(sorted(mediatypes.MANIFESTS)),
            "mediaType",
        )
    return media_type


def _implied_type(document: dict[str, Any]) -> str:
    # Only OCI lets mediaType be left out.
    return mediatypes.OCI_INDEX if "manifests" in document else mediatypes.OCI_MANIFEST


def _refuse_fields(document: dict[str, Any], media_type: str, names: tuple[str, ...]) -> None:
    for name in names:
        if name in document:
            raise _invalid(f"a manifest of type {media_type} has no {name}", name)


def _descriptors(document: dict[str, Any], name: str) -> tuple[Descriptor, ...]:
    if name not in document and name != "layers":
        raise _invalid(f"the manifest has no {name}", name)
    items = document.get(name)
    if items is None:
        items = []  # null is how Go writes an empty list
    if not isinstance(items, list):
        raise _invalid(f"{name} must be a list", name)
    if len(items) > MAX_DESCRIPTORS:
        raise _invalid(f"{name} has {len(items)} entries; at most {MAX_DESCRIPTORS} are allowed", name)
    return tuple(_descriptor(item, f"{name}[{index}]") for index, item in enumerate(items))


def _descriptor(item: Any, where: str) -> Descriptor:
    if not isinstance(item, dict):
        raise _invalid("must be a descriptor object", where)
    media_type = _text(item, "mediaType", where) or ""
    digest = _text(item, "digest", where)
    if not digest:
        raise _invalid("the descriptor has no digest", f"{where}.digest")
    try:
        parsed = Digest.parse(digest)
    except RegistryError as error:
        raise _invalid(f"{error.detail['reason']}, not {digest[:256]!r}", f"{where}.digest") from None
    size = item.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 1 << 63:
        raise _invalid("size must be a whole number of bytes from 0 up", f"{where}.size")
    urls = item.get("urls") or []
    if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
        raise _invalid("urls must be a list of strings", f"{where}.urls")
    platform = item.get("platform")
    if platform is not None and not isinstance(platform, dict):
        raise _invalid("platform must be an object", f"{where}.platform")
    return Descriptor(media_type, parsed, size, tuple(urls), platform)


def _annotations(document: dict[str, Any]) -> dict[str, str]:
    annotations = document.get("annotations")
    if annotations is None:
        return {}
    if not isinstance(annotations, dict) or not all(isinstance(value, str) for value in annotations.values()):
        raise _invalid("annotations must be an object of strings", "annotations")
    return annotations


def _text(document: dict[str, Any], name: str, where: str) -> str | None:
    value = document.get(name)
    if value is not None and not isinstance(value, str):
        raise _invalid(f"{name} must be a string", f"{where}.{name}" if where else name)
    return value or None


def _invalid(reason: str, where: str) -> RegistryError:
    return RegistryError("MANIFEST_INVALID", detail={"reason": reason, **({"field": where} if where else {})})
