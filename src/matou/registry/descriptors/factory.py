"""From ``storage.cache`` to a cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matou.registry.descriptors.base import UnobservedCache
from matou.registry.descriptors.memory import MemoryCache

if TYPE_CHECKING:
    from matou.config.distribution import Configuration
    from matou.registry.descriptors.base import CacheObserver, DescriptorCache
    from matou.registry.drivers.base import Driver


def check_cache(configuration: Configuration) -> None:
    """Try what can be tried without a connection, before workers are started.

    Raises:
        CacheSetupError: a file of ``redis.tls`` cannot be used.
    """
    server = configuration.redis.server
    if configuration.storage.cache.kind == "redis" and server is not None and server.tls is not None:
        from matou.registry.descriptors.redis_client import tls_options  # noqa: PLC0415 -- the library takes a while

        tls_options(server.tls)


def open_cache(
    configuration: Configuration, driver: Driver, observer: CacheObserver | None = None
) -> DescriptorCache | None:
    """Return the cache that the configuration asks for, or None.

    There is none for a local storage, which answers in microseconds.

    Args:
        configuration: of the registry.
        driver: of its storage.
        observer: is told of what the cache does.

    Raises:
        CacheSetupError: a file of ``redis.tls`` cannot be used.
    """
    cache = configuration.storage.cache
    if not driver.shared:
        return None
    observer = observer or UnobservedCache()
    if cache.kind == "inmemory":
        return MemoryCache(cache.blobdescriptorsize, observer)
    server = configuration.redis.server
    if cache.kind == "redis" and server is not None:
        from matou.registry.descriptors.redis_cache import RedisCache  # noqa: PLC0415 -- the library takes a while
        from matou.registry.descriptors.redis_client import open_client  # noqa: PLC0415 -- as above

        return RedisCache(open_client(server), configuration.storage.identity, observer)
    return None
