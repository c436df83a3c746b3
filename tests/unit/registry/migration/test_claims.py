"""Registries and migrations of other machines, as their records in object storage show them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from matou.registry.drivers.base import StorageError
from matou.registry.drivers.object_driver import ObjectDriver
from matou.registry.files import FileLock, RegistryFiles
from matou.registry.index import changes
from matou.registry.index.connection import connect
from matou.registry.index.migrate import upgrade
from matou.registry.migration.claims import SourceWatch, check_owner, destination_claimed, is_up_to_date
from matou.registry.migration.guards import MigrationRefused
from matou.registry.ownership.claim import InUse
from matou.registry.ownership.identity import identity_of
from matou.registry.ownership.records import Record, Records, State
from matou.registry.ownership.start import owned, release
from matou.registry.reindex import COMPLETE
from tests.drivers.memory_store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from matou.registry.ownership.start import Ownership

ELSEWHERE = Record("0" * 32, 9, 1, State.OWNER, "other", "/there")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ownership.claim.SETTLE", "ownership.claim.POLL", "migration.claims.POLL"):
        monkeypatch.setattr(f"matou.registry.{name}", 0.01)
    monkeypatch.setattr("matou.registry.migration.claims.RENEWED_WITHIN", 0.1)


class Machine:
    """A directory of a machine for one storage.

    Args:
        folder: it.
        store: the storage.
    """

    def __init__(self, folder: Path, store: MemoryStore) -> None:
        folder.mkdir(exist_ok=True)
        self.files = RegistryFiles(folder)
        self.driver = ObjectDriver(store)
        self.records = Records(self.driver)

    async def serve(self) -> bool:
        """Start and stop a registry; return whether what its index knew was outdated."""
        is_usable = self.files.index.exists()
        async with owned(self.driver, self.files, is_usable=is_usable) as ownership:
            upgrade(self.files.index)
            with contextlib.closing(connect(self.files.index, read_only=False)) as index:
                changes.put_meta(index, COMPLETE, "1")
                ownership.tell(index)
        await release(self.driver, self.files)
        return ownership.outdated

    @contextlib.asynccontextmanager
    async def claimed(self) -> AsyncIterator[Ownership]:
        """Be a migration to the storage."""
        with contextlib.closing(FileLock(self.files.lock)) as lock:
            assert lock.try_exclusive()
            async with destination_claimed(self.driver, self.files, lock) as ownership:
                assert ownership is not None
                yield ownership

    async def own(self) -> Record | None:
        return (await self.records.all()).get(identity_of(self.files).id)


def run(tmp_path: Path, scenario: Callable[[Machine, Machine], Awaitable[None]]) -> None:
    async def whole() -> None:
        store = MemoryStore(1 << 20)
        await scenario(Machine(tmp_path / "here", store), Machine(tmp_path / "there", store))

    asyncio.run(whole())


def test_the_destination_of_a_migration_is_nobody_elses(tmp_path: Path) -> None:
    async def scenario(here: Machine, there: Machine) -> None:
        async with here.claimed():
            with pytest.raises(InUse, match=r"index in .*/here\) serves this storage"):
                await there.serve()
            with pytest.raises(
                MigrationRefused, match=r"index in .*/here\) serves the storage of --to, or copies to it"
            ):
                async with there.claimed():
                    pass
        own = await here.own()
        assert own is not None
        assert own.state is State.RELEASED
        # Nobody has to wait.
        await there.serve()

    run(tmp_path, scenario)


def test_what_another_machine_knew_before_is_outdated(tmp_path: Path) -> None:
    async def scenario(here: Machine, there: Machine) -> None:
        await there.serve()
        assert not await there.serve()
        async with here.claimed() as ownership:
            assert ownership.outdated
        assert await there.serve()
        # And the other way round: the index here is of the past.
        await here.serve()
        await there.serve()
        async with here.claimed() as ownership:
            assert ownership.outdated

    run(tmp_path, scenario)


def test_a_migration_that_fails_releases_the_destination(tmp_path: Path) -> None:
    async def scenario(here: Machine, there: Machine) -> None:
        with pytest.raises(StorageError, match="full"):
            async with here.claimed():
                raise StorageError("full")
        await there.serve()

    run(tmp_path, scenario)


def test_a_destination_that_is_served_in_the_end_is_not_released(tmp_path: Path) -> None:
    async def scenario(here: Machine, _there: Machine) -> None:
        with (
            contextlib.closing(FileLock(here.files.lock)) as lock,
            contextlib.closing(FileLock(here.files.lock)) as worker,
        ):
            assert lock.try_exclusive()
            async with destination_claimed(here.driver, here.files, lock):
                assert lock.try_share()
                assert worker.try_share()
        own = await here.own()
        assert own is not None
        assert own.state is State.OWNER

    run(tmp_path, scenario)


def test_a_migration_that_was_succeeded_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matou.registry.ownership.renewal.keep_renewing.__defaults__", (0.01,))

    async def scenario(here: Machine, _there: Machine) -> None:
        async def migrate() -> None:
            async with here.claimed():
                await here.records.put(ELSEWHERE)
                await asyncio.sleep(30)

        with pytest.raises(MigrationRefused, match=r"on other .* serves the storage of --to"):
            await migrate()

    run(tmp_path, scenario)


def test_a_source_that_another_machine_serves_is_refused(tmp_path: Path) -> None:
    async def scenario(here: Machine, _there: Machine) -> None:
        watch = SourceWatch(here.driver, here.files)
        await watch.begin()
        await here.records.put(ELSEWHERE)
        with pytest.raises(MigrationRefused, match=r"on other \(index in /there\) serves the source"):
            await watch.check()
        renewing = asyncio.create_task(_renew(here.records))
        with pytest.raises(MigrationRefused, match="serves the source"):
            await SourceWatch(here.driver, here.files).begin()
        renewing.cancel()
        # Of one that does not renew its record nothing is to be feared, unless it comes back.
        watch = SourceWatch(here.driver, here.files)
        await watch.begin()
        await watch.check()
        await here.records.put(Record(ELSEWHERE.id, 9, 1000, State.OWNER, "other", "/there"))
        with pytest.raises(MigrationRefused, match="serves the source"):
            await watch.check()

    run(tmp_path, scenario)


async def _renew(records: Records) -> None:
    for count in range(2, 1000):
        await records.put(Record(ELSEWHERE.id, 9, count, State.OWNER, "other", "/there"))
        await asyncio.sleep(0.02)


def test_an_index_of_the_source_that_others_have_outdated_does_not_count(tmp_path: Path) -> None:
    async def scenario(here: Machine, there: Machine) -> None:
        assert not await is_up_to_date(here.driver, here.files)
        await here.serve()
        assert await is_up_to_date(here.driver, here.files)
        await there.serve()
        assert not await is_up_to_date(here.driver, here.files)
        here.files.index.write_bytes(b"no database" * 1000)
        assert not await is_up_to_date(here.driver, here.files)

    run(tmp_path, scenario)


def test_a_source_that_is_followed_is_this_machines(tmp_path: Path) -> None:
    async def scenario(here: Machine, _there: Machine) -> None:
        await here.serve()
        await here.records.put(Record("0" * 32, 0, 0, State.LOOKING, "other", "/there"))
        await check_owner(here.driver, here.files)
        for state in (State.OWNER, State.RELEASED):
            await here.records.put(Record("0" * 32, 2, 1, state, "other", "/there"))
            with pytest.raises(MigrationRefused, match=r"on other \(index in /there\) serves the storage of --from"):
                await check_owner(here.driver, here.files)
        await here.records.delete(ELSEWHERE)
        own = await here.own()
        assert own is not None
        await here.records.put(Record(own.id, own.epoch, own.count + 1, State.RELEASED, "here", "/copy"))
        with pytest.raises(MigrationRefused, match=r"on here \(index in /copy\) serves the storage of --from"):
            await check_owner(here.driver, here.files)

    run(tmp_path, scenario)
