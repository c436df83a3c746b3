"""Content written straight into storage, as a tree of Distribution's layout, for lists that would take long to push.

Source: ``registry/storage/paths.go`` of Distribution. Written apart from Matou's own code, which is under test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.registry_calls import Blob, render_manifest

if TYPE_CHECKING:
    from pathlib import Path

TAGS_A_MANIFEST = 100


def tag_name(number: int) -> str:
    """Return the name of a tag; names sort as their numbers."""
    return f"build-{number:07d}"


def repository_name(number: int) -> str:
    """Return the name of a repository; names sort as their numbers."""
    return f"group-{number // 100:05d}/project-{number:07d}"


class TreeWriter:
    """Writes blobs, manifests, tags and repositories below ``root``."""

    def __init__(self, root: Path) -> None:
        self._v2 = root / "docker/registry/v2"
        self._config = Blob.of(b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}')
        self._layer = Blob.of(b"layer")
        for blob in (self._config, self._layer):
            self._blob(blob)

    def repository(self, name: str, tags: int) -> None:
        """Write a repository with so many tags, of which a hundred each share a manifest."""
        repository = self._v2 / "repositories" / name
        for blob in (self._config, self._layer):
            _link(repository / "_layers", blob.digest)
        for first in range(0, tags, TAGS_A_MANIFEST):
            manifest = Blob.of(render_manifest(self._config, (self._layer,), {"build": str(first)}))
            self._blob(manifest)
            _link(repository / "_manifests/revisions", manifest.digest)
            for number in range(first, min(first + TAGS_A_MANIFEST, tags)):
                tag = repository / "_manifests/tags" / tag_name(number)
                _link(tag / "index", manifest.digest)
                current = tag / "current"
                current.mkdir()
                (current / "link").write_text(manifest.digest)

    def _blob(self, blob: Blob) -> None:
        algorithm, _, hexadecimal = blob.digest.partition(":")
        directory = self._v2 / "blobs" / algorithm / hexadecimal[:2] / hexadecimal
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "data").write_bytes(blob.content)


def _link(parent: Path, digest: str) -> None:
    directory = parent / digest.replace(":", "/")
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "link").write_text(digest)
