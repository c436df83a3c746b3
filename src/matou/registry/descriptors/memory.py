"""The cache in the memory of a worker: ``storage.cache.blobdescriptor: inmemory``.

Concurrency: plain dictionary operations on the event loop. Each worker has its own.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from matou.registry.descriptors.base import LIFETIME

if TYPE_CHECKING:
    from collections.abc import Callable

    from matou.registry.content.digest import Digest
    from matou.registry.descriptors.base import CacheObserver


class MemoryCache:
    """Keeps what was asked for last.

    Args:
        capacity: most entries; 0 for no limit.
        observer: is told of hits and misses.
        clock: returns seconds.
    """

    def __init__(self, capacity: int, observer: CacheObserver, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = capacity
        self._observer = observer
        self._clock = clock
        self._known: OrderedDict[Digest, tuple[int, float]] = OrderedDict()  # size, and until when that is good

    async def size_of(self, digest: Digest) -> int | None:
        """See ``DescriptorCache.size_of``."""
        found = self._known.get(digest)
        if found is not None and self._clock() >= found[1]:
            del self._known[digest]
            found = None
        if found is None:
            self._observer.missed()
            return None
        self._known.move_to_end(digest)
        self._observer.hit()
        return found[0]

    async def remember(self, digest: Digest, size: int) -> None:
        """See ``DescriptorCache.remember``."""
        self._known[digest] = size, self._clock() + LIFETIME
        self._known.move_to_end(digest)
        if self._capacity and len(self._known) > self._capacity:
            self._known.popitem(last=False)

    async def forget(self, digest: Digest) -> None:
        """See ``DescriptorCache.forget``."""
        self._known.pop(digest, None)

    async def close(self) -> None:
        """See ``DescriptorCache.close``."""
