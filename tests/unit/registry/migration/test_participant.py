"""A worker's part: it says whether it could go along, and goes when the moment is there."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

import pytest

from matou.registry.drivers.base import StorageError
from matou.registry.files import FileLock
from matou.registry.migration import participant as module
from matou.registry.migration.moved import Moved, Residence, write_moved
from matou.registry.migration.participant import Participant
from matou.registry.migration.roster import Plan, WorkerState, roster, write_plan
from tests.unit.registry.migration.sides import Side

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


class Worker:
    """A worker that remembers where it was told to go, and cannot go as often as it is told."""

    def __init__(self, here: Side, environ: dict[str, str] | None = None) -> None:
        self.went: list[Residence] = []
        self.locks: list[FileLock] = []
        self.failures: list[Exception] = []
        place = Residence(here.configuration, here.files)
        self.participant = Participant(place, self._exchange, environ or {})

    async def _exchange(self, there: Residence, lock: FileLock) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.went.append(there)
        self.locks.append(lock)


@pytest.fixture
def here(tmp_path: Path) -> Side:
    return indexed(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> Side:
    return indexed(tmp_path / "there")


def indexed(root: Path) -> Side:
    side = Side(root)
    side.index_anew()
    return side


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INTERVAL", 0.005)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 -- what is waited for is in files
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def at_work(worker: Worker) -> AsyncIterator[None]:
    worker.participant.start(asyncio.get_running_loop())
    try:
        yield
    finally:
        await worker.participant.stop()
        for lock in worker.locks:
            lock.close()


def planned(here: Side, there: Side, number: str = "1") -> Plan:
    plan = Plan(number, str(there.path), there.configuration.storage.identity)
    write_plan(here.files, plan)
    return plan


def the_one(side: Side) -> WorkerState:
    (state,) = roster(side.files)
    return state


def test_it_tries_the_new_storage_and_says_so(here: Side, there: Side) -> None:
    async def main() -> None:
        with contextlib.closing(FileLock(here.files.plan_lock)) as lock:
            assert lock.try_exclusive()
            async with at_work(Worker(here)):
                assert the_one(here).plan == ""
                planned(here, there)
                await until(lambda: the_one(here).plan == "1")
                assert the_one(here).problem == ""
                assert the_one(here).directory == str(there.files.directory)
                there.path.unlink()
                planned(here, there, "2")
                await until(lambda: the_one(here).plan == "2")
                assert "cannot be read" in the_one(here).problem
            assert roster(here.files) == []

    asyncio.run(main())


def test_a_plan_of_the_past_is_ignored(here: Side, there: Side) -> None:
    async def main() -> None:
        planned(here, there)
        async with at_work(Worker(here)):
            await asyncio.sleep(0.1)
            assert the_one(here).plan == ""

    asyncio.run(main())


def test_a_configuration_that_means_another_storage_here(here: Side, there: Side, tmp_path: Path) -> None:
    async def main() -> None:
        with contextlib.closing(FileLock(here.files.plan_lock)) as lock:
            assert lock.try_exclusive()
            async with at_work(Worker(here)):
                write_plan(here.files, Plan("1", str(there.path), ("filesystem", str(tmp_path / "third"))))
                await until(lambda: the_one(here).plan == "1")
                assert "names another storage for the registry than for the migration" in the_one(here).problem

    asyncio.run(main())


def test_it_goes_when_the_moment_is_there(here: Side, there: Side, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

    async def main() -> None:
        worker = Worker(here)
        worker.failures = [StorageError("not yet"), StorageError("not yet"), KeyError("x")]
        with contextlib.closing(FileLock(there.files.lock)) as lock:
            assert lock.try_exclusive()
            async with at_work(worker):
                write_moved(here.files.moved, Moved(1, 1.8e9, str(there.path), there.configuration.storage.identity))
                await asyncio.sleep(0.05)
                assert len(worker.failures) == 3, "somebody has the new storage alone"
                lock.release()
                await until(lambda: bool(worker.went))
                await until(lambda: not roster(here.files))
                assert len(roster(there.files)) == 1
                assert not lock.try_exclusive()
                # And back again, which is a move like any other.
                write_moved(there.files.moved, Moved(2, 1.8e9, str(here.path), here.configuration.storage.identity))
                await until(lambda: bool(roster(here.files)))
                assert [each.files for each in worker.went] == [there.files, here.files]
                assert roster(there.files) == []
                assert not here.files.moved.exists()
                # Uploads of the storage that was left are found, and others that still work with it waited for.
                assert worker.went[1].left == there.files
                assert worker.went[1].previous == worker.went[0].configuration

    asyncio.run(main())
    text = caplog.text
    assert text.count("this worker cannot go along: not yet") == 1
    assert "going on with that" in text


def test_the_second_to_go_back_knows_as_much_as_the_first(here: Side, there: Side) -> None:
    async def main() -> None:
        worker = Worker(here)
        async with at_work(worker):
            write_moved(here.files.moved, Moved(1, 1.8e9, str(there.path), there.configuration.storage.identity))
            await until(lambda: bool(roster(there.files)))
            # Somebody else has gone back already, and has deleted what was of the past.
            here.files.moved.unlink()
            write_moved(there.files.moved, Moved(2, 1.8e9, str(here.path), here.configuration.storage.identity))
            await until(lambda: bool(roster(here.files)))
            assert worker.went[1].left == there.files
            assert worker.went[1].previous == worker.went[0].configuration

    asyncio.run(main())


def test_one_that_cannot_follow_stays_and_says_why(here: Side, there: Side, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        worker = Worker(here)
        async with at_work(worker):
            write_moved(here.files.moved, Moved(1, 1.8e9, str(there.path), ("s3", "another")))
            await until(lambda: "names another storage now" in caplog.text)
            assert worker.went == []
            assert len(roster(here.files)) == 1

    asyncio.run(main())


def test_a_worker_without_a_place_for_its_file_works_all_the_same(here: Side, there: Side) -> None:
    async def main() -> None:
        here.files.workers.write_text("in the way")
        worker = Worker(here)
        async with at_work(worker):
            write_moved(here.files.moved, Moved(1, 1.8e9, str(there.path), there.configuration.storage.identity))
            await until(lambda: bool(worker.went))

    here.index_anew()
    asyncio.run(main())
