"""Renews a registry's record while it runs, and finds out when another one has succeeded it.

Concurrency: a task in every worker of every registry of the directory; whoever gets the lock renews for all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from typing import TYPE_CHECKING

from matou.registry.drivers.base import StorageError, Transient
from matou.registry.files import FileLock
from matou.registry.index.writer import IndexFailed, IndexFull
from matou.registry.ownership.claim import SETTLE, Claim, InUse
from matou.registry.ownership.identity import Known, identity_of, known_of, remember, renew_id
from matou.registry.ownership.lease import LEASE
from matou.registry.ownership.records import Record, Records, State

if TYPE_CHECKING:
    import sqlite3

    from matou.registry.drivers.base import Driver
    from matou.registry.files import RegistryFiles
    from matou.registry.index.writer import Writer
    from matou.registry.ownership.lease import Lease

log = logging.getLogger("matou.registry")

RENEWAL = 15.0  # seconds between two renewals
LONGEST = 20.0  # seconds of one renewal; then another worker tries
LOOK = 3.0  # seconds between two looks whether one is due


class Renewal:
    """What renews.

    Args:
        driver: the storage.
        files: of the registry.
        writer: of the index.
        lease: of the directory.
    """

    def __init__(self, driver: Driver, files: RegistryFiles, writer: Writer, lease: Lease) -> None:
        self._records = Records(driver)
        self._files = files
        self._writer = writer
        self._lease = lease

    async def run(self) -> None:
        """Renew until cancelled."""
        complaint = ""
        while True:
            try:
                await self.renew_when_due()
                complaint = ""
            except (StorageError, IndexFull, IndexFailed) as error:
                if str(error) != complaint:
                    complaint = str(error)
                    log.error(  # noqa: TRY400 -- the cause is known
                        "the registry's claim to the storage could not be renewed, and without that nothing is pushed "
                        "after %.0f s: %s",
                        LEASE,
                        error,
                    )
            except Exception:
                log.exception("the registry's claim to the storage could not be renewed")
            await asyncio.sleep(LOOK)

    async def renew_when_due(self) -> None:
        """Renew unless somebody has done so.

        Raises:
            StorageError: the storage cannot be used; the lease goes on for a while.
            IndexFull: the index cannot be written; likewise.
            IndexFailed: as above.
        """
        if self._lease.is_lost or self._lease.age < RENEWAL:
            return
        with contextlib.closing(FileLock(self._files.owner_lock)) as lock:
            if lock.try_exclusive() and self._lease.age >= RENEWAL and not self._lease.is_lost:
                try:
                    async with asyncio.timeout(LONGEST):
                        await self._renew()
                except TimeoutError as error:
                    raise Transient(f"the storage did not answer within {LONGEST:.0f} s") from error

    async def _renew(self) -> None:
        identity = identity_of(self._files)
        known = await self._writer.run(known_of)
        if known is None:
            await self._claim()
            return
        began = self._lease.now()
        record = Record(identity.id, known.epoch, known.count, State.OWNER, identity.host, identity.directory)
        if await self._is_succeeded(record):
            return
        was_good = self._lease.is_good
        record = dataclasses.replace(record, count=known.count + 1)
        await self._remember(Known(record.epoch, record.count))
        await self._records.put(record)
        if not (was_good and self._lease.is_good):
            # Others may have taken this one for dead, and not have seen the record yet.
            await asyncio.sleep(2 * SETTLE)
            if await self._is_succeeded(record):
                return
            log.warning("the registry's claim to the storage is renewed: pushes work again")
        self._lease.grant(began)

    async def _is_succeeded(self, record: Record) -> bool:
        """Tell whether another registry serves the storage; then the lease is lost."""
        for other in (await self._records.all()).values():
            if other.id == record.id:
                is_other = (other.epoch, other.count) > (record.epoch, record.count)
            else:
                is_other = other.state in (State.OWNER, State.RELEASED) and other.epoch > record.epoch
            if is_other:
                self._lose(other)
                return True
        return False

    def _lose(self, other: Record) -> None:
        self._lease.lose()
        log.error(
            "%s serves the storage now: this one answers pulls by what it knew, and nothing else; stop one of the two",
            other,
        )

    async def _claim(self) -> None:
        """Claim a storage that came to this registry while it runs."""
        claim = Claim(self._records, identity_of(self._files), self._lease.now, lambda: renew_id(self._files))
        kept: list[Known] = []
        try:
            claimed = await claim.take(None, kept.append)
        except InUse as error:
            self._lose(error.other)
            return
        if claimed.outdated:
            self._lose(claimed.record)
            return
        await self._remember(Known(claimed.record.epoch, claimed.record.count))
        self._lease.grant(claimed.began)

    async def _remember(self, known: Known) -> None:
        def change(connection: sqlite3.Connection) -> None:
            remember(connection, known)

        await self._writer.run(change)


async def keep_renewing(records: Records, record: Record, lease: Lease, pause: float = RENEWAL) -> None:
    """Renew a record as it is, while the index is built or images are copied; runs until it is cancelled.

    A storage that fails in passing is waited for, with a lease that ends meanwhile.

    Args:
        records: of the storage.
        record: of this registry.
        lease: of the directory.
        pause: seconds between two renewals.

    Raises:
        StorageError: the storage cannot be used.
        InUse: another registry has succeeded this one.
    """
    complaint = ""
    while True:
        await asyncio.sleep(pause)
        try:
            await _renew_as_it_is(records, record, lease)
            complaint = ""
        except Transient as error:
            if not complaint:
                complaint = str(error)
                log.warning("the claim to the storage could not be renewed, which is tried again: %s", error)


async def _renew_as_it_is(records: Records, record: Record, lease: Lease) -> None:
    began, was_good = lease.now(), lease.is_good
    await _check_unsucceeded(records, record)
    await records.put(record)
    if not (was_good and lease.is_good):
        # Others may have taken this one for dead, and not have seen the record yet.
        await asyncio.sleep(2 * SETTLE)
        await _check_unsucceeded(records, record)
    lease.grant(began)


async def _check_unsucceeded(records: Records, record: Record) -> None:
    for other in (await records.all()).values():
        if other.state in (State.OWNER, State.RELEASED) and other.epoch > record.epoch:
            raise InUse(other)
