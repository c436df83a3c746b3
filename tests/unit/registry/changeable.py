"""An index and a storage that are changed as a registry changes them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

from matou.registry.blobs.projector import Projector
from matou.registry.drivers.base import Driver
from matou.registry.index.reader import Reader
from matou.registry.index.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matou.registry.index.records import Projection

D = TypeVar("D", bound=Driver)


class Changeable(Generic[D]):
    """What a worker has for changes; made in a running event loop."""

    def __init__(self, driver: D, index: Path) -> None:
        self.driver = driver
        self.reader = Reader(index)
        self.writer = Writer(index, asyncio.get_running_loop())
        self.projector = Projector(driver, self.reader, self.writer)

    async def change(self, change: Callable[..., list[Projection] | None], *arguments: object) -> None:
        """Change the index, and the storage after it."""
        projections = await self.writer.run(lambda connection: change(connection, *arguments))
        assert projections is not None
        await self.projector.project(projections)

    async def close(self) -> None:
        """Close the index."""
        await self.writer.close()
        self.reader.close()
