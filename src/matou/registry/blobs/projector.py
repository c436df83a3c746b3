"""Brings the link files of the storage tree in line with the index.

The index decides what a tag names and what a repository holds; the links are what Distribution would read. After a
change, its projector writes or deletes the links and reads the index again: where another request has changed it
meanwhile, it goes round once more, so whoever writes last writes what the index says.

Dirty marks in the index, made by the change's own transaction, name what may not be durable in storage yet. They are
deleted after a flush; those that a killed process left are projected at the next start, or by another worker.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from matou.registry.blobs import layout
from matou.registry.content.digest import Digest
from matou.registry.index import changes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matou.registry.drivers.base import Driver
    from matou.registry.index.reader import Reader
    from matou.registry.index.records import Projection
    from matou.registry.index.writer import Writer

BATCH = 500  # dirty marks recovered at a time


class Links:
    """Writes and deletes link files as the index has it.

    Args:
        driver: the storage.
        reader: of the index.
    """

    def __init__(self, driver: Driver, reader: Reader) -> None:
        self._driver = driver
        self._reader = reader

    async def write(self, projection: Projection) -> None:
        """Bring the links of one pointer up to date.

        Raises:
            StorageError: storage cannot be written.
        """
        if projection.kind == "tag":
            await self._write_tag(projection.repository, projection.name)
        else:
            await self._write_link(projection)

    async def _write_tag(self, repository: str, tag: str) -> None:
        digest = self._reader.tag_digest(repository, tag)
        while True:
            if digest is None:
                await self._driver.delete(layout.tag_directory(repository, tag))
            else:
                link = digest.encode()
                await asyncio.gather(
                    self._driver.put(layout.tag_current(repository, tag), link, durable=False),
                    self._driver.put(layout.tag_index(repository, tag, Digest(digest)), link, durable=False),
                )
            now = self._reader.tag_digest(repository, tag)
            if now == digest:
                return
            digest = now

    async def _write_link(self, projection: Projection) -> None:
        repository, digest = projection.repository, Digest(projection.name)
        if projection.kind == "layer":
            directory, link = layout.layer_directory(repository, digest), layout.layer_link(repository, digest)
        else:
            directory, link = layout.revision_directory(repository, digest), layout.revision_link(repository, digest)
        held = self._holds(projection)
        while True:
            if held:
                await self._driver.put(link, digest.encode(), durable=False)
            else:
                await self._driver.delete(directory)
            now = self._holds(projection)
            if now == held:
                return
            held = now

    def _holds(self, projection: Projection) -> bool:
        if projection.kind == "layer":
            return not self._reader.missing_blobs(projection.repository, (projection.name,))
        return self._reader.has_manifest(projection.repository, projection.name)


class Projector:
    """Projects pointers.

    Args:
        driver: the storage.
        reader: of the index.
        writer: of the index.
    """

    def __init__(self, driver: Driver, reader: Reader, writer: Writer) -> None:
        self._driver = driver
        self._reader = reader
        self._writer = writer
        self._links = Links(driver, reader)
        self._done: list[int] = []

    async def project(self, projections: Iterable[Projection]) -> None:
        """Bring links up to date; a later ``flush`` makes them durable."""
        work = list(projections)
        if len(work) == 1:
            await self._links.write(work[0])
        else:
            await asyncio.gather(*(self._links.write(projection) for projection in work))
        self._done += [projection.id for projection in work if projection.id is not None]

    async def flush(self) -> None:
        """Make links durable and delete their dirty marks."""
        if not self._done:
            return
        done, self._done = self._done, []
        try:
            await self._driver.flush()
            await self._writer.run(lambda connection: changes.clear_projections(connection, done))
        except BaseException:
            self._done += done
            raise

    async def recover(self, age: float) -> int:
        """Project the dirty marks that are older than ``age`` seconds; return how many there were."""
        before = changes.now_us() - int(age * 1_000_000)
        count = 0
        while projections := self._reader.projections(before, BATCH):
            await self.project(projections)
            await self.flush()
            count += len(projections)
        return count
