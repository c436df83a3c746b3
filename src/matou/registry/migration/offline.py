"""``matou storage migrate`` while nobody writes to the source: it is not served, or read-only.

Concurrency: the locks of both storages are held meanwhile, so that no registry of this machine is started on either.
Registries of other machines cannot be seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING

from matou.registry.drivers.base import NotFound, StorageError
from matou.registry.drivers.factory import Surroundings, open_driver
from matou.registry.files import FileLock, registry_files
from matou.registry.index.migrate import SchemaError, check_current, upgrade
from matou.registry.index.replacement import remove_index
from matou.registry.index.writer import IndexFailed
from matou.registry.migration.bulk import BulkCopy
from matou.registry.migration.index_copy import copy_index
from matou.registry.migration.tree_objects import TREE
from matou.registry.preparation import as_storage_error, recover_links

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matou.config.distribution import Configuration
    from matou.registry.drivers.base import Driver
    from matou.registry.files import RegistryFiles
    from matou.registry.migration.bulk import Options
    from matou.registry.migration.report import Observer, Report

log = logging.getLogger("matou.registry")

PROBE = "matou/migration-probe"


class MigrationRefused(Exception):  # noqa: N818 -- what happened
    """The migration is not begun; the message says why and what to do."""


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
        is_alone = stack.enter_context(_source_held(source, source_files))
        destination_files = stack.enter_context(registry_files(destination))
        stack.enter_context(_destination_held(destination_files))
        migration = OfflineMigration(source_files, destination_files, options, observer, is_alone=is_alone)
        report = asyncio.run(migration.run(source, destination))
    report.seconds = time.monotonic() - started
    return report


def check_sides(source: Configuration, destination: Configuration) -> None:
    """Refuse what cannot be meant.

    Raises:
        MigrationRefused: the two are the same storage, or one is none that lasts.
        StorageError: the directory of the source does not exist.
    """
    for option, configuration in (("--from", source), ("--to", destination)):
        if configuration.storage.driver == "inmemory":
            raise MigrationRefused(
                f"{option} has the inmemory driver, whose content is gone when its registry stops; name another storage"
            )
    if source.storage.driver == "filesystem":
        root = Path(source.storage.filesystem.rootdirectory)
        if not root.is_dir():
            raise StorageError(f"the source has no directory {root}; check storage.filesystem.rootdirectory of --from")
        if destination.storage.driver == "filesystem":
            _check_directories(root.resolve(), Path(destination.storage.filesystem.rootdirectory).resolve())
    if source.storage.identity == destination.storage.identity:
        raise same_storage()


def _check_directories(source: Path, destination: Path) -> None:
    if source == destination:
        raise same_storage()
    for inner, outer in ((source, destination), (destination, source)):
        if inner.is_relative_to(outer / TREE):
            raise MigrationRefused(f"{inner} lies inside the images of {outer}; choose directories beside each other")


def same_storage() -> MigrationRefused:
    """Return the refusal of one storage that is meant to be both."""
    return MigrationRefused(
        "--from and --to are the same storage; give the configuration of another one (environment variables "
        "REGISTRY_STORAGE_* count for both)"
    )


@contextlib.contextmanager
def _source_held(configuration: Configuration, files: RegistryFiles) -> Iterator[bool]:
    """Keep the source as it is; yield whether no registry runs on it."""
    with contextlib.closing(FileLock(files.lock)) as lock:
        if lock.try_exclusive():
            yield True
            return
        if not configuration.storage.maintenance.readonly.enabled:
            raise MigrationRefused(
                "a registry runs on the source, and pushes to it would be lost; use --live, which follows them, or set "
                "storage.maintenance.readonly.enabled: true in --from and restart it, or stop it"
            )
        lock.share("another process is working on the source alone")
        yield False


@contextlib.contextmanager
def _destination_held(files: RegistryFiles) -> Iterator[None]:
    with contextlib.closing(FileLock(files.lock)) as lock:
        if not lock.try_exclusive():
            raise MigrationRefused(
                "a registry, or another migration, is at work on the destination; stop it first, and start it again "
                "when this is done"
            )
        yield


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

    async def run(self, source: Configuration, destination: Configuration) -> Report:
        """Do it."""
        async with contextlib.AsyncExitStack() as stack:
            origin = open_driver(source, Surroundings(self._source_files.request_limit))
            stack.push_async_callback(origin.close)
            target = open_driver(destination, Surroundings(self._destination_files.request_limit))
            stack.push_async_callback(target.close)
            return await self._run(origin, target)

    async def _run(self, source: Driver, destination: Driver) -> Report:
        is_dry = self._options.dry_run
        if not is_dry:
            await check_distinct(source, destination)
            # From the next line on the destination's index would no longer say what is there. Without one, the first
            # start builds it, whatever becomes of this run.
            await self._give_up_index(destination)
            await self._recover(source)
        bulk = BulkCopy(source, destination, self._options, self._observer)
        try:
            await bulk.survey()
            await bulk.copy()
            await bulk.compare()
        finally:
            await bulk.close()
        report = bulk.report
        if not is_dry:
            is_copied = (
                report.is_complete
                and report.agrees
                and copy_index(self._source_files.index, self._index_of_destination)
            )
            report.index = "copied" if is_copied else "left to the first start"
        return report

    @property
    def _index_of_destination(self) -> Path:
        return self._destination_files.index

    async def _give_up_index(self, destination: Driver) -> None:
        """Delete the destination's index, once what it alone knows is in its storage."""
        if self._index_of_destination.exists():
            await self._bring_up_to_date(destination, self._destination_files, is_alone=True)
            remove_index(self._index_of_destination)

    async def _recover(self, source: Driver) -> None:
        if self._source_files.index.exists():
            await self._bring_up_to_date(source, self._source_files, is_alone=self._is_alone)

    async def _bring_up_to_date(self, driver: Driver, files: RegistryFiles, *, is_alone: bool) -> None:
        try:
            if is_alone:
                upgrade(files.index)
            else:
                check_current(files.index)
            await recover_links(driver, files)
        except (sqlite3.DatabaseError, IndexFailed, SchemaError) as error:
            log.warning("the index %s cannot be used, so that all is as storage shows it: %s", files.index, error)


async def check_distinct(source: Driver, destination: Driver) -> None:
    """Find out whether two drivers work on one storage, and whether the destination can be written.

    Raises:
        MigrationRefused: what is written to one shows in the other.
        StorageError: the destination cannot be written.
    """
    probe = f"{PROBE}-{secrets.token_hex(8)}"
    await destination.put(probe, b"Written by 'matou storage migrate' to tell its two sides apart.\n")
    try:
        await source.stat(probe)
    except NotFound:
        return
    finally:
        await destination.delete(probe)
    raise same_storage()
