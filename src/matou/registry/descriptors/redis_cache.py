"""The cache in Redis, which all workers and replicas share: ``storage.cache.blobdescriptor: redis``.

Keys are ``matou:blob:<storage>:<digest>`` with the size as text. Distribution's keys (``blobs::<digest>``) are not
used: they say neither how old they are nor which storage they speak of, so what is promised of entries could not be
kept.

Concurrency: commands on the event loop. When Redis fails it is left alone for a while, so that its failing costs a
worker one wait now and then, not one a request.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from typing import TYPE_CHECKING, Any

from redis.exceptions import AuthenticationError, ResponseError

from matou.registry.descriptors.base import LIFETIME
from matou.registry.descriptors.redis_client import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from matou.registry.content.digest import Digest
    from matou.registry.descriptors.base import CacheObserver
    from matou.registry.descriptors.redis_client import RedisClient

log = logging.getLogger("matou.registry")

REST = 10.0  # seconds for which Redis is not asked after it failed


class RedisCache:
    """Keeps entries in Redis.

    Args:
        client: of Redis.
        storage: what tells the storage from others; see ``Storage.identity``.
        observer: is told of hits, misses and failures.
        patience: seconds that a command may take.
        clock: returns seconds.
    """

    def __init__(
        self,
        client: RedisClient,
        storage: Sequence[str],
        observer: CacheObserver,
        *,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._prefix = f"matou:blob:{hashlib.sha256(json.dumps(list(storage)).encode()).hexdigest()[:16]}:"
        self._observer = observer
        self._patience = patience
        self._clock = clock
        self._rests_until = 0.0
        self._is_failing = False

    async def size_of(self, digest: Digest) -> int | None:
        """See ``DescriptorCache.size_of``."""
        found = await self._command("Stat", self._client.get, f"{self._prefix}{digest}")
        if isinstance(found, bytes) and found.isdigit():
            self._observer.hit()
            return int(found)
        self._observer.missed()
        return None

    async def remember(self, digest: Digest, size: int) -> None:
        """See ``DescriptorCache.remember``."""
        await self._command("SetDescriptor", self._client.set, f"{self._prefix}{digest}", str(size), ex=int(LIFETIME))

    async def forget(self, digest: Digest) -> None:
        """See ``DescriptorCache.forget``."""
        await self._command("Clear", self._client.delete, f"{self._prefix}{digest}")

    async def _command(
        self, operation: str, command: Callable[..., Awaitable[Any]], *arguments: str, **options: int
    ) -> Any:
        """Return what Redis answers, or None when it fails or rests."""
        if self._clock() < self._rests_until:
            return None
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._patience):
                answer = await command(*arguments, **options)
        except Exception as error:  # noqa: BLE001 -- whatever is wrong with a cache, pulls go on
            self._failed(error)
            return None
        finally:
            self._observer.took(operation, time.perf_counter() - started)
        if self._is_failing:
            self._is_failing = False
            log.info("the blob-descriptor cache in Redis answers again")
        return answer

    def _failed(self, error: Exception) -> None:
        self._observer.failed()
        self._rests_until = self._clock() + REST
        if not self._is_failing:
            self._is_failing = True
            reason = f"no answer within {self._patience:g} s" if isinstance(error, TimeoutError) else str(error)
            if isinstance(error, AuthenticationError | ResponseError):  # it answers, so something about us is wrong
                reason = f"{str(error).rstrip('.')}; correct the section redis of the configuration"
            log.warning("the blob-descriptor cache in Redis fails: %s; storage is asked meanwhile", reason)

    async def close(self) -> None:
        """See ``DescriptorCache.close``."""
        try:
            await self._client.aclose()
        except Exception as error:  # noqa: BLE001 -- as above
            log.debug("closing the connections to Redis: %s", error)
