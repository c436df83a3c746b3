"""A listing of many keys in parallel: a service gives a thousand keys a request, one request after the other.

What lies below a prefix is divided along its directories, until there are enough of them. A prefix with more
directories than one page shows is not divided: a request for each would take longer than the pages.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Protocol

from matou.registry.drivers.object_store import Listing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from matou.registry.drivers.object_store import StoredObject

AT_ONCE = 16  # listings
ENOUGH = 64  # directories: they are not divided any further
WAITING = 4  # pages that the caller has not taken yet


class Lister(Protocol):
    """``ObjectStore.list``."""

    def __call__(self, prefix: str, *, directories: bool) -> AsyncIterator[Listing]:
        """Yield the pages of a listing."""
        ...


async def list_in_parallel(listing: Lister, prefix: str) -> AsyncGenerator[Listing, None]:
    """Yield all keys with a prefix, without directories, in no order.

    Args:
        listing: lists one prefix.
        prefix: ``""``, or ends with a slash.
    """
    division = _Division(listing)
    producing = asyncio.create_task(division.run(prefix))
    producing.add_done_callback(lambda _: division.pages.put_nowait(None))
    try:
        while (page := await division.pages.get()) is not None:
            division.places.release()
            yield page
        await producing
    finally:
        producing.cancel()
        await asyncio.gather(producing, return_exceptions=True)


class _Division:
    """Divides a prefix and puts its pages into a queue.

    Attributes:
        pages: that were listed; None is the end.
        places: for pages that wait; one is given back for each that was taken.
    """

    def __init__(self, listing: Lister) -> None:
        self.pages: asyncio.Queue[Listing | None] = asyncio.Queue()
        self.places = asyncio.Semaphore(WAITING)
        self._listing = listing
        self._room = asyncio.Semaphore(AT_ONCE)
        self._directories = 0  # that were found

    async def run(self, prefix: str) -> None:
        """List a prefix and what lies below it."""
        try:
            async with asyncio.TaskGroup() as group:
                await self._below(prefix, group)
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _below(self, prefix: str, group: asyncio.TaskGroup) -> None:
        async with self._room:
            page = await self._only_page(prefix) if self._directories < ENOUGH else None
            if page is None:
                async for full in self._listing(prefix, directories=False):
                    await self._put(full.objects)
                return
        await self._put(page.objects)
        self._directories += len(page.directories)
        for name in page.directories:
            group.create_task(self._below(f"{prefix}{name}/", group))

    async def _put(self, objects: list[StoredObject]) -> None:
        if objects:
            await self.places.acquire()
            self.pages.put_nowait(Listing(objects, []))

    async def _only_page(self, prefix: str) -> Listing | None:
        """Return what lies directly below a prefix, if one page shows it."""
        found: Listing | None = None
        async with contextlib.aclosing(self._level(prefix)) as pages:
            async for page in pages:
                if found is not None:
                    return None
                found = page
        return found or Listing([], [])

    async def _level(self, prefix: str) -> AsyncGenerator[Listing, None]:
        async for page in self._listing(prefix, directories=True):
            yield page
