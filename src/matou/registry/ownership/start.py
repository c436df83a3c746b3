"""The claim of a registry that starts, and its end.

Concurrency: the only process that works on the registry's files meanwhile; their lock sees to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from typing import TYPE_CHECKING

from matou.registry.index import changes
from matou.registry.index.connection import connect
from matou.registry.ownership.claim import Claim
from matou.registry.ownership.identity import Known, forget, identity_of, known_at, remember, renew_id
from matou.registry.ownership.lease import Lease
from matou.registry.ownership.records import Record, Records, State
from matou.registry.ownership.renewal import keep_renewing
from matou.registry.reindex import COMPLETE

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from matou.registry.drivers.base import Driver
    from matou.registry.files import RegistryFiles

log = logging.getLogger("matou.registry")


class Ownership:
    """A storage that this registry serves.

    Attributes:
        outdated: whether the index had to be given up: what others have pushed is not in it.

    Args:
        record: of the registry.
    """

    def __init__(self, record: Record, *, outdated: bool) -> None:
        self.record = record
        self.outdated = outdated

    def tell(self, index: sqlite3.Connection) -> None:
        """Let a new index know whose it is, before it is complete."""
        remember(index, Known(self.record.epoch, self.record.count))

    async def release(self, driver: Driver, files: RegistryFiles) -> None:
        """Say that the storage is served no longer; the index may have come or gone since it was claimed.

        Raises:
            StorageError: the storage cannot be used.
            sqlite3.Error: the index cannot be written.
        """
        released = dataclasses.replace(self.record, count=self.record.count + 1, state=State.RELEASED)
        if files.index.exists():
            _remembering(files.index)(Known(released.epoch, released.count))
        await Records(driver).put(released)


@contextlib.asynccontextmanager
async def owned(driver: Driver, files: RegistryFiles, *, is_usable: bool) -> AsyncIterator[Ownership]:
    """Claim a storage, and renew the claim as long as the body runs.

    Args:
        driver: the storage.
        files: of the registry.
        is_usable: whether there is an index that can be used. It is given up if it is outdated.

    Raises:
        InUse: another registry serves the storage, or has succeeded this one meanwhile.
        StorageError: the storage cannot be used.
        sqlite3.Error: the index cannot be read or written.
        OSError: the registry's own files cannot be used.
    """
    lease = Lease(files.lease)
    records = Records(driver)
    try:
        lease.reset()
        claim = Claim(records, identity_of(files), lease.now, lambda: renew_id(files))
        known = known_at(files.index) if is_usable else None
        claimed = await claim.take(known, _remembering(files.index) if is_usable else _tell_nobody)
        lease.grant(claimed.began)
        if claimed.outdated and is_usable:
            log.warning("%s; building the index again", claimed.outdated)
            _change(files.index, _give_up)
        async with _renewed(records, claimed.record, lease):
            yield Ownership(claimed.record, outdated=bool(claimed.outdated))
    finally:
        lease.close()


@contextlib.asynccontextmanager
async def _renewed(records: Records, record: Record, lease: Lease) -> AsyncIterator[None]:
    """Renew a record while the body runs; its failure ends the body."""
    try:
        async with asyncio.TaskGroup() as group:
            renewing = group.create_task(keep_renewing(records, record, lease))
            try:
                yield
            finally:
                renewing.cancel()
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


def _tell_nobody(_known: Known) -> None:
    """There is no index that could be told."""


def _remembering(index: Path) -> Callable[[Known], None]:
    return lambda known: _change(index, lambda connection: remember(connection, known))


def _give_up(connection: sqlite3.Connection) -> None:
    changes.put_meta(connection, COMPLETE, "0")
    forget(connection)


def _change(index: Path, change: Callable[[sqlite3.Connection], None]) -> None:
    with contextlib.closing(connect(index, read_only=False)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        change(connection)
        connection.execute("COMMIT")


async def newer_record(driver: Driver, files: RegistryFiles) -> Record | None:
    """Return the record of a registry that has served the storage since the index here did; None when none has.

    Raises:
        StorageError: the storage cannot be read.
        sqlite3.Error: the index cannot be read.
        OSError: the registry's own files cannot be used.
    """
    known, own = known_at(files.index), identity_of(files).id
    for other in (await Records(driver).all()).values():
        if other.state not in (State.OWNER, State.RELEASED):
            continue
        if other.id == own:
            is_newer = known is not None and Known(other.epoch, other.count) > known
        else:
            is_newer = known is None or other.epoch > known.epoch
        if is_newer:
            return other
    return None


async def is_outdated_for_reading(driver: Driver, files: RegistryFiles) -> bool:
    """Tell whether another registry has served, or serves, a storage that this one only reads.

    Raises:
        StorageError: the storage cannot be read.
        sqlite3.Error: the index cannot be read.
        OSError: the registry's own files cannot be used.
    """
    other = await newer_record(driver, files)
    if other is None:
        return False
    log.warning(
        "%s serves the storage: the index is built from what is there now, and of later pushes this registry, "
        "which is read-only, learns when it is started again",
        other,
    )
    return True


async def release(driver: Driver, files: RegistryFiles) -> None:
    """Say that the storage is served no longer, so that another registry need not wait.

    Raises:
        StorageError: the storage cannot be used.
        sqlite3.Error: the index cannot be read or written.
        OSError: the registry's own files cannot be used.
    """
    identity, known = identity_of(files), known_at(files.index)
    records = Records(driver)
    own = (await records.all()).get(identity.id)
    if own is None or known is None or own.state is not State.OWNER or Known(own.epoch, own.count) > known:
        return
    released = dataclasses.replace(own, epoch=known.epoch, count=known.count + 1, state=State.RELEASED)
    _remembering(files.index)(Known(released.epoch, released.count))
    await records.put(released)
