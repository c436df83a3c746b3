"""``matou storage migrate --live``: the registry goes on serving, and works with the new storage in the end.

Everything is copied once; then what has changed since, again and again, until little is left. Then changes wait for a
moment, in which the rest, and the index, are copied, and the new storage takes over.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matou.registry.drivers.base import NotFound, StorageError
from matou.registry.drivers.factory import Surroundings, open_driver
from matou.registry.files import FileLock, registry_files
from matou.registry.index.reader import Reader
from matou.registry.migration.approach import Approach
from matou.registry.migration.bulk import BulkCopy
from matou.registry.migration.claims import check_owner, destination_claimed
from matou.registry.migration.following import JournalFollower
from matou.registry.migration.guards import (
    MigrationRefused,
    check_distinct,
    check_mark,
    check_places,
    check_sides,
    check_user,
    destination_held,
    lasting_directory,
    not_in_charge,
)
from matou.registry.migration.indexes import bring_up_to_date, copy_index, give_up_index
from matou.registry.migration.moved import (
    MARK,
    NOT_MARKED,
    CannotFollow,
    Moved,
    delete_mark,
    read_mark,
    read_moved,
    write_moved,
)
from matou.registry.migration.report import Report
from matou.registry.migration.residence import write_arrival
from matou.registry.migration.roster import Plan, roster, write_plan
from matou.registry.migration.switch import ChangeLocks, StillChanging, wait_until_left, wait_until_ready
from matou.registry.preparation import as_storage_error
from matou.registry.reindex import is_complete

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matou.config.distribution import Configuration
    from matou.registry.drivers.base import Driver
    from matou.registry.files import RegistryFiles
    from matou.registry.migration.bulk import Options
    from matou.registry.migration.report import Observer
    from matou.registry.ownership.start import Ownership

log = logging.getLogger("matou.registry")

BEGUN = "matou/migration-from.json"  # at a destination that had nothing of its own: what may be deleted in the next run
READY = 60.0  # seconds that the workers get to try the new storage
PATIENCE = 20.0  # seconds that changes get to end, and the last of them to be copied
ATTEMPTS = 20  # at the switch-over
REST = 3.0  # seconds between two of them
LEAVE = 60.0  # seconds that the workers get to leave the old storage
STARTING = 20.0  # seconds that a registry may need from taking its lock to having workers


def migrate_live(
    source: Configuration, destination: Configuration, paths: Paths, options: Options, observer: Observer
) -> Report:
    """Copy all images to another storage while the registry serves them, and have it work with that one in the end.

    Args:
        source: of the registry that runs.
        destination: with the new storage.
        paths: of the files with the two configurations, which the registry must be able to read.
        options: see ``Options``.
        observer: is told how it goes on.

    Returns:
        What was done.

    Raises:
        MigrationRefused: it cannot be begun.
        StorageError: one of the two cannot be used, or the registry cannot go along; the old storage is in charge.
    """
    check_sides(source, destination)
    started = time.monotonic()
    with as_storage_error(), contextlib.ExitStack() as stack:
        source_files = stack.enter_context(registry_files(source))
        check_user(source, source_files, lasting_directory(destination))
        stack.enter_context(_planning(source_files))
        destination_files = stack.enter_context(registry_files(destination))
        migration = LiveMigration(source, source_files, destination, destination_files, paths, options, observer)
        moved = _moved(source_files)
        if moved is not None:
            if moved.identity != destination.storage.identity:
                raise not_in_charge(moved)
            report = asyncio.run(migration.finish(moved))
        else:
            stack.enter_context(_source_shared(source_files))
            lock = stack.enter_context(destination_held(destination_files))
            report = asyncio.run(migration.run(lock))
    report.seconds = time.monotonic() - started
    return report


def _moved(files: RegistryFiles) -> Moved | None:
    try:
        return read_moved(files.moved)
    except CannotFollow as error:
        raise MigrationRefused(str(error)) from error


@contextlib.contextmanager
def _planning(files: RegistryFiles) -> Iterator[None]:
    """Be the only migration of a source, and leave no plan behind."""
    with contextlib.closing(FileLock(files.plan_lock)) as lock:
        deadline = time.monotonic() + 1
        # Workers look at it for a moment now and then.
        while not lock.try_exclusive():
            if time.monotonic() > deadline:
                raise MigrationRefused("another migration of this storage runs; wait for it, or end it")
            time.sleep(0.01)
        try:
            yield
        finally:
            files.plan.unlink(missing_ok=True)


@contextlib.contextmanager
def _source_shared(files: RegistryFiles) -> Iterator[None]:
    """Keep the source from being indexed anew, and see to it that its registries can be talked to."""
    if not files.index.exists() or not is_complete(files.index):
        raise MigrationRefused(
            "the source has no index yet, which --live follows; start its registry once, or leave --live out"
        )
    with contextlib.closing(FileLock(files.lock)) as lock:
        is_served = not lock.try_exclusive()
        if not lock.try_share():
            raise MigrationRefused(
                "another process is working on the source alone; wait for it, and run the command again"
            )
        deadline = time.monotonic() + STARTING
        while is_served and not roster(files):
            if time.monotonic() > deadline:
                raise MigrationRefused(
                    "the registry that runs on the source does not take part, because it is of an older version or its "
                    "disk is full; restart it"
                )
            time.sleep(0.1)
        yield


@dataclass(frozen=True, slots=True)
class Coming:
    """What a run has of the destination.

    Attributes:
        index: where it is to be.
        ownership: of the storage, where others can have it.
        lock: held alone until the switch-over.
    """

    index: Path
    ownership: Ownership | None
    lock: FileLock


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the two configurations are.

    Attributes:
        source: of the registry that runs.
        destination: with the new storage.
    """

    source: Path
    destination: Path


