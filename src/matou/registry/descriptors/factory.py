"""From ``storage.cache`` to a cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matou.registry.descriptors.base import UnobservedCache
from matou.registry.descriptors.memory import MemoryCache

if TYPE_CHECKING:
    from matou.config.distribution import Configuration
    from matou.registry.descriptors.base import CacheObserver, DescriptorCache
    from matou.registry.drivers.base import Driver


def open_cache(
    configuration: Configuration, driver: Driver, observer: CacheObserver | None = None
) -> DescriptorCache | None:
    """Return the cache that the configuration asks for, or None.

    There is none for a local storage, which answers in microseconds.

    Args:
        configuration: of the registry.
        driver: of its storage.
        observer: is told of what the cache does.
    """
    cache = configuration.storage.cache
    if not driver.shared:
        return None
    if cache.kind == "inmemory":
        return MemoryCache(cache.blobdescriptorsize, observer or UnobservedCache())
    return None
