"""Whether storage has a blob.

Source: Distribution's ``BlobStatter`` and the cache in front of it; unlike there, what a push relies on is never
answered from the cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from matou.registry.blobs import layout
from matou.registry.drivers.base import NotFound

if TYPE_CHECKING:
    from matou.registry.content.digest import Digest
    from matou.registry.descriptors.base import DescriptorCache
    from matou.registry.drivers.base import Driver


class BlobStatter:
    """Asks storage, and remembers what it said.

    Args:
        driver: of the storage.
        cache: None for none.
    """

    def __init__(self, driver: Driver, cache: DescriptorCache | None = None) -> None:
        self._driver = driver
        self._cache = cache

    async def has(self, digest: Digest, size: int) -> bool:
        """Tell whether storage has a blob of so many bytes now.

        Raises:
            StorageError: it cannot be asked.
        """
        try:
            found = (await self._driver.stat(layout.blob_data(digest))).size == size
        except NotFound:
            found = False
        if found:
            await self.stored(digest, size)
        else:
            await self.lost(digest)
        return found

    async def had_lately(self, digest: Digest, size: int) -> bool:
        """Tell whether storage has a blob of so many bytes, or had it within the last hour.

        Raises:
            StorageError: it cannot be asked.
        """
        if self._cache is not None and await self._cache.size_of(digest) == size:
            return True
        return await self.has(digest, size)

    async def stored(self, digest: Digest, size: int) -> None:
        """Note that storage has a blob: it has just been put there."""
        if self._cache is not None:
            await self._cache.remember(digest, size)

    async def lost(self, digest: Digest) -> None:
        """Note that storage lacks a blob, because it was deleted or because it turned out so."""
        if self._cache is not None:
            await self._cache.forget(digest)
