"""Images made from scratch, as OCI layouts: no network, no other image.

Source: OCI Image Format Specification 1.1, image-layout.md.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
PLATFORMS: tuple[dict[str, str], ...] = (
    {"architecture": "amd64", "os": "linux"},
    {"architecture": "arm64", "os": "linux", "variant": "v8"},
)


def sha256(content: bytes) -> str:
    """Return the digest of content."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def tree(files: dict[str, bytes]) -> bytes:
    """Return a tar of files, the same bytes every time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o755
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def write_layout(root: Path, name: str, marker: str) -> str:
    """Write a layout with one index of two platforms.

    Args:
        root: directory, made here.
        name: of the index in the layout.
        marker: content of a file of the image, to tell images apart.

    Returns:
        The digest of the index.
    """
    blobs = root / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(content: bytes, media_type: str) -> dict[str, Any]:
        digest = sha256(content)
        (blobs / digest.partition(":")[2]).write_bytes(content)
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    manifests = []
    for platform in PLATFORMS:
        archive = tree({"marker": f"{marker} {platform['architecture']}\n".encode() * 100})
        layer = put(gzip.compress(archive, mtime=0), LAYER)
        rootfs = {"type": "layers", "diff_ids": [sha256(archive)]}
        config = put(json.dumps(platform | {"config": {"Cmd": ["/marker"]}, "rootfs": rootfs}).encode(), CONFIG)
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}
        manifests.append(put(json.dumps(manifest).encode(), MANIFEST) | {"platform": platform})
    index = put(json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).encode(), INDEX)
    reference = index | {"annotations": {"org.opencontainers.image.ref.name": name}}
    (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [reference]}))
    return str(index["digest"])
