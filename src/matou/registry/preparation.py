"""What happens once before workers start: schema, index, leftovers; and the rebuilding of the index."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import sqlite3
import time
from typing import TYPE_CHECKING

from matou.registry.blobs.projector import Projector
from matou.registry.drivers.base import StorageError, StorageFull
from matou.registry.drivers.factory import Surroundings, open_driver
from matou.registry.drivers.object_driver import ObjectDriver
from matou.registry.files import FileLock, TreeInUse, registry_files
from matou.registry.index.migrate import SchemaError, check_current, upgrade
from matou.registry.index.reader import Reader
from matou.registry.index.replacement import set_aside
from matou.registry.index.writer import IndexFailed, IndexFull, Writer, is_damage, is_lack_of_room, translated
from matou.registry.ownership.start import is_outdated_for_reading, owned, release
from matou.registry.reindex import Reindexer, is_complete
from matou.registry.reserve import give_up_reserve, keep_reserve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matou.config.distribution import Configuration
    from matou.registry.drivers.base import Driver
    from matou.registry.files import RegistryFiles
    from matou.registry.reindex import Summary

LOG_INTERVAL = 5.0  # seconds
ATTEMPTS = 20  # to get the tree alone, when its index is not complete

log = logging.getLogger("matou.registry")


def prepare(configuration: Configuration, files: RegistryFiles, lock: FileLock) -> contextlib.closing[Reader]:
    """Bring a tree into the state that workers expect, and hold its lock shared from then on.

    Migrates the index, builds it when there is none, brings links up to date that a killed process left, and deletes
    temporary files; all that only when no other server runs on the tree, because that one has done it.

    Returns:
        The index, open: while it is, SQLite does not delete the files beside it, which it could not make again on a
        full disk, even when all workers die.

    Raises:
        SchemaError: the index is of a newer version, or of another than the server that runs on the tree.
        StorageError: storage or index cannot be read or written.
    """
    with as_storage_error():
        for _ in range(ATTEMPTS):
            if lock.try_exclusive():
                try:
                    asyncio.run(_prepare_alone(configuration, files))
                except (sqlite3.Error, StorageFull, OSError) as error:
                    if not (isinstance(error, StorageFull) or is_lack_of_room(error)) or not give_up_reserve(
                        files.reserve
                    ):
                        raise
                    log.error("the disk is full: pulls work, pushes do not until there is room")  # noqa: TRY400 -- the cause is known
                    asyncio.run(_prepare_alone(configuration, files))
            lock.share("another process is working on the storage tree alone (it indexes it, or is being started)")
            # In between the lock was nobody's: somebody may have begun to work on the tree, and been killed.
            if files.index.exists() and is_complete(files.index):
                check_current(files.index)
                reader = Reader(files.index)
                reader.version()
                keep_reserve(files.reserve)
                return contextlib.closing(reader)
            lock.release()
            time.sleep(random.random())  # noqa: S311 -- so that two servers do not get into each other's way for ever
    raise StorageError(
        f"the index {files.index} is missing, and another registry runs on the tree; stop that one, then start this one"
    )


async def _prepare_alone(configuration: Configuration, files: RegistryFiles) -> None:
    driver = open_driver(configuration, Surroundings(files.request_limit))
    try:
        is_usable = has_usable_index(files)
        if not driver.shared:
            await driver.sweep(0)
            await _bring_up_to_date(driver, files, is_usable=is_usable)
        elif configuration.storage.maintenance.readonly.enabled:
            if not is_usable or await is_outdated_for_reading(driver, files):
                await _build(driver, files)
        else:
            async with owned(driver, files, is_usable=is_usable) as ownership:
                is_usable = is_usable and not ownership.outdated
                await _bring_up_to_date(driver, files, is_usable=is_usable, finish=ownership.tell)
    finally:
        await driver.close()


async def _bring_up_to_date(
    driver: Driver,
    files: RegistryFiles,
    *,
    is_usable: bool,
    finish: Callable[[sqlite3.Connection], None] | None = None,
) -> None:
    if not is_usable:
        await _build(driver, files, finish)
        return
    try:
        await recover_links(driver, files)
    except (StorageFull, IndexFull) as error:
        log.error("%s; links that were left when the registry was stopped follow later", error)  # noqa: TRY400 -- the cause is known


async def _build(
    driver: Driver, files: RegistryFiles, finish: Callable[[sqlite3.Connection], None] | None = None
) -> None:
    summary = await Reindexer(driver, files.index, _log_progress(), finish).run()
    if summary.repositories or summary.skipped:
        log.info("indexed the storage tree: %s", _describe(summary))


def has_usable_index(files: RegistryFiles) -> bool:
    """Migrate the index, if there is one; tell whether it can be used. A damaged one is set aside."""
    index = files.index
    if not index.exists():
        return False
    try:
        upgrade(index)
        return is_complete(index)
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        log.error(  # noqa: TRY400 -- the cause is known
            "the index %s is damaged (%s): it is kept as %s, and a new one is built from storage",
            index,
            error,
            set_aside(index).name,
        )
        return False


async def recover_links(driver: Driver, files: RegistryFiles) -> None:
    """Write and delete the links that the index knows of and storage does not show yet.

    Raises:
        StorageError: storage cannot be written.
        IndexFull: there is no room for the index.
        IndexFailed: the index cannot be written.
        sqlite3.Error: the index cannot be read.
    """
    reader, writer = Reader(files.index), Writer(files.index, asyncio.get_running_loop())
    try:
        count = await Projector(driver, reader, writer).recover(0)
        if count:
            log.info("brought %d links up to date that were left when the registry was stopped", count)
    finally:
        await writer.close()
        reader.close()


def _log_progress() -> Callable[[str, int, int | None], None]:
    """Return a progress function that logs every few seconds."""
    last = time.monotonic()

    def progress(what: str, done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LOG_INTERVAL:
            last = now
            log.info("indexing the storage tree: %d of %s %s", done, total or "?", what)

    return progress


def reindex(configuration: Configuration, progress: Callable[[str, int, int | None], None]) -> Summary:
    """Rebuild the index of a tree on which no server runs: ``matou registry reindex``.

    Args:
        configuration: of the registry.
        progress: called with what is counted, how many are done, and how many there are (None: not known).

    Raises:
        TreeInUse: a server runs on the tree.
        StorageError: storage or index cannot be read or written; the old index is as it was.
    """
    with as_storage_error(), registry_files(configuration) as files, contextlib.closing(FileLock(files.lock)) as lock:
        if not lock.try_exclusive():
            raise TreeInUse(f"a registry runs on {files.directory.parent}; stop it first, reindex, and start it again")
        return asyncio.run(_reindex(configuration, files, progress))


async def _reindex(
    configuration: Configuration, files: RegistryFiles, progress: Callable[[str, int, int | None], None]
) -> Summary:
    driver = open_driver(configuration, Surroundings(files.request_limit))
    try:
        if isinstance(driver, ObjectDriver):
            await driver.check()
        if not driver.shared:
            await _recover_old(driver, files)
            return await Reindexer(driver, files.index, progress).run()
        if configuration.storage.maintenance.readonly.enabled:
            return await Reindexer(driver, files.index, progress).run()
        is_usable = has_usable_index(files)
        async with owned(driver, files, is_usable=is_usable) as ownership:
            if is_usable and not ownership.outdated:
                await _recover_old(driver, files)
            summary = await Reindexer(driver, files.index, progress, ownership.tell).run()
        await release(driver, files)
        return summary
    finally:
        await driver.close()


async def _recover_old(driver: Driver, files: RegistryFiles) -> None:
    """Bring links up to date: what the old index knows and storage does not show yet would be lost with it."""
    if not files.index.exists():
        return
    try:
        upgrade(files.index)
        await recover_links(driver, files)
    except (sqlite3.DatabaseError, IndexFailed, SchemaError) as error:
        log.warning("reindex: the old index cannot be used, so that all is as storage shows it: %s", error)


@contextlib.contextmanager
def as_storage_error() -> Iterator[None]:
    """Turn what the system and SQLite raise into what the callers show to a person."""
    try:
        yield
    except (sqlite3.Error, IndexFull, IndexFailed) as error:
        failure = translated(error)
        if isinstance(failure, IndexFull):
            raise StorageFull(f"{failure}; make room on the disk that holds the storage tree") from error
        raise StorageError(str(failure)) from error
    except OSError as error:
        raise StorageError(f"the registry's own files cannot be used: {error}") from error


def _describe(summary: Summary) -> str:
    """Return a summary in one line."""
    return (
        f"{summary.repositories} repositories, {summary.manifests} manifests, {summary.tags} tags, "
        f"{summary.blobs} blobs, {summary.skipped} skipped"
    )
