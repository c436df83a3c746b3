"""How a registry comes to serve an object storage: at a start, before its index is used or built.

There are no locks in object storage, and conditional writes not everywhere. What there is: an object is written as a
whole, listings show what was written before (a moment later in Swift), and the storage's clock stamps every object.

- The record with the highest epoch is that of the registry that serves, or served last.
- Whoever wants to succeed it waits until it is released, or was not renewed for ``DEAD`` seconds by the storage's
  clock; then writes a record with the next epoch that says "claiming", waits for ``SETTLE`` seconds and looks again. Is
  the old one alive after all, has another one become owner, or claims one of a greater rank, it withdraws.
- Of two that claim at once each waits before it looks, so at least one of them sees the other, and both know who
  withdraws.
- A registry that was killed, and starts again before anybody could take it for dead, just goes on.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from typing import TYPE_CHECKING, NamedTuple

from matou.registry.drivers.base import StorageError
from matou.registry.ownership.identity import Known
from matou.registry.ownership.records import Record, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from matou.registry.ownership.identity import Identity
    from matou.registry.ownership.records import Records

log = logging.getLogger("matou.registry")

DEAD = 60.0  # seconds by the storage's clock
SETTLE = 1.0  # seconds
POLL = 2.0  # seconds between two looks at one that may be dead


class InUse(StorageError):  # noqa: N818 -- what it is
    """Another registry serves the storage."""

    def __init__(self, other: Record) -> None:
        super().__init__(
            f"{other} serves this storage, and its index would not know of what is pushed here; stop that one, or let "
            "this one run on its machine with the same MATOU_REGISTRY_STATE (an index that several machines share is "
            "not there yet); with storage.maintenance.readonly.enabled: true this one can serve pulls beside it"
        )
        self.other = other


class Claimed(NamedTuple):
    """A storage that is served from now on.

    Attributes:
        record: of this registry, as it was written.
        outdated: why the index does not know all that the storage has; "" when it does.
        began: when the record was about to be written, by the clock of the lease.
    """

    record: Record
    outdated: str
    began: float


class Claim:
    """One registry's claim.

    Args:
        records: of the storage.
        identity: of the registry.
        clock: of the lease.
        another_id: gives the registry another id, and returns it.
    """

    def __init__(
        self, records: Records, identity: Identity, clock: Callable[[], float], another_id: Callable[[], str]
    ) -> None:
        self._records = records
        self._identity = identity
        self._clock = clock
        self._another_id = another_id
        self._began = 0.0

    async def take(self, known: Known | None, remember: Callable[[Known], None]) -> Claimed:
        """Claim the storage.

        Args:
            known: to the index, about its own record; None when there is no index that can be used, or it knows of
                none.
            remember: lets the index know of a record before that is written. When the index is outdated it is told
                nothing.

        Raises:
            InUse: another registry serves it.
            StorageError: the storage cannot be used.
        """
        outdated = ""
        found = await self._records.all()
        own = found.get(self._identity.id)
        if own is not None and known is not None and Known(own.epoch, own.count) > known:
            outdated = f"the index is a copy, or from a backup: {own} has gone on since"
            self._identity = dataclasses.replace(self._identity, id=self._another_id())
            own, known = None, None
        epoch = known.epoch if known is not None else own.epoch if own is not None else 0
        last = _last(found, self._identity.id)
        if last is None or epoch > last.epoch:
            return await self._go_on(own, known, is_alone=set(found) <= {self._identity.id}, remember=remember)
        ended, highest = await self._wait_for_the_end_of(last)
        outdated = outdated or f"{ended} has served the storage meanwhile"
        record = self._record(highest + 1, 1, State.CLAIMING)
        await self._establish(record, ended)
        for other in (await self._records.all()).values():
            if other.epoch < record.epoch and other.state is not State.LOOKING:
                await self._records.delete(other)
        return Claimed(dataclasses.replace(record, state=State.OWNER), outdated, self._began)

    async def _go_on(
        self, own: Record | None, known: Known | None, *, is_alone: bool, remember: Callable[[Known], None]
    ) -> Claimed:
        """Claim a storage that nobody else has served since this registry did, if any did."""
        epoch = max(1, known.epoch if known is not None else 0, own.epoch if own is not None else 0)
        count = 1 + max(known.count if known is not None else 0, own.count if own is not None else 0)
        record = self._record(epoch, count, State.OWNER)
        remember(Known(epoch, count))
        if own is None or own.state is not State.OWNER or not is_alone:
            # Others may take the storage for free, as this one does.
            await self._establish(dataclasses.replace(record, state=State.CLAIMING), None)
        else:
            await self._put(record)
            if await self._claimers(record):
                # Whoever took this one for dead sees now that it is not, unless it has just become owner.
                await asyncio.sleep(2 * SETTLE)
                for other in await self._claimers(record):
                    raise InUse(other)
        return Claimed(record, "", self._began)

    async def _claimers(self, record: Record) -> list[Record]:
        found = await self._records.all()
        states = (State.CLAIMING, State.OWNER)
        return [other for other in found.values() if other.state in states and other.epoch > record.epoch]

    async def _establish(self, record: Record, ended: Record | None) -> None:
        """Write a record that claims, and make it the owner's if nobody else has it.

        Args:
            record: that claims.
            ended: the last record of the registry that is to be succeeded, if any.

        Raises:
            InUse: this one has withdrawn.
        """
        await self._put(record)
        await asyncio.sleep(SETTLE)
        await self._withdraw_for_others(record, ended)
        await self._put(dataclasses.replace(record, state=State.OWNER))
        await self._withdraw_for_others(record, ended)

    async def _withdraw_for_others(self, record: Record, ended: Record | None) -> None:
        for other in (await self._records.all()).values():
            if other.id == record.id or other.state is State.LOOKING:
                continue
            if ended is not None and other.id == ended.id:
                is_alive = other != ended and other.state is State.OWNER
            else:
                is_alive = other.epoch >= record.epoch and not (
                    other.state is State.CLAIMING and other.rank < record.rank  # that one withdraws
                )
            if is_alive:
                await self._records.delete(record)
                raise InUse(other)

    async def _wait_for_the_end_of(self, last: Record) -> tuple[Record, int]:
        """Wait until a registry is out of the way, and all that are about to succeed it have done so or withdrawn.

        Args:
            last: its record, as it was seen first.

        Returns:
            Its record as it is then, and the highest epoch of all records.

        Raises:
            InUse: it is alive, or another one has become owner.
        """
        looking = self._record(0, 0, State.LOOKING)
        is_told = False
        while True:
            await self._records.put(looking)
            now = await self._records.time_of(looking)
            found = await self._records.all()
            current = _last(found, looking.id)
            if current is not None and current.state is State.OWNER and current != last:
                await self._records.delete(looking)
                raise InUse(current)
            last = current or last
            others = [record for record in found.values() if record.id != looking.id]
            left = [
                record.modified + DEAD - now
                for record in others
                if record.state is State.CLAIMING or (record.id == last.id and record.state is State.OWNER)
            ]
            longest = max(left, default=0.0)
            if longest <= 0:
                if last.state is State.OWNER:
                    log.warning("%s has not been seen for %.0f s: taking over", last, now - last.modified)
                return last, max((record.epoch for record in (*others, last)), default=0)
            if not is_told:
                log.warning("waiting up to %.0f s, to see whether %s still serves the storage", longest, last)
                is_told = True
            await asyncio.sleep(min(POLL, longest))

    def _record(self, epoch: int, count: int, state: State) -> Record:
        identity = self._identity
        return Record(identity.id, epoch, count, state, identity.host, identity.directory)

    async def _put(self, record: Record) -> None:
        self._began = self._clock()
        await self._records.put(record)


def _last(found: dict[str, Record], own: str) -> Record | None:
    """Return the record of the registry, but for one's own, that serves the storage, or served it last."""
    owners = [record for record in found.values() if record.state in (State.OWNER, State.RELEASED) and record.id != own]
    return max(owners, key=lambda record: record.rank, default=None)
