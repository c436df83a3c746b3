"""A registry that runs: its record is renewed, and it notices when another one has succeeded it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import sqlite3
from typing import TYPE_CHECKING, NamedTuple

import pytest

from matou.registry.drivers.base import StorageError, Transient
from matou.registry.drivers.object_driver import ObjectDriver
from matou.registry.errors import RegistryError
from matou.registry.files import FileLock, RegistryFiles
from matou.registry.index import changes
from matou.registry.index.connection import connect
from matou.registry.index.migrate import upgrade
from matou.registry.index.writer import Writer
from matou.registry.ownership import renewal
from matou.registry.ownership.claim import InUse
from matou.registry.ownership.identity import Known, identity_of, known_at, remember
from matou.registry.ownership.lease import LEASE, Lease
from matou.registry.ownership.leased_writer import LeasedWriter
from matou.registry.ownership.records import Record, Records, State
from matou.registry.ownership.renewal import RENEWAL, Renewal, keep_renewing
from matou.registry.ownership.start import is_outdated_for_reading, owned, release
from matou.registry.reindex import COMPLETE, is_complete
from tests.drivers.memory_store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("claim.SETTLE", "claim.POLL", "renewal.SETTLE"):
        monkeypatch.setattr(f"matou.registry.ownership.{name}", 0.01)


class Outage(MemoryStore):
    """A store that can be out of order."""

    is_out = False

    async def put(self, key: str, chunks: Sequence[bytes]) -> None:
        if self.is_out:
            raise Transient("out of order")
        await super().put(key, chunks)


class Worker(NamedTuple):
    """What a worker has."""

    renewal: Renewal
    lease: Lease
    writer: Writer


class Machine:
    """A directory with an index, and its clock.

    Args:
        folder: for it.
        store: that it serves.
    """

    def __init__(self, folder: Path, store: MemoryStore) -> None:
        self.files = RegistryFiles(folder)
        self.driver = ObjectDriver(store)
        self.records = Records(self.driver)
        self.now = 1000.0
        folder.mkdir(exist_ok=True)

    def make_index(self) -> None:
        upgrade(self.files.index)
        with contextlib.closing(connect(self.files.index, read_only=False)) as connection:
            changes.put_meta(connection, COMPLETE, "1")

    async def start(self) -> bool:
        """Start as a registry does; return whether its index was outdated."""
        is_usable = self.files.index.exists() and is_complete(self.files.index)
        async with owned(self.driver, self.files, is_usable=is_usable) as ownership:
            if not is_usable or ownership.outdated:
                self.make_index()
                with contextlib.closing(connect(self.files.index, read_only=False)) as connection:
                    ownership.tell(connection)
            return ownership.outdated

    async def own(self) -> Record | None:
        return (await self.records.all()).get(identity_of(self.files).id)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Worker]:
        """Yield what a worker has, with a lease that was granted now."""
        lease = Lease(self.files.lease, lambda: self.now)
        lease.reset()
        lease.grant(self.now)
        writer = Writer(self.files.index, asyncio.get_running_loop())
        try:
            yield Worker(Renewal(self.driver, self.files, writer, lease), lease, writer)
        finally:
            await writer.close()
            lease.close()


def run(tmp_path: Path, scenario: Callable[[Machine, Outage], Awaitable[None]]) -> None:
    async def whole() -> None:
        store = Outage()
        await scenario(Machine(tmp_path / "one", store), store)

    asyncio.run(whole())


def test_a_start_gives_a_new_index_its_record_and_the_next_one_goes_on(tmp_path: Path) -> None:
    async def scenario(machine: Machine, _store: Outage) -> None:
        assert not await machine.start()
        assert known_at(machine.files.index) == Known(1, 1)
        assert not await machine.start()
        assert known_at(machine.files.index) == Known(1, 2)
        own = await machine.own()
        assert own is not None
        assert (own.state, own.epoch, own.count) == (State.OWNER, 1, 2)
        lease = Lease(machine.files.lease)
        assert lease.is_good
        lease.close()

    run(tmp_path, scenario)


def test_renewals_are_made_when_due_by_one_of_all_workers(tmp_path: Path) -> None:
    async def scenario(machine: Machine, store: Outage) -> None:
        await machine.start()
        async with machine.running() as one, contextlib.aclosing(_other(machine, one)) as others:
            other = await anext(others)
            store.requests.clear()
            await asyncio.gather(one.renewal.renew_when_due(), other.renew_when_due())
            assert store.requests == []
            machine.now += RENEWAL
            await asyncio.gather(one.renewal.renew_when_due(), other.renew_when_due())
            assert sum(request.startswith("put") for request in store.requests) == 1
            assert one.lease.age == 0
            machine.now += RENEWAL
            with contextlib.closing(FileLock(machine.files.owner_lock)) as lock:
                assert lock.try_exclusive()
                await one.renewal.renew_when_due()
            assert one.lease.age == RENEWAL
        assert known_at(machine.files.index) == Known(1, 2)

    run(tmp_path, scenario)


async def _other(machine: Machine, worker: Worker) -> AsyncGenerator[Renewal, None]:
    yield Renewal(machine.driver, machine.files, worker.writer, worker.lease)


@pytest.mark.parametrize("state", [State.OWNER, State.RELEASED])
def test_a_registry_that_was_succeeded_stops_writing(
    tmp_path: Path, state: State, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(machine: Machine, _store: Outage) -> None:
        await machine.start()
        async with machine.running() as worker:
            leased = LeasedWriter(worker.writer, worker.lease)
            await leased.run(lambda connection: connection.execute("SELECT 1").fetchone())
            await machine.records.put(Record("f" * 32, 2, 1, state, "elsewhere", "/there"))
            machine.now += RENEWAL
            await worker.renewal.renew_when_due()
            assert worker.lease.is_lost
            with pytest.raises(RegistryError, match="another registry serves this storage now"):
                await leased.run(lambda connection: connection.execute("SELECT 1").fetchone())
            machine.now += RENEWAL
            await worker.renewal.renew_when_due()
            own = await machine.own()
            assert own is not None
            assert own.count == 1
        assert caplog.text.count("the registry on elsewhere (index in /there) serves the storage now") == 1

    run(tmp_path, scenario)


def test_a_claim_that_is_not_yet_made_or_an_old_record_changes_nothing(tmp_path: Path) -> None:
    async def scenario(machine: Machine, _store: Outage) -> None:
        await machine.start()
        async with machine.running() as worker:
            await machine.records.put(Record("f" * 32, 2, 1, State.CLAIMING))
            await machine.records.put(Record("e" * 32, 0, 9, State.OWNER))
            await machine.records.put(Record("d" * 32, 0, 0, State.LOOKING))
            machine.now += RENEWAL
            await worker.renewal.renew_when_due()
            assert worker.lease.is_good
            assert worker.lease.age == 0

    run(tmp_path, scenario)


def test_a_copy_of_the_directory_that_is_served_elsewhere_is_noticed(tmp_path: Path) -> None:
    async def scenario(machine: Machine, _store: Outage) -> None:
        await machine.start()
        async with machine.running() as worker:
            own = await machine.own()
            assert own is not None
            await machine.records.put(dataclasses.replace(own, count=own.count + 5, host="copy"))
            machine.now += RENEWAL
            await worker.renewal.renew_when_due()
            assert worker.lease.is_lost

    run(tmp_path, scenario)


def test_an_outage_ends_the_lease_and_its_end_brings_it_back(tmp_path: Path) -> None:
    async def scenario(machine: Machine, store: Outage) -> None:
        await machine.start()
        async with machine.running() as worker:
            store.is_out = True
            for _ in range(3):
                machine.now += RENEWAL
                with pytest.raises(StorageError, match="out of order"):
                    await worker.renewal.renew_when_due()
            assert (worker.lease.is_good, worker.lease.is_lost) == (False, False)
            store.is_out = False
            await worker.renewal.renew_when_due()
            assert (worker.lease.is_good, worker.lease.is_lost) == (True, False)
            # The record says what the index knows, whatever was written of the failed attempts.
            own, known = await machine.own(), known_at(machine.files.index)
            assert own is not None
            assert known == Known(own.epoch, own.count)

    run(tmp_path, scenario)


def test_after_an_outage_one_that_was_succeeded_in_the_last_moment_notices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(machine: Machine, _store: Outage) -> None:
        await machine.start()
        monkeypatch.setattr(renewal, "SETTLE", 0.1)
        async with machine.running() as worker:
            machine.now += LEASE + 1
            renewing = asyncio.create_task(worker.renewal.renew_when_due())
            await asyncio.sleep(0.05)
            assert not worker.lease.is_good
            await machine.records.put(Record("f" * 32, 2, 1, State.OWNER))
            await renewing
            assert worker.lease.is_lost

    run(tmp_path, scenario)


def test_a_renewal_that_does_not_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(machine: Machine, _store: Outage) -> None:
        await machine.start()
        monkeypatch.setattr(renewal, "LONGEST", 0.01)

        async def stall(_self: Renewal) -> None:
            await asyncio.sleep(3600)

        monkeypatch.setattr(Renewal, "_renew", stall)
        async with machine.running() as worker:
            machine.now += RENEWAL
            with pytest.raises(Transient, match="did not answer within"):
                await worker.renewal.renew_when_due()
            with contextlib.closing(FileLock(machine.files.owner_lock)) as lock:
                assert lock.try_exclusive()

    run(tmp_path, scenario)


def test_a_storage_that_comes_to_a_running_registry_is_claimed(tmp_path: Path) -> None:
    async def scenario(machine: Machine, _store: Outage) -> None:
        machine.make_index()
        async with machine.running() as worker:
            worker.lease.reset()
            await worker.renewal.renew_when_due()
            assert worker.lease.is_good
        own, known = await machine.own(), known_at(machine.files.index)
        assert own is not None
        assert own.state is State.OWNER
        assert known == Known(own.epoch, own.count)

    run(tmp_path, scenario)


def test_a_storage_that_comes_to_a_running_registry_and_is_served_is_left_alone(tmp_path: Path) -> None:
    async def scenario(machine: Machine, _store: Outage) -> None:
        machine.make_index()
        other = Record("f" * 32, 2, 1, State.OWNER, "elsewhere", "/there")

        async def renew() -> None:
            for count in range(2, 50):
                await asyncio.sleep(0.01)
                await machine.records.put(dataclasses.replace(other, count=count))

        await machine.records.put(other)
        renewing = asyncio.create_task(renew())
        async with machine.running() as worker:
            worker.lease.reset()
            await worker.renewal.renew_when_due()
            assert worker.lease.is_lost
        renewing.cancel()

    run(tmp_path, scenario)


def test_a_failure_is_told_once_an_outage(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(machine: Machine, store: Outage) -> None:
        await machine.start()
        monkeypatch.setattr(renewal, "LOOK", 0.001)
        store.is_out = True
        async with machine.running() as worker:
            machine.now += RENEWAL
            running = asyncio.create_task(worker.renewal.run())
            await asyncio.sleep(0.1)
            store.is_out = False
            await asyncio.sleep(0.1)
            assert worker.lease.age == 0
            running.cancel()
        assert (
            caplog.text.count("could not be renewed, and without that nothing is pushed after 45 s: out of order") == 1
        )

    run(tmp_path, scenario)


def test_an_outdated_index_is_given_up_before_another_is_built(tmp_path: Path) -> None:
    async def scenario(machine: Machine, store: Outage) -> None:
        await machine.start()
        await release(machine.driver, machine.files)
        other = Machine(tmp_path / "other", store)
        await other.start()
        await release(other.driver, other.files)
        is_usable = is_complete(machine.files.index)
        assert is_usable
        with contextlib.suppress(KeyboardInterrupt):
            async with owned(machine.driver, machine.files, is_usable=is_usable) as ownership:
                assert ownership.outdated
                assert not is_complete(machine.files.index)
                raise KeyboardInterrupt
        # The build was cut off; the next start has the storage at once, as its own record says.
        assert not await machine.start()
        assert is_complete(machine.files.index)

    run(tmp_path, scenario)


def test_a_build_that_takes_long_renews_and_ends_when_another_one_succeeds(tmp_path: Path) -> None:
    async def scenario(machine: Machine, store: Outage) -> None:
        lease = Lease(machine.files.lease, lambda: machine.now)
        record = Record("a" * 32, 1, 1, State.OWNER)
        keeping = asyncio.create_task(keep_renewing(machine.records, record, lease, 0.01))
        await asyncio.sleep(0.1)
        assert sum(request.startswith("put") for request in store.requests) > 1
        assert lease.is_good
        await machine.records.put(Record("f" * 32, 2, 1, State.OWNER))
        with pytest.raises(InUse):
            await keeping
        lease.close()

    run(tmp_path, scenario)


def test_a_registry_that_only_reads_claims_nothing_and_learns_of_others(tmp_path: Path) -> None:
    async def scenario(machine: Machine, store: Outage) -> None:
        reader = Machine(tmp_path / "reader", store)
        reader.make_index()
        assert not await is_outdated_for_reading(reader.driver, reader.files)
        await machine.start()
        store.requests.clear()
        assert await is_outdated_for_reading(reader.driver, reader.files)
        assert not any(request.startswith(("put", "delete")) for request in store.requests)
        assert not await is_outdated_for_reading(machine.driver, machine.files)
        with contextlib.closing(connect(machine.files.index, read_only=False)) as connection:
            remember(connection, Known(1, 0))
        assert await is_outdated_for_reading(machine.driver, machine.files)

    run(tmp_path, scenario)


def test_a_stop_releases_what_is_ones_own(tmp_path: Path) -> None:
    async def scenario(machine: Machine, store: Outage) -> None:
        await machine.start()
        await release(machine.driver, machine.files)
        own = await machine.own()
        assert own is not None
        assert own.state is State.RELEASED
        assert known_at(machine.files.index) == Known(own.epoch, own.count)
        store.requests.clear()
        await release(machine.driver, machine.files)
        assert not any(request.startswith("put") for request in store.requests)

    run(tmp_path, scenario)


def test_the_own_record_of_a_directory_is_kept_over_a_lost_index(tmp_path: Path) -> None:
    async def scenario(machine: Machine, _store: Outage) -> None:
        await machine.start()
        before = identity_of(machine.files)
        machine.files.index.unlink()
        assert not await machine.start()
        assert identity_of(machine.files) == before
        with contextlib.closing(sqlite3.connect(machine.files.index)) as connection:
            assert connection.execute("SELECT count(*) FROM meta WHERE name LIKE 'owner%'").fetchone() == (2,)

    run(tmp_path, scenario)
