"""``matou storage migrate`` while nobody writes to the source: it is not served, or read-only.

Concurrency: the locks of both storages are held meanwhile, so that no registry of this machine is started on either.
Registries of other machines cannot be seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

from matou.registry.drivers.factory import Surroundings, open_driver
from matou.registry.drivers.inmemory import InMemoryDriver
from matou.registry.files import RegistryFiles, registry_files
from matou.registry.migration.bulk import BulkCopy
from matou.registry.migration.claims import SourceWatch, destination_claimed, is_up_to_date
from matou.registry.migration.guards import (
    check_distinct,
    check_in_charge,
    check_mark,
    check_places,
    check_sides,
    check_user,
    destination_held,
    lasting_directory,
    source_held,
)
from matou.registry.migration.indexes import bring_up_to_date, copy_index, give_up_index
from matou.registry.migration.moved import forget_move
from matou.registry.preparation import as_storage_error

if TYPE_CHECKING:
    from matou.config.distribution import Configuration
    from matou.registry.drivers.base import Driver
    from matou.registry.files import FileLock
    from matou.registry.migration.bulk import Options
    from matou.registry.migration.report import Observer, Report


def migrate(source: Configuration, destination: Configuration, options: Options, observer: Observer) -> Report:
    """Copy all images from one storage to another.

    Args:
        source: of the registry that has them.
        destination: of the registry that gets them.
        options: see ``Options``.
        observer: is told how it goes on.

    Returns:
        What was done. Objects may have failed.

    Raises:
        MigrationRefused: the two are the same storage, or one of them is in use.
        StorageError: one of the two cannot be used.
    """
    check_sides(source, destination)
    started = time.monotonic()
    with as_storage_error(), contextlib.ExitStack() as stack:
        source_files = stack.enter_context(registry_files(source))
        check_in_charge(source_files)
        check_user(source, source_files, lasting_directory(destination))
        # A dry run changes nothing, so nobody is in its way.
        is_alone = not options.dry_run and stack.enter_context(source_held(source, source_files))
        lock = None
        if options.dry_run:
            destination_files = RegistryFiles(lasting_directory(destination))
        else:
            destination_files = stack.enter_context(registry_files(destination))
            lock = stack.enter_context(destination_held(destination_files))
        migration = OfflineMigration(source_files, destination_files, options, observer, is_alone=is_alone)
        report = asyncio.run(migration.run(source, destination, lock))
    report.seconds = time.monotonic() - started
    return report


class OfflineMigration:
    """One run.

    Args:
        source_files: of the source's registry.
        destination_files: of the destination's registry.
        options: see ``Options``.
        observer: is told how it goes on.
        is_alone: whether no registry runs on the source.
    """

    def __init__(
        self,
        source_files: RegistryFiles,
        destination_files: RegistryFiles,
        options: Options,
        observer: Observer,
        *,
        is_alone: bool,
    ) -> None:
        self._source_files = source_files
        self._destination_files = destination_files
        self._options = options
        self._observer = observer
        self._is_alone = is_alone

    async def run(self, source: Configuration, destination: Configuration, lock: FileLock | None) -> Report:
        """Do it.

        Args:
            source: see ``migrate``.
            destination: likewise.
            lock: of the destination, held alone; None for a dry run.
        """
        async with contextlib.AsyncExitStack() as stack:
            origin = open_driver(source, Surroundings(self._source_files.request_limit))
            stack.push_async_callback(origin.close)
            target = self._open_destination(destination)
            stack.push_async_callback(target.close)
            await check_places(origin, target)
            await check_mark(origin)
            if lock is None:
                return await self._copy(origin, target)
            await check_distinct(origin, target)
            watch = SourceWatch(origin, self._source_files)
            await watch.begin()
            ownership = await stack.enter_async_context(destination_claimed(target, self._destination_files, lock))
            # From the next line on the destination's index would no longer say what is there. Without one, the first
            # start builds it, whatever becomes of this run.
            await give_up_index(target, self._destination_files, ownership)
            has_index = await is_up_to_date(origin, self._source_files)
            if has_index:
                await bring_up_to_date(origin, self._source_files, is_alone=self._is_alone)
            report = await self._copy(origin, target)
            await watch.check()
            report.index = "left to the first start"
            if (
                has_index
                and report.is_complete
                and report.agrees
                and copy_index(self._source_files.index, self._destination_files.index, ownership)
            ):
                report.index = "copied"
            if report.is_complete:
                await forget_move(self._destination_files, target)
            return report

    def _open_destination(self, destination: Configuration) -> Driver:
        storage, files = destination.storage, self._destination_files
        if self._options.dry_run and storage.driver == "filesystem":
            if not Path(storage.filesystem.rootdirectory).exists():
                return InMemoryDriver()  # as empty as what is not there, and is not to be made
        elif self._options.dry_run and not files.directory.exists():
            return open_driver(destination)
        return open_driver(destination, Surroundings(files.request_limit))

    async def _copy(self, source: Driver, destination: Driver) -> Report:
        bulk = BulkCopy(source, destination, self._options, self._observer)
        try:
            await bulk.survey()
            await bulk.copy()
            await bulk.compare()
        finally:
            await bulk.close()
        return bulk.report
