"""Copies all of a storage tree: what the destination lacks, blobs before links and links before tags.

It goes by what the destination has, so a run that was cut off at any moment is gone on with by the next one.

Concurrency: so many tasks on one event loop, each with one object at a time; of those with large blobs fewer, because
each holds a few segments of object storage in memory.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from matou.registry.blobs import layout
from matou.registry.drivers.base import NotFound, StorageError, StorageFull
from matou.registry.migration.copying import Copier, Unfit
from matou.registry.migration.inventory import Amount, Inventory
from matou.registry.migration.report import Report
from matou.registry.migration.tree_objects import (
    TREE,
    Stage,
    TreeObject,
    directory_of_tag,
    own_directory,
    stage_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from matou.registry.drivers.base import Driver
    from matou.registry.migration.report import Observer

log = logging.getLogger("matou.registry")

DEFAULT_JOBS = 16
LARGE = 8 << 20  # bytes of a blob from which on fewer are copied at a time
LARGE_SHARE = 4  # of so many jobs one may have a large blob
HASHING_THREADS = 4
TOLD_EVERY = 1000  # objects that are counted
RETURNS = 5  # times that an object may be gone and there again before that counts as a failure
HOPELESS = 100  # objects that failed in a row, with none in between that did not
SETTLING = (2.0, 8.0, 20.0)  # seconds to wait for a listing that lags behind what was stored


@dataclass(frozen=True, slots=True)
class Options:
    """How a migration is done.

    Attributes:
        dry_run: only say what would be done.
        delete: delete at the destination what the source lacks.
        verify: read blobs back, and copy those again that are not what their digest says.
        jobs: objects that are worked on at a time.
    """

    dry_run: bool = False
    delete: bool = False
    verify: bool = False
    jobs: int = DEFAULT_JOBS


class BulkCopy:
    """One run.

    Args:
        source: is read only.
        destination: gets what it lacks.
        options: see ``Options``.
        observer: is told how it goes on.
    """

    def __init__(self, source: Driver, destination: Driver, options: Options, observer: Observer) -> None:
        self._source = source
        self._destination = destination
        self._options = options
        self._observer = observer
        self._inventory = Inventory()
        self._hashing = ThreadPoolExecutor(HASHING_THREADS, thread_name_prefix="hashing")
        self._copier = Copier(source, destination, self._hashing, verify=options.verify, dry_run=options.dry_run)
        self._large = asyncio.Semaphore(max(1, options.jobs // LARGE_SHARE))
        self._total = Amount()
        self._done = Amount()
        self._failures_in_a_row = 0
        self.report = Report(dry_run=options.dry_run)

    async def survey(self) -> None:
        """Find out what both sides have, and what is to be done.

        Raises:
            StorageError: one of the two cannot be listed, or the source holds no images.
        """
        found = 0
        async for path, stat in self._destination.walk(TREE):
            if stage_of(path) is not None:
                self._inventory.add_existing(path, stat.size, is_deletable=_is_deletable(path))
                found += 1
                if found % TOLD_EVERY == 0:
                    self._observer.phase("listing the destination", found)
        report = self.report
        async for path, stat in self._source.walk(TREE):
            stage = stage_of(path)
            if stage is None:
                continue
            report.objects += 1
            report.bytes += stat.size
            if report.objects % TOLD_EVERY == 0:
                self._observer.phase("listing the source", report.objects)
            item = TreeObject(path, stat.size, stage, self._inventory.add_wanted(path))
            if self._copier.is_settled(item):
                report.skipped += 1
            else:
                self._inventory.add_work(item)
                self._total = self._total.plus(stat.size)
        report.source_count = report.objects
        if not report.objects:
            raise StorageError(
                f"the source holds no images: there is nothing below {TREE}/ in it; check --from, and its rootdirectory"
            )

    def deletable(self) -> int:
        """Return how many objects ``delete`` would delete, as far as the survey tells."""
        return self._inventory.deletable()

    async def copy(self) -> None:
        """Copy what is to be copied.

        Raises:
            StorageFull: the destination has no room left.
            StorageError: so much fails that there is no point in going on.
        """
        self._observer.progress(self._done, self._total)
        for stage in Stage:
            await self._copy_all(stage, is_last_attempt=False)
            await self._copy_all(stage, is_last_attempt=True)
            if not self._options.dry_run:
                # Links must not become durable before what they name.
                await self._destination.flush()

    async def _copy_all(self, stage: Stage, *, is_last_attempt: bool) -> None:
        work = self._inventory.take_work(stage)
        await self._run_jobs(partial(self._copy_each, work, is_last_attempt=is_last_attempt))

    async def _run_jobs(self, job: Callable[[], Coroutine[None, None, None]]) -> None:
        """Run a job as many times at once as there may be jobs; the first that fails ends the others."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._options.jobs):
                    group.create_task(job())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _copy_each(self, work: Iterator[TreeObject], *, is_last_attempt: bool) -> None:
        for item in work:
            if item.size > LARGE:
                async with self._large:
                    await self._copy_one(item, is_last_attempt=is_last_attempt)
            else:
                await self._copy_one(item, is_last_attempt=is_last_attempt)

    async def _copy_one(self, item: TreeObject, *, is_last_attempt: bool) -> None:
        try:
            copied = await self._copy_if_there(item)
        except StorageFull as error:
            raise StorageFull(
                f"the destination has no room left ({error}); make room and run the command again: it goes on where it "
                "stopped"
            ) from error
        except StorageError as error:
            self._failures_in_a_row += 1
            if self._failures_in_a_row >= HOPELESS:
                raise StorageError(
                    f"{HOPELESS} objects in a row could not be copied, the last one because {error}; mend that and run "
                    "the command again: it goes on where it stopped"
                ) from error
            self._failed(item, error, is_last_attempt=is_last_attempt)
        except (Unfit, UnicodeEncodeError) as error:
            self._advance(item)
            self.damaged(f"{item.path} was not copied: {error}")
        else:
            if copied is None:
                self._vanished(item)
            else:
                self._succeeded(item, copied=copied)

    async def _copy_if_there(self, item: TreeObject) -> bool | None:
        """Copy an object; None says that it was deleted at the source. A tag may come back while it is looked for."""
        misses = 0
        while True:
            try:
                return await self._copier.copy(item)
            except NotFound:
                try:
                    await self._source.stat(item.path)
                except NotFound:
                    return None
                misses += 1
                if misses == RETURNS:
                    raise

    def _vanished(self, item: TreeObject) -> None:
        digest = layout.digest_of_blob(item.path)
        if digest is not None:
            self._copier.lost.discard(digest)
        self.report.source_count -= 1
        self._advance(item)

    def _succeeded(self, item: TreeObject, *, copied: bool) -> None:
        self._failures_in_a_row = 0
        if layout.digest_of_blob(item.path) is not None and not self._options.dry_run:
            self._inventory.add_existing(item.path, item.size)
        if copied:
            self.report.copied += 1
            self.report.copied_bytes += item.size
            if self._options.dry_run:
                self._observer.would("copy", item.path)
        else:
            self.report.skipped += 1
        self._advance(item)

    def _failed(self, item: TreeObject, error: Exception, *, is_last_attempt: bool) -> None:
        if not is_last_attempt:
            log.warning("%s could not be copied and is tried again later: %s", _printable(item.path), error)
            self._inventory.add_work(item)
            return
        self.report.failed += 1
        self.report.retryable += 1
        self._tell(f"{item.path} was not copied: {error}")
        self._advance(item)

    def damaged(self, problem: str) -> None:
        """Report an object that no further run could copy either."""
        self.report.failed += 1
        self._tell(problem)

    def _tell(self, problem: str) -> None:
        printable = _printable(problem)
        self.report.add_problem(printable)
        log.error("%s", printable)

    def _advance(self, item: TreeObject) -> None:
        self._done = self._done.plus(item.size)
        self._observer.progress(self._done, self._total)

    async def compare(self) -> None:
        """Count what the destination has in the end, and delete there what the source lacks if that is wanted.

        Raises:
            StorageError: the destination cannot be listed, or something cannot be deleted.
        """
        report = self.report
        is_deleting = self._options.delete and not report.failed
        if self._options.delete and report.failed:
            log.error("nothing is deleted at the destination, because objects could not be copied")
        await self._count()
        for pause in SETTLING:
            there = report.destination_count - report.surplus - report.foreign
            if self._options.dry_run or there + report.failed >= report.source_count:
                break
            await asyncio.sleep(pause)
            await self._count()
        if is_deleting:
            await self._delete_surplus()

    async def _count(self) -> None:
        report = self.report
        report.destination_count = report.surplus = report.foreign = 0
        self._inventory.clear_work()
        async for path, stat in self._destination.walk(TREE):
            stage = stage_of(path)
            if stage is None:
                continue
            report.destination_count += 1
            if report.destination_count % TOLD_EVERY == 0:
                self._observer.phase("counting the destination", report.destination_count)
            if self._inventory.is_wanted(path):
                continue
            if not _is_deletable(path):
                report.foreign += 1
            else:
                report.surplus += 1
                if self._options.delete:
                    self._inventory.add_work(TreeObject(path, stat.size, stage, stat.size))

    async def _delete_surplus(self) -> None:
        report = self.report
        for stage in reversed(Stage):
            work = self._inventory.take_work(stage)
            await self._run_jobs(partial(self._delete_each, work))
            if not self._options.dry_run:
                await self._destination.flush()
        if not self._options.dry_run:
            report.destination_count -= report.deleted
            report.surplus -= report.deleted

    async def _delete_each(self, work: Iterator[TreeObject]) -> None:
        for item in work:
            if self._options.dry_run:
                self._observer.would("delete", item.path)
            else:
                await self._delete_one(item.path)
            self.report.deleted += 1
            if self.report.deleted % TOLD_EVERY == 0:
                self._observer.phase("deleting", self.report.deleted)

    async def _delete_one(self, path: str) -> None:
        self._inventory.forget_existing(path)
        tag = directory_of_tag(path)
        if tag is not None and not await self._source.list(tag):
            await self._destination.delete(tag)
        else:
            await self._destination.delete(own_directory(path))

    async def bring(self, path: str, size: int) -> bool:
        """Copy one blob or manifest unless the destination has it; return whether that took a copy.

        Raises:
            NotFound: the source lacks it.
            Unfit: it is damaged.
            StorageError: one of the two failed.
        """
        existing = self._inventory.existing(path)
        if existing == size:
            return False
        try:
            await self._copier.copy(TreeObject(path, size, Stage.BLOBS, existing))
        except StorageFull:
            raise
        except StorageError:
            found = (await self._source.stat(path)).size
            if found != size:
                raise Unfit(f"{path} has {found} bytes at the source, not {size}") from None
            raise
        self._inventory.add_existing(path, size)
        self.report.copied += 1
        self.report.copied_bytes += size
        return True

    def has(self, path: str, size: int) -> bool:
        """Tell whether the destination is known to have a blob or manifest."""
        return self._inventory.existing(path) == size

    async def close(self) -> None:
        """Release threads and the temporary database."""
        self._hashing.shutdown()
        self._inventory.close()


def _is_deletable(path: str) -> bool:
    return path.startswith(f"{layout.ROOT}/")


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
