"""Many things at once, but not too many: for work that waits for storage."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable

K = TypeVar("K")
S = TypeVar("S")
T = TypeVar("T")


async def for_each(items: AsyncGenerator[S, None], work: Callable[[S], Awaitable[object]], limit: int) -> None:
    """Do the work for every item, for a few of them at a time.

    Args:
        items: asked for the next one when there is room for it; closed at the end.
        work: is done for each. When one fails the others are cancelled.
        limit: of items at a time.

    Raises:
        Exception: the first of ``work`` or of ``items``.
    """
    room = asyncio.Semaphore(limit)

    async def one(item: S) -> None:
        try:
            await work(item)
        finally:
            room.release()

    try:
        async with contextlib.aclosing(items), asyncio.TaskGroup() as group:
            async for item in items:
                await room.acquire()
                group.create_task(one(item))
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def results(items: Iterable[S], work: Callable[[S], Awaitable[T]]) -> list[T]:
    """Do the work for all items at once and return what it returns, in order.

    Args:
        items: few enough for a task each.
        work: is done for each. When one fails the others are cancelled.

    Raises:
        Exception: the first of ``work``.
    """

    async def one(item: S) -> T:
        return await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(item)) for item in items]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def each(items: Iterable[S]) -> AsyncGenerator[S, None]:
    """Yield what is there already, for ``for_each``."""
    for item in items:
        yield item


class Once(Generic[K, T]):
    """Answers that are found out once, however many ask at the same time.

    Attributes:
        known: what was found out.

    Args:
        find: finds the answer for a key. When it fails, whoever asked hears of it, and the next one tries again.
    """

    def __init__(self, find: Callable[[K], Awaitable[T]]) -> None:
        self.known: dict[K, T] = {}
        self._find = find
        self._finding: dict[K, asyncio.Event] = {}

    async def get(self, key: K) -> T:
        """Return the answer for a key."""
        while key not in self.known:
            found = self._finding.get(key)
            if found is not None:
                await found.wait()
                continue
            self._finding[key] = found = asyncio.Event()
            try:
                self.known[key] = await self._find(key)
            finally:
                del self._finding[key]
                found.set()
        return self.known[key]
