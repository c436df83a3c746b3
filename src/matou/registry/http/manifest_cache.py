"""Manifests ready to be served, by request path, for as long as nobody changes the index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matou.registry.http.manifests import prepare

if TYPE_CHECKING:
    from matou.registry.http.manifests import PreparedManifest
    from matou.registry.http.message import Headers
    from matou.registry.index.reader import Reader
    from matou.registry.index.records import StoredManifest

LIMIT = 32 << 20  # bytes of manifests that a worker keeps
OVERHEAD = 2048  # bytes, about, that an entry takes beside its body


class ManifestCache:
    """A worker's cache. Every lookup asks the index whether any process has changed it.

    Args:
        reader: of the index.
        common: headers of every answer.
    """

    def __init__(self, reader: Reader, common: Headers) -> None:
        self._reader = reader
        self._common = common
        self._version = -1
        self._by_path: dict[str, PreparedManifest] = {}
        self._size = 0

    def lookup(self, path: str) -> PreparedManifest | None:
        """Return what a path serves, or None when the index has to be asked."""
        version = self._reader.version()
        if version != self._version:
            self._version = version
            self._by_path.clear()
            self._size = 0
            return None
        return self._by_path.get(path)

    def remember(self, path: str, repository: str, stored: StoredManifest) -> None:
        """Keep what was read after the last lookup and without giving up control in between."""
        size = len(stored.payload) + OVERHEAD
        if size > LIMIT // 8:
            return
        if self._size + size > LIMIT:
            self._by_path.clear()
            self._size = 0
        self._by_path[path] = prepare(repository, stored, self._common)
        self._size += size
