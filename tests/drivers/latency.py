"""Storage that is far away, without waiting for it: time passes only where the event loop would sleep."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any

from tests.drivers.memory_store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Sequence

    from matou.registry.drivers.object_store import Listing, Segment, StoredObject

LATENCY = 0.03  # seconds


class _Clock(selectors.DefaultSelector):
    """A selector that does not wait, but adds up how long it would have."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout:
            self.now += timeout
        return super().select(0 if timeout is not None else None)


def seconds_of(work: Coroutine[Any, Any, object]) -> float:
    """Run what uses no threads, and return how long it would have taken if only sleeping took time."""
    clock = _Clock()
    loop = asyncio.SelectorEventLoop(clock)
    loop.time = lambda: clock.now  # type: ignore[method-assign]  # the loop's clock is meant to be replaced
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(work)
    return clock.now


class DistantStore(MemoryStore):
    """Objects behind a network on which every request takes ``LATENCY``.

    Attributes:
        most: requests that were under way at once.
    """

    def __init__(self, size: int = 1 << 20, page: int = 1000) -> None:
        super().__init__(size, page=page)
        self.most = 0
        self._under_way = 0

    async def _travel(self) -> None:
        self._under_way += 1
        self.most = max(self.most, self._under_way)
        try:
            await asyncio.sleep(LATENCY)
        finally:
            self._under_way -= 1

    async def get(self, key: str) -> bytes:
        await self._travel()
        return await super().get(key)

    async def put(self, key: str, chunks: Sequence[bytes]) -> None:
        await self._travel()
        await super().put(key, chunks)

    async def head(self, key: str) -> StoredObject:
        await self._travel()
        return await super().head(key)

    async def list(self, prefix: str, *, directories: bool) -> AsyncIterator[Listing]:
        await self._travel()
        async for page in super().list(prefix, directories=directories):
            yield page
            await self._travel()

    async def delete(self, keys: Sequence[str]) -> None:
        await self._travel()
        await super().delete(keys)

    async def assemble(self, segments: Sequence[Segment], key: str) -> None:
        await self._travel()
        await super().assemble(segments, key)
