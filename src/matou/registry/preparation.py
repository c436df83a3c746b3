"""What happens once before workers start: schema, index, leftovers."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from matou.registry.blobs.projector import Projector
from matou.registry.drivers.factory import open_driver
from matou.registry.drivers.filesystem import FilesystemDriver
from matou.registry.files import TreeInUse, TreeLock, registry_files
from matou.registry.index.migrate import upgrade
from matou.registry.index.reader import Reader
from matou.registry.index.writer import Writer
from matou.registry.reindex import Reindexer, is_complete

if TYPE_CHECKING:
    from collections.abc import Callable

    from matou.config.distribution import Configuration
    from matou.registry.drivers.base import Driver
    from matou.registry.files import RegistryFiles
    from matou.registry.reindex import Summary

LOG_INTERVAL = 5.0  # seconds

log = logging.getLogger("matou.registry")


def prepare(configuration: Configuration, files: RegistryFiles, lock: TreeLock) -> None:
    """Bring a tree into the state that workers expect, and hold its lock shared from then on.

    Migrates the index, builds it when it was never completed, brings links up to date that a killed process left, and
    deletes temporary files; all that only when no other server runs on the tree, because that one has done it.

    Raises:
        SchemaError: the index is of a newer version.
        StorageError: storage or index cannot be read.
    """
    if lock.try_exclusive():
        upgrade(files.index)
        asyncio.run(_prepare_alone(configuration, files))
    lock.share()


async def _prepare_alone(configuration: Configuration, files: RegistryFiles) -> None:
    driver = open_driver(configuration)
    try:
        if isinstance(driver, FilesystemDriver):
            await driver.sweep_temporary(0)
        if not is_complete(files.index):
            summary = await Reindexer(driver, files.index, _log_progress()).run()
            if summary.repositories or summary.skipped:
                log.info("indexed the storage tree: %s", describe(summary))
        await _recover(driver, files)
    finally:
        await driver.close()


async def _recover(driver: Driver, files: RegistryFiles) -> None:
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
        SchemaError: the index is of a newer version.
        StorageError: storage or index cannot be read.
    """
    with registry_files(configuration) as files:
        lock = TreeLock(files.lock)
        try:
            if not lock.try_exclusive():
                raise TreeInUse(
                    f"a registry runs on {files.directory.parent}; stop it first, reindex, and start it again"
                )
            upgrade(files.index)
            return asyncio.run(_reindex(configuration, files, progress))
        finally:
            lock.close()


async def _reindex(
    configuration: Configuration, files: RegistryFiles, progress: Callable[[str, int, int | None], None]
) -> Summary:
    driver = open_driver(configuration)
    try:
        return await Reindexer(driver, files.index, progress).run()
    finally:
        await driver.close()


def describe(summary: Summary) -> str:
    """Return a summary in one line."""
    return (
        f"{summary.repositories} repositories, {summary.manifests} manifests, {summary.tags} tags, "
        f"{summary.blobs} blobs, {summary.skipped} skipped"
    )
