"""A stream cut into segments of object storage.

Concurrency: segments are stored by tasks on the event loop, a few at a time, while the next one is filled. Each is in
memory until it is stored, so that its request can be repeated.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from matou.registry.drivers.object_store import Segment

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from matou.registry.drivers.object_store import SegmentRules


class SegmentBuffer:
    """Cuts a stream into segments and stores them, a few at a time.

    Args:
        rules: how the stream is cut.
        put: stores a segment under a key.
        prefix: of their keys.
        offset: of the first byte in the whole.
    """

    def __init__(
        self, rules: SegmentRules, put: Callable[[str, Sequence[bytes]], Awaitable[None]], prefix: str, offset: int
    ) -> None:
        self._rules = rules
        self._store = put
        self._prefix = prefix
        self._writer = secrets.token_hex(8)
        self._chunks: list[bytes] = []
        self._buffered = 0
        self._offset = offset  # of the first byte that is buffered
        self._storing: list[asyncio.Task[None]] = []
        self._failure: BaseException | None = None  # of a segment
        self.segments: list[Segment] = []  # in order, stored or being stored
        self.stored: set[str] = set()

    @property
    def size(self) -> int:
        """Bytes of the whole, up to the last that was written."""
        return self._offset + self._buffered

    async def write(self, chunks: Sequence[bytes]) -> None:
        """Append.

        Raises:
            StorageError: a segment could not be stored; it is raised by ``finish``, too.
        """
        for chunk in chunks:
            self._chunks.append(chunk)
            self._buffered += len(chunk)
            if self._buffered >= self._rules.size_at(self._offset):
                await self._store_segment()

    def take(self) -> list[bytes]:
        """Return what is buffered, of which nothing is stored yet, and forget it."""
        chunks, self._chunks, self._buffered = self._chunks, [], 0
        return chunks

    async def _store_segment(self) -> None:
        await self._settle(self._rules.in_flight - 1)
        key = f"{self._prefix}data.{self._offset:016d}-{self._writer}"
        self.segments.append(Segment(key, self._buffered))
        self._offset += self._buffered
        self._storing.append(asyncio.create_task(self._put(key, self.take())))

    async def _put(self, key: str, chunks: list[bytes]) -> None:
        await self._store(key, chunks)
        self.stored.add(key)

    async def _settle(self, most: int) -> None:
        """Wait until at most so many segments are being stored."""
        while len(self._storing) > most:
            done, _ = await asyncio.wait(self._storing, return_when=asyncio.FIRST_COMPLETED)
            self._storing = [task for task in self._storing if task not in done]
            for task in done:
                failure = task.exception()  # asked of each, or the event loop complains of those that nobody asked
                self._failure = self._failure or failure
        if self._failure is not None:
            raise self._failure

    async def finish(self) -> None:
        """Store what is left, and wait until all is stored.

        Raises:
            StorageError: a segment could not be stored; the others have come to an end all the same.
        """
        try:
            if self._buffered:
                await self._store_segment()
            await self._settle(0)
        finally:
            await self.abandon()

    async def abandon(self) -> None:
        """Forget what is buffered and wait for what is being stored."""
        self.take()
        storing, self._storing = self._storing, []
        await asyncio.gather(*storing, return_exceptions=True)
