"""What a migration asks of registries on other machines: object storage has their records, see ``ownership``.

The destination is claimed as a registry claims what it serves, so that neither a registry nor another migration can
come to work there meanwhile. Nothing is written to the source, which may allow no more than reading.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from typing import TYPE_CHECKING

from matou.registry.drivers.base import StorageError
from matou.registry.migration.guards import MigrationRefused
from matou.registry.ownership.claim import POLL, InUse
from matou.registry.ownership.identity import identity_of
from matou.registry.ownership.records import Records, State
from matou.registry.ownership.start import newer_record, owned
from matou.registry.preparation import has_usable_index

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from matou.registry.drivers.base import Driver
    from matou.registry.files import FileLock, RegistryFiles
    from matou.registry.ownership.records import Record
    from matou.registry.ownership.start import Ownership

RENEWED_WITHIN = 25.0  # seconds in which a registry that serves a storage renews its record, unless it is in trouble

log = logging.getLogger("matou.registry")


@contextlib.asynccontextmanager
async def destination_claimed(driver: Driver, files: RegistryFiles, lock: FileLock) -> AsyncIterator[Ownership | None]:
    """Claim the destination while the body runs; yield None for a storage that other machines don't have.

    Args:
        driver: the destination.
        files: of the registry there.
        lock: of it. In the end the destination is released unless others of this machine hold that, too: then they
            serve it.

    Raises:
        MigrationRefused: another machine is at work there, or has begun to be.
        StorageError: the storage cannot be used.
        sqlite3.Error: the index cannot be read or written.
        OSError: the registry's own files cannot be used.
    """
    if not driver.shared:
        yield None
        return
    ownership = None
    try:
        async with owned(driver, files, is_usable=has_usable_index(files)) as ownership:
            yield ownership
    except InUse as error:
        raise MigrationRefused(
            f"{error.other} serves the storage of --to, or copies to it; stop that first, or give another storage"
        ) from error
    finally:
        if ownership is not None and lock.try_exclusive():
            try:
                await ownership.release(driver, files)
            except (StorageError, sqlite3.Error) as error:
                log.warning("the destination could not be released (%s): another machine would wait a minute", error)


async def check_owner(driver: Driver, files: RegistryFiles) -> None:
    """Refuse a source that a registry with another index serves, or served last: the index here does not know it all.

    Args:
        driver: the source.
        files: of the registry here, which has an index.

    Raises:
        MigrationRefused: there is such a registry.
        StorageError: the storage cannot be read.
        sqlite3.Error: the index cannot be read.
    """
    if not driver.shared:
        return
    others = [record for record in (await _foreign(driver, files)).values() if record.state is not State.LOOKING]
    newer = others[0] if others else await newer_record(driver, files)
    if newer is not None:
        raise MigrationRefused(
            f"{newer} serves the storage of --from, or was the last to do so. Run the command where that one runs; or "
            "stop it, start a registry here with --from, so that it succeeds that one, and run the command again"
        )


async def is_up_to_date(driver: Driver, files: RegistryFiles) -> bool:
    """Tell whether the index here, if there is one, knows all that its storage has.

    Raises:
        StorageError: the storage cannot be read.
        OSError: the registry's own files cannot be used.
    """
    if not files.index.exists():
        return False
    if not driver.shared:
        return True
    try:
        newer = await newer_record(driver, files)
    except sqlite3.DatabaseError as error:
        log.warning("the index %s cannot be used, so that all is as storage shows it: %s", files.index, error)
        return False
    if newer is not None:
        log.warning("%s has served the source since this machine did: its index here is out of date, and left", newer)
    return newer is None


class SourceWatch:
    """Whether a registry of another machine writes to the source, as far as its record tells.

    Args:
        driver: the source.
        files: of the registry here.
    """

    def __init__(self, driver: Driver, files: RegistryFiles) -> None:
        self._driver = driver
        self._files = files
        self._seen: dict[str, Record] = {}

    async def begin(self) -> None:
        """Look whether one does. Whether one that says so is dead takes a while to see.

        Raises:
            MigrationRefused: it does.
            StorageError: the source cannot be read.
        """
        self._seen = await self._serving()
        if not self._seen:
            return
        log.warning("waiting %.0f s, to see whether %s still serves the source", RENEWED_WITHIN, *self._seen.values())
        for _ in range(round(RENEWED_WITHIN / POLL)):
            await asyncio.sleep(POLL)
            await self.check()

    async def check(self) -> None:
        """Look whether one has renewed its record, or begun to serve the source, since the begin.

        Raises:
            MigrationRefused: it has.
            StorageError: the source cannot be read.
        """
        for record in (await self._serving()).values():
            if record != self._seen.get(record.id):
                raise MigrationRefused(
                    f"{record} serves the source, and what is pushed there would be lost; stop it, or restart it with "
                    "storage.maintenance.readonly.enabled: true, and run the command again; or run it there with --live"
                )

    async def _serving(self) -> dict[str, Record]:
        if not self._driver.shared:
            return {}
        found = await _foreign(self._driver, self._files)
        return {record.id: record for record in found.values() if record.state is State.OWNER}


async def _foreign(driver: Driver, files: RegistryFiles) -> dict[str, Record]:
    """Return the records of registries with other indexes."""
    own = identity_of(files).id
    return {name: record for name, record in (await Records(driver).all()).items() if name != own}
