"""What a storage tree has, read from the storage itself: slow, for what is done once or in the background."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from matou.registry.blobs import layout
from matou.registry.content.names import MAX_REPOSITORY_NAME

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from matou.registry.drivers.base import Driver

LISTINGS = 32  # directories that are listed at once


class Directory(NamedTuple):
    """A directory of the tree that holds anything of a repository.

    Attributes:
        name: of the repository that it would be.
        parts: what it has of one: ``layout.LAYERS``, ``MANIFESTS``, ``UPLOADS``.
    """

    name: str
    parts: tuple[str, ...]


async def directories(driver: Driver) -> AsyncGenerator[Directory, None]:
    """Yield all directories that hold anything of a repository, in no order.

    Many are listed at once: in object storage each costs a round trip. A caller that may not take all of them closes
    the generator (``contextlib.aclosing``).
    """
    waiting = [""]
    listing: dict[asyncio.Task[list[str]], str] = {}
    try:
        while waiting or listing:
            while waiting and len(listing) < LISTINGS:
                name = waiting.pop()
                listing[asyncio.create_task(driver.list(layout.repository(name) if name else layout.REPOSITORIES))] = (
                    name
                )
            done, _ = await asyncio.wait(listing, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                children = task.result()
                name = listing.pop(task)
                below = [f"{name}/{child}" if name else child for child in children if not child.startswith("_")]
                # Longer ones are no repositories, and symbolic links may go round in circles.
                waiting += [path for path in below if len(path) <= MAX_REPOSITORY_NAME]
                if name and len(below) < len(children):
                    yield Directory(name, tuple(child for child in children if child.startswith("_")))
    finally:
        for task in listing:
            task.cancel()
        await asyncio.gather(*listing, return_exceptions=True)
