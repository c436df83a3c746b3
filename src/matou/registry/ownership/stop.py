"""What the last registry of a directory does at its end, so that another machine can take over at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from typing import TYPE_CHECKING

from matou.registry.drivers.base import StorageError
from matou.registry.drivers.factory import Surroundings, open_driver
from matou.registry.files import FileLock
from matou.registry.ownership.start import release

if TYPE_CHECKING:
    from matou.config.distribution import Configuration
    from matou.registry.files import RegistryFiles

log = logging.getLogger("matou.registry")

OF_ONE_MACHINE = ("filesystem", "inmemory")
PATIENCE = 3.0  # seconds in which a request is repeated
LONGEST = 10.0  # seconds


def release_if_last(configuration: Configuration, files: RegistryFiles) -> None:
    """Release a storage unless another registry of the directory serves it. It never fails: others would wait.

    Args:
        configuration: with the storage.
        files: of the registry; their lock is not held.
    """
    storage = configuration.storage
    if storage.driver in OF_ONE_MACHINE or storage.maintenance.readonly.enabled:
        return
    try:
        with contextlib.closing(FileLock(files.lock)) as lock:
            if lock.try_exclusive() and files.index.exists():
                asyncio.run(_release(configuration, files))
    except (StorageError, sqlite3.Error, OSError, TimeoutError) as error:
        log.warning(
            "the storage could not be told that this registry has stopped (%s): another machine would wait a minute",
            str(error) or "no answer in time",
        )


async def _release(configuration: Configuration, files: RegistryFiles) -> None:
    driver = open_driver(configuration, Surroundings(files.request_limit, patience=PATIENCE))
    try:
        async with asyncio.timeout(LONGEST):
            await release(driver, files)
    finally:
        await driver.close()
