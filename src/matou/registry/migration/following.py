"""Copies what is pushed and deleted while the registry goes on serving: it follows the journal of the index.

The journal says what has changed, the index how it is now: so links are written as the projector of a registry writes
them, and whatever has changed since is in the journal as well and looked at later.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from matou.registry.blobs import layout
from matou.registry.blobs.projector import Links
from matou.registry.content.digest import Digest
from matou.registry.drivers.base import NotFound, StorageError, StorageFull
from matou.registry.index.records import Projection
from matou.registry.migration.copying import Unfit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from matou.registry.drivers.base import Driver
    from matou.registry.index.reader import Reader
    from matou.registry.index.records import JournalEntry
    from matou.registry.migration.bulk import BulkCopy

T = TypeVar("T")

PAGE = 1000  # changes looked at together
ATTEMPTS = 5  # of what fails
PAUSE = 1.0  # seconds before the second of them; doubled with each


class JournalLost(StorageError):  # noqa: N818 -- what happened
    """Changes were forgotten before they were looked at."""


class JournalFollower:
    """Follows.

    Args:
        reader: of the source's index.
        destination: gets what has changed.
        bulk: knows what the destination has, and copies content.
        jobs: objects at a time.
    """

    def __init__(self, reader: Reader, destination: Driver, bulk: BulkCopy, jobs: int) -> None:
        self._reader = reader
        self._destination = destination
        self._bulk = bulk
        self._links = Links(destination, reader)
        self._gate = asyncio.Semaphore(jobs)
        self._last = reader.journal_end()
        self._lost: set[str] = set()  # digests of what cannot be copied
        self.changes = 0

    def pending(self, limit: int) -> tuple[int, int]:
        """Return how many changes wait, up to a limit, and the bytes of the content that has to be copied for them."""
        entries = self._reader.journal(self._last, limit)
        sizes = {digest: size for digest, size in self._contents(entries) if not self._has(digest, size)}
        return len(entries), sum(sizes.values())

    def _has(self, digest: Digest, size: int) -> bool:
        return self._bulk.has(layout.blob_data(digest), size)

    def behind(self) -> int:
        """Return how many changes wait."""
        return self._reader.journal_end() - self._last

    async def catch_up(self, most: int | None = None) -> int:
        """Copy what has changed since the last time; return how many changes there were.

        Args:
            most: changes that are copied; all unless given.

        Raises:
            JournalLost: so long ago that the journal has forgotten some of it.
            StorageError: something cannot be copied.
        """
        count = 0
        # Not further than this: under constant load there would be no end.
        end = self._reader.journal_end()
        if most is not None:
            end = min(end, self._last + most)
        while self._last < end and (entries := self._reader.journal(self._last, min(PAGE, end - self._last))):
            if entries[0].id != self._last + 1:
                raise JournalLost(
                    f"the changes {self._last + 1} to {entries[0].id - 1} of the registry have been forgotten, which "
                    "happens after a week; run the command again"
                )
            await self._apply(entries)
            self._last = entries[-1].id
            count += len(entries)
            self.changes += len(entries)
        if count:
            await self._destination.flush()
        return count

    async def _apply(self, entries: list[JournalEntry]) -> None:
        await self._each(self._bring, dict.fromkeys(self._contents(entries)))
        pointers = dict.fromkeys(pointer for entry in entries for pointer in _pointers(entry))
        await self._each(self._links.write, [pointer for pointer in pointers if pointer.kind != "tag"])
        await self._each(self._write_history, [entry for entry in entries if entry.tag is not None])
        await self._each(self._links.write, [pointer for pointer in pointers if pointer.kind == "tag"])

    async def _each(self, work: Callable[[T], Awaitable[object]], items: Iterable[T]) -> None:
        async def gated(item: T) -> None:
            async with self._gate:
                await work(item)

        try:
            async with asyncio.TaskGroup() as group:
                for item in items:
                    group.create_task(gated(item))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    def _contents(self, entries: Iterable[JournalEntry]) -> Iterable[tuple[Digest, int]]:
        """Yield what was put, as far as the index still names it."""
        for entry in entries:
            if entry.action != "delete":
                size = self._reader.content_size(entry.digest)
                if size is not None:
                    yield Digest(entry.digest), size

    async def _bring(self, content: tuple[Digest, int]) -> None:
        digest, size = content
        pause = PAUSE
        for attempt in range(ATTEMPTS):
            try:
                await self._bulk.bring(layout.blob_data(digest), size)
            except (NotFound, Unfit) as error:
                # It cannot be pulled from the old storage either.
                self._lost.add(digest)
                self._bulk.damaged(f"{digest} was not copied: {error}")
                return
            except StorageFull:
                raise
            except StorageError:
                if attempt == ATTEMPTS - 1:
                    raise
                await asyncio.sleep(pause)
                pause *= 2
            else:
                return

    async def _write_history(self, entry: JournalEntry) -> None:
        """Write the link that records what a tag has named; the index does not know what it named before."""
        if entry.tag is None or entry.action == "delete":
            return
        if self._reader.tag_digest(entry.repository, entry.tag) is not None:
            link = layout.tag_index(entry.repository, entry.tag, Digest(entry.digest))
            await self._destination.put(link, entry.digest.encode(), durable=False)

    async def check_contents(self) -> tuple[int, int]:
        """Copy what the index names and the destination is not known to have.

        Returns:
            How many blobs and manifests it names, and how many of them the destination has then.

        Raises:
            StorageError: something cannot be copied.
        """
        named = there = 0
        for text, size in self._reader.contents():
            digest = Digest(text)
            if digest not in self._lost and not self._has(digest, size):
                await self._bring((digest, size))
            named += 1
            there += self._has(digest, size)
        return named, there


def _pointers(entry: JournalEntry) -> list[Projection]:
    """Return what a change may have changed; to look at more than that does no harm."""
    kinds: tuple[str, ...] = ("layer",)
    if entry.action == "delete":
        # A tag that goes with its manifest is followed by an entry of that one, which does not say what it was of.
        kinds = () if entry.tag is not None else ("layer", "manifest")
    elif entry.media_type is not None:
        kinds = ("manifest",)
    pointers = [Projection(None, kind, entry.repository, entry.digest) for kind in kinds]
    if entry.tag is not None:
        pointers.append(Projection(None, "tag", entry.repository, entry.tag))
    return pointers
