"""Small trees of Distribution's layout in drivers of any kind."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from matou.registry.blobs import layout
from matou.registry.content.digest import Digest

if TYPE_CHECKING:
    from matou.registry.drivers.base import Driver

NAME = "team/app"
LAYER = b"layer" * 1000
LARGE = hashlib.shake_256(b"large").digest(9_000_000)


def manifest_of(*layers: bytes) -> bytes:
    """Return a manifest of layers."""
    described = [
        {"mediaType": "application/octet-stream", "digest": Digest.of(layer), "size": len(layer)} for layer in layers
    ]
    document = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described[0],
        "layers": described,
    }
    return json.dumps(document).encode()


def image_objects(name: str, tag: str, *layers: bytes) -> dict[str, bytes]:
    """Return all objects of an image, by path."""
    manifest = manifest_of(*layers)
    digest = Digest.of(manifest)
    objects = {layout.blob_data(Digest.of(content)): content for content in (*layers, manifest)}
    objects |= {layout.layer_link(name, Digest.of(layer)): Digest.of(layer).encode() for layer in layers}
    objects[layout.revision_link(name, digest)] = digest.encode()
    objects[layout.tag_current(name, tag)] = digest.encode()
    objects[layout.tag_index(name, tag, digest)] = digest.encode()
    return objects


def tree_objects() -> dict[str, bytes]:
    """Return the objects of a tree with two images."""
    return image_objects(NAME, "1", LAYER, LARGE) | image_objects("other", "v", LAYER, b"more")


async def fill(driver: Driver, objects: dict[str, bytes]) -> None:
    """Put objects in a storage."""
    for path, content in objects.items():
        await driver.put(path, content)


async def content_of(driver: Driver, below: str = "docker") -> dict[str, bytes]:
    """Return all objects of a storage."""
    return {path: await driver.get(path) async for path, _ in driver.walk(below)}
