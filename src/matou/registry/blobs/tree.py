"""What a storage tree has, read from the storage itself: slow, for what is done once or in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matou.registry.blobs import layout
from matou.registry.content.names import MAX_REPOSITORY_NAME

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from matou.registry.drivers.base import Driver


async def repositories(driver: Driver, below: str = "") -> AsyncIterator[str]:
    """Yield the name of every directory of the tree that holds anything of a repository.

    Args:
        driver: the storage.
        below: name of the directory to begin in; "" for all.
    """
    if len(below) > MAX_REPOSITORY_NAME:
        return  # no repository, and symbolic links may go round in circles
    directory = layout.repository(below) if below else layout.REPOSITORIES
    children = await driver.list(directory)
    if below and any(child.startswith("_") for child in children):
        yield below
    for child in sorted(children):
        if not child.startswith("_"):
            async for name in repositories(driver, f"{below}/{child}" if below else child):
                yield name
