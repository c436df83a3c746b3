"""Brings the link files of the storage tree in line with the index.

The index decides what a tag names and what a repository holds; the links are what Distribution would read. After a
change, its projector writes or deletes the links and reads the index again: where another request has changed it
meanwhile, it goes round once more, so whoever writes last writes what the index says.

Dirty marks in the index, made by the change's own transaction, name what may not be durable in storage yet. They are
deleted after a flush; those that a killed process left are projected at the next start, or by another worker.

Object storage may carry out a request late, when it has been repeated, or its sender killed, already: then a link that
was moved since would name what it named before, and one that was deleted would be there again. So tags and what was
deleted are looked at once more after a while, and put right. Their marks stay until then.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

from matou.registry.blobs import layout
from matou.registry.concurrency import each, for_each
from matou.registry.content.digest import Digest
from matou.registry.drivers.base import NotFound
from matou.registry.index import changes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matou.registry.drivers.base import Driver
    from matou.registry.index.reader import Reader
    from matou.registry.index.records import Projection
    from matou.registry.index.writer import Writer

BATCH = 500  # dirty marks recovered at a time
SETTLING = 60.0  # seconds after which object storage has carried out what it was asked
LOOKS = 16  # links that are looked at at a time


class Links:
    """Writes and deletes link files as the index has it.

    Args:
        driver: the storage.
        reader: of the index.
    """

    def __init__(self, driver: Driver, reader: Reader) -> None:
        self._driver = driver
        self._reader = reader

    async def write(self, projection: Projection) -> bool:
        """Bring the links of one pointer up to date; return whether it has any.

        Raises:
            StorageError: storage cannot be written.
        """
        if projection.kind == "tag":
            return await self._write_tag(projection.repository, projection.name)
        return await self._write_link(projection)

    async def mend(self, projection: Projection) -> None:
        """Bring the link of one pointer up to date if it is not.

        Raises:
            StorageError: storage cannot be read or written.
        """
        try:
            found: str | None = (await self._driver.get(_link(projection))).decode("ascii", errors="replace")
        except NotFound:
            found = None
        if found != self._expected(projection):
            await self.write(projection)

    def _expected(self, projection: Projection) -> str | None:
        if projection.kind == "tag":
            return self._reader.tag_digest(projection.repository, projection.name)
        return projection.name if self._holds(projection) else None

    async def _write_tag(self, repository: str, tag: str) -> bool:
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
                return now is not None
            digest = now

    async def _write_link(self, projection: Projection) -> bool:
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
                return held
            held = now

    def _holds(self, projection: Projection) -> bool:
        if projection.kind == "layer":
            return not self._reader.missing_blobs(projection.repository, (projection.name,))
        return self._reader.has_manifest(projection.repository, projection.name)


def _link(projection: Projection) -> str:
    repository, name = projection.repository, projection.name
    if projection.kind == "tag":
        return layout.tag_current(repository, name)
    if projection.kind == "layer":
        return layout.layer_link(repository, Digest(name))
    return layout.revision_link(repository, Digest(name))


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
        self._unsettled: deque[tuple[float, Projection]] = deque()

    async def project(self, projections: Iterable[Projection]) -> None:
        """Bring links up to date; a later ``flush`` makes them durable."""
        work = list(projections)
        unsettled = await self._write(work)
        now = time.monotonic()
        self._unsettled += [(now, projection) for projection in unsettled]
        self._done += _marks(work, unsettled)

    async def _write(self, work: list[Projection]) -> list[Projection]:
        """Bring links up to date; return those that are to be looked at once more."""
        if len(work) == 1:
            kept = [await self._links.write(work[0])]
        else:
            kept = await asyncio.gather(*(self._links.write(projection) for projection in work))
        if not self._driver.shared:
            return []
        return [
            projection
            for projection, is_there in zip(work, kept, strict=True)
            if projection.kind == "tag" or not is_there
        ]

    async def settle(self, age: float = SETTLING) -> None:
        """Look once more at links that were written or deleted so many seconds ago.

        Raises:
            StorageError: storage cannot be read or written; they are looked at again.
        """
        before = time.monotonic() - age
        due: list[tuple[float, Projection]] = []
        while self._unsettled and self._unsettled[0][0] <= before:
            due.append(self._unsettled.popleft())
        pointers = {(projection.kind, projection.repository, projection.name): projection for _, projection in due}
        try:
            await for_each(each(pointers.values()), self._links.mend, LOOKS)
        except BaseException:
            self._unsettled.extendleft(reversed(due))
            raise
        self._done += _marks(projection for _, projection in due)

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
        """Project the dirty marks that are older than ``age`` seconds; return how many there were.

        In object storage the marks of those stay that are young, and to be looked at once more.
        """
        now = changes.now_us()
        before = now - int(age * 1_000_000)
        settled = now - int(SETTLING * 1_000_000) if self._driver.shared else before
        count = 0
        while projections := self._reader.projections(min(before, settled), BATCH):
            await self._write(projections)
            self._done += _marks(projections)
            await self.flush()
            count += len(projections)
        last = 0
        while settled < before and (projections := self._reader.projections(before, BATCH, last)):
            self._done += _marks(projections, await self._write(projections))
            await self.flush()
            count += len(projections)
            last = projections[-1].id or 0
        return count


def _marks(projections: Iterable[Projection], left: Iterable[Projection] = ()) -> list[int]:
    """Return the ids of dirty marks, but for some that are left."""
    kept = {projection.id for projection in left}
    return [projection.id for projection in projections if projection.id is not None and projection.id not in kept]
