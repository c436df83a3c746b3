"""A storage driver that counts what another one does and how long that takes.

Source: Distribution ``registry_storage_action_seconds``.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from matou.registry.drivers.streams import closing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from matou.registry.drivers.base import ContentWriter, Driver, Stat, UploadWriter
    from matou.registry.drivers.unread import Unread
    from matou.registry.observe.storage_figures import StorageFigures

T = TypeVar("T")


class MeasuredDriver:
    """See ``Driver`` for what its methods do.

    Args:
        driver: does the work.
        figures: get to know of it.
    """

    def __init__(self, driver: Driver, figures: StorageFigures) -> None:
        self.name = driver.name
        self.shared = driver.shared
        self._driver = driver
        self._figures = figures

    async def get(self, path: str) -> bytes:
        """Count ``GetContent``."""
        return await self._timed("GetContent", self._driver.get(path))

    async def put(self, path: str, content: bytes, *, durable: bool = True) -> None:
        """Count ``PutContent``."""
        await self._timed("PutContent", self._driver.put(path, content, durable=durable))

    async def flush(self) -> None:
        """Count ``Flush``."""
        await self._timed("Flush", self._driver.flush())

    async def stat(self, path: str) -> Stat:
        """Count ``Stat``."""
        return await self._timed("Stat", self._driver.stat(path))

    async def read(self, path: str, start: int, length: int) -> AsyncIterator[bytes]:
        """Count ``Reader``: until the first bytes are there."""
        async with closing(self._first_timed("Reader", self._driver.read(path, start, length))) as pieces:
            async for piece in pieces:
                yield piece

    async def relay(self, path: str, start: int, length: int) -> AsyncIterator[bytes | Unread]:
        """Count ``Reader``: until the first bytes are there."""
        async with closing(self._first_timed("Reader", self._driver.relay(path, start, length))) as pieces:
            async for piece in pieces:
                yield piece

    def local_path(self, path: str) -> str | None:
        """Count nothing: the kernel reads the file."""
        return self._driver.local_path(path)

    async def url(self, path: str, method: str, seconds: float) -> str | None:
        """Count ``URLFor``."""
        return await self._timed("URLFor", self._driver.url(path, method, seconds))

    async def list(self, path: str) -> list[str]:
        """Count ``List``."""
        return await self._timed("List", self._driver.list(path))

    async def walk(self, path: str) -> AsyncIterator[tuple[str, Stat]]:
        """Count ``Walk``: until the first content is there."""
        async with closing(self._first_timed("Walk", self._driver.walk(path))) as items:
            async for item in items:
                yield item

    async def delete(self, path: str) -> None:
        """Count ``Delete``."""
        await self._timed("Delete", self._driver.delete(path))

    async def upload_begin(self, path: str) -> None:
        """Count ``Begin``."""
        await self._timed("Begin", self._driver.upload_begin(path))

    async def upload_open(self, path: str, offset: int) -> UploadWriter:
        """Count ``Writer``."""
        return await self._timed("Writer", self._driver.upload_open(path, offset))

    async def upload_size(self, path: str) -> int:
        """Count ``Size``."""
        return await self._timed("Size", self._driver.upload_size(path))

    async def upload_read(self, path: str, size: int) -> AsyncIterator[bytes]:
        """Count ``Reader``: until the first bytes are there."""
        async with closing(self._first_timed("Reader", self._driver.upload_read(path, size))) as pieces:
            async for piece in pieces:
                yield piece

    async def upload_commit(self, path: str, size: int, destination: str) -> None:
        """Count ``Move``."""
        await self._timed("Move", self._driver.upload_commit(path, size, destination))

    async def content_open(self, path: str) -> ContentWriter:
        """Count ``Writer``."""
        return await self._timed("Writer", self._driver.content_open(path))

    async def copy_from(self, source: Driver, path: str, size: int) -> bool:
        """Count ``Copy``."""
        return await self._timed("Copy", self._driver.copy_from(source, path, size))

    async def sweep(self, age: float) -> int:
        """Count ``Sweep``."""
        return await self._timed("Sweep", self._driver.sweep(age))

    async def close(self) -> None:
        """Close the driver."""
        await self._driver.close()

    async def _first_timed(self, action: str, items: AsyncIterator[T]) -> AsyncIterator[T]:
        async with closing(items):
            try:
                yield await self._timed(action, anext(items))
            except StopAsyncIteration:
                return
            async for item in items:
                yield item

    async def _timed(self, action: str, work: Awaitable[T]) -> T:
        started = time.perf_counter()
        try:
            return await work
        finally:
            self._figures.count(action, time.perf_counter() - started)
