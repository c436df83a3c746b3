"""Listings of services that give a thousand keys a request: page after page, or several pages at a time.

In parallel, what has more than one page is divided along its directories, until there are enough of them. A directory
with more directories than one page shows, such as that of many tags, is not divided: a request for each of them would
take longer than the pages.

Keys are asked for first, directories only where there is a second page of them: SeaweedFS, asked for the directories of
an empty directory, shows this as an object. No order of keys is assumed: SeaweedFS sorts ``/`` before ``-``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

from matou.registry.drivers.object_store import Listing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine

AT_ONCE = 16  # requests
ENOUGH = 64  # directories: what is below them is not divided, or in the end each blob would be asked for apart


class Page(NamedTuple):
    """A page of a listing.

    Attributes:
        listing: what it shows.
        token: by which the next one is asked for; "" for the last.
    """

    listing: Listing
    token: str


class Pages(Protocol):
    """A service that lists keys."""

    def __call__(self, prefix: str, token: str, *, directories: bool) -> Coroutine[None, None, Page]:
        """Return a page.

        Args:
            prefix: as for ``ObjectStore.list``.
            token: of the page before; "" for the first page.
            directories: as for ``ObjectStore.list``.
        """
        ...


async def list_in_turn(pages: Pages, prefix: str, *, directories: bool) -> AsyncGenerator[Listing, None]:
    """Yield the pages of a listing, one after another. See ``ObjectStore.list``."""
    token = ""
    while True:
        page = await pages(prefix, token, directories=directories)
        yield page.listing
        token = page.token
        if not token:
            return


async def list_in_parallel(pages: Pages, prefix: str) -> AsyncGenerator[Listing, None]:
    """Yield all keys with a prefix, without directories, in no order.

    No more is asked for while the caller does not take what came.
    """
    division = _Division(prefix)
    asked: dict[asyncio.Task[Page], _Wanted] = {}
    try:
        while division.wanted or asked:
            while division.wanted and len(asked) < AT_ONCE:
                wanted = division.wanted.popleft()
                page = pages(wanted.prefix, wanted.token, directories=wanted.beginning is not None)
                asked[asyncio.create_task(page)] = wanted
            done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                found = division.take(asked.pop(task), task.result())
                if found.objects:
                    yield found
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


class _Wanted(NamedTuple):
    """A page to ask for.

    Attributes:
        prefix: of the keys.
        token: of the page before; "" for the first page.
        beginning: the first page of all keys, where the directories are asked for; else None.
    """

    prefix: str
    token: str = ""
    beginning: Page | None = None


class _Division:
    """What is still to be asked for.

    Attributes:
        wanted: the pages.
    """

    def __init__(self, prefix: str) -> None:
        self.wanted = deque([_Wanted(prefix)])
        self._directories = 0  # that were found

    def take(self, wanted: _Wanted, page: Page) -> Listing:
        """Take a page; return the objects that it brings."""
        prefix = wanted.prefix
        if wanted.beginning is not None:
            return self._divide(prefix, wanted.beginning, page)
        if page.token and not wanted.token and self._directories < ENOUGH:
            self.wanted.append(_Wanted(prefix, beginning=page))
            return Listing([], [])
        if page.token:
            self.wanted.append(_Wanted(prefix, page.token))
        return page.listing

    def _divide(self, prefix: str, beginning: Page, level: Page) -> Listing:
        if level.token:
            self.wanted.append(_Wanted(prefix, beginning.token))
            return beginning.listing
        self._directories += len(level.listing.directories)
        self.wanted += [_Wanted(f"{prefix}{name}/") for name in level.listing.directories]
        return Listing(level.listing.objects, [])