class LiveMigration:
    """One run.

    Args:
        source: of the registry that runs.
        source_files: of it.
        destination: with the new storage.
        destination_files: of the registry there.
        paths: of the files with the two configurations.
        options: see ``Options``.
        observer: is told how it goes on.
    """

    def __init__(
        self,
        source: Configuration,
        source_files: RegistryFiles,
        destination: Configuration,
        destination_files: RegistryFiles,
        paths: Paths,
        options: Options,
        observer: Observer,
    ) -> None:
        self._source = source
        self._source_files = source_files
        self._destination = destination
        self._destination_files = destination_files
        self._paths = paths
        self._plan = Plan(secrets.token_hex(8), str(paths.destination.absolute()), destination.storage.identity)
        self._options = options
        self._observer = observer

    async def run(self, lock: FileLock) -> Report:
        """Migrate.

        Args:
            lock: of the destination, held alone.
        """
        async with contextlib.AsyncExitStack() as stack:
            origin = open_driver(self._source, Surroundings(self._source_files.request_limit))
            stack.push_async_callback(origin.close)
            target = open_driver(self._destination, Surroundings(self._destination_files.request_limit))
            stack.push_async_callback(target.close)
            reader = stack.enter_context(contextlib.closing(Reader(self._source_files.index)))
            await check_places(origin, target)
            await check_mark(origin)
            await check_distinct(origin, target)
            await check_owner(origin, self._source_files)
            ownership = await stack.enter_async_context(destination_claimed(target, self._destination_files, lock))
            if await self._is_ours(target, ownership):
                self._options = dataclasses.replace(self._options, delete=True)
            await give_up_index(target, self._destination_files, ownership)
            await self._announce()
            bulk = BulkCopy(origin, target, self._options, self._observer)
            stack.push_async_callback(bulk.close)
            return await self._run(origin, target, reader, bulk, Coming(self._destination_files.index, ownership, lock))

    async def _is_ours(self, target: Driver, ownership: Ownership | None) -> bool:
        """Tell whether what the destination has is from an earlier run that was cut off, and from nobody else."""
        if self._destination_files.index.exists() or (ownership is not None and ownership.outdated):
            # A registry has served it since, which the next run could not see any more.
            await target.delete(BEGUN)
            return False
        try:
            return bool(json.loads(await target.get(BEGUN)) == list(self._source.storage.identity))
        except (NotFound, ValueError):
            return False

    async def _run(self, origin: Driver, target: Driver, reader: Reader, bulk: BulkCopy, coming: Coming) -> Report:
        follower = JournalFollower(reader, target, bulk, self._options.jobs)
        await bring_up_to_date(origin, self._source_files, is_alone=False)
        await bulk.survey()
        surplus = bulk.deletable()
        if surplus and not self._options.delete:
            raise MigrationRefused(
                f"the destination has {surplus} objects that the source lacks; tags among them would come back when an "
                "index is built. Add --delete, which deletes them, or give a storage without them"
            )
        await target.put(BEGUN, json.dumps(self._source.storage.identity).encode())
        await bulk.copy()
        await bulk.compare()
        report = bulk.report
        report.index = "left to the first start"
        if report.retryable:
            return report
        approach = Approach(follower, self._source_files, self._observer)
        await approach.run()
        await follower.check_contents()
        moved = await self._switch(approach, follower, target, coming, report)
        report.slowed = approach.slowed
        # Content that was pushed again because the storage had lost it is not in the journal.
        report.contents, report.contents_there = await follower.check_contents()
        report.changes = follower.changes
        await self._settle(moved, origin, target)
        return report

    async def _announce(self) -> None:
        """Say what is intended, and hear whether the registry can go along before everything is copied."""
        write_plan(self._source_files, self._plan)
        directory = str(self._destination_files.directory)
        for worker in await wait_until_ready(self._source_files, self._plan, READY):
            if worker.directory != directory:
                raise MigrationRefused(
                    f"the registry would keep its index of the new storage in {worker.directory}, the migration in "
                    f"{directory}; set MATOU_REGISTRY_STATE for this command as it is set for the registry"
                )

    async def _switch(
        self, approach: Approach, follower: JournalFollower, target: Driver, coming: Coming, report: Report
    ) -> Moved:
        """Have the new storage take over.

        Raises:
            StorageError: it cannot; the old one is in charge.
        """
        locks = ChangeLocks(self._source_files)
        with contextlib.closing(locks):
            for _ in range(ATTEMPTS):
                await approach.run()
                started = time.monotonic()
                try:
                    async with asyncio.timeout(2 * PATIENCE), locks.paused(PATIENCE):
                        if approach.is_little():
                            moved = await self._take_over(follower, target, coming)
                            report.switched, report.index = True, "copied"
                            break
                except (StillChanging, TimeoutError) as error:
                    log.warning("the switch-over is tried again: %s", error)
                await asyncio.sleep(REST)
            else:
                raise self._too_busy()
        await self._farewell()
        report.paused = time.monotonic() - started
        return moved

    def _too_busy(self) -> StorageError:
        return StorageError(
            f"the registry was too busy for the switch-over {ATTEMPTS} times; it goes on with the old storage. Run the "
            "command again when there is less to do: what was copied stays"
        )

    async def _take_over(self, follower: JournalFollower, target: Driver, coming: Coming) -> Moved:
        await wait_until_ready(self._source_files, self._plan, PATIENCE)
        await follower.catch_up()
        await target.flush()
        if not copy_index(self._source_files.index, coming.index, coming.ownership):
            raise StorageError("the index of the source cannot be copied")
        moved = Moved(
            await self._number(target), time.time(), self._plan.configuration, self._destination.storage.identity
        )
        write_arrival(self._destination_files, self._paths.source)
        write_moved(self._source_files.moved, moved)
        # The workers hold it, too, from now on.
        coming.lock.try_share()
        return moved

    async def _number(self, target: Driver) -> int:
        """Return the number of the move: a higher one than that of the move that left the destination, if one did."""
        try:
            earlier = (read_moved(self._destination_files.moved), await read_mark(target))
        except CannotFollow as error:
            raise StorageError(str(error)) from error
        return 1 + max((moved.number for moved in earlier if moved is not None), default=0)

    async def finish(self, moved: Moved) -> Report:
        """Do what a migration that was killed after the switch-over has left undone."""
        async with contextlib.AsyncExitStack() as stack:
            origin = open_driver(self._source, Surroundings(self._source_files.request_limit))
            stack.push_async_callback(origin.close)
            target = open_driver(self._destination, Surroundings(self._destination_files.request_limit))
            stack.push_async_callback(target.close)
            await self._farewell()
            await self._settle(moved, origin, target)
        return Report(switched=True)

    async def _farewell(self) -> None:
        for worker in await wait_until_left(self._source_files, LEAVE):
            log.warning("the registry's process %d still works with the old storage; restart the registry", worker.pid)

    async def _settle(self, moved: Moved, origin: Driver, target: Driver) -> None:
        """Leave no mark of an earlier move on the new storage, and one of this on the old one."""
        self._destination_files.moved.unlink(missing_ok=True)
        try:
            await target.delete(BEGUN)
            await delete_mark(target)
            if self._source.storage.driver not in NOT_MARKED:
                await origin.put(MARK, moved.encode())
        except StorageError as error:
            log.warning("other machines are not told that the images were moved: %s", error)
