"""Following a registry whose clients push faster than can be copied."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from matou.registry.drivers.base import StorageError
from matou.registry.files import RegistryFiles
from matou.registry.migration import approach as module
from matou.registry.migration.approach import Approach
from matou.registry.migration.report import Silent
from matou.registry.write_gate import WriteGate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

COPYING = 0.002  # seconds that a change takes to be copied
PUSHED = 5  # changes that clients make in a millisecond or more, where nobody holds them up


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("FEW", 10),
        ("PIECE", 20),
        ("CHECK", 0.1),
        ("FIRST_HOLD", 0.1),
        ("LONGEST_HOLD", 0.8),
        ("INTERVAL", 0.01),
    ):
        monkeypatch.setattr(module, name, value)


class Backlog:
    """Changes that wait to be copied, as a follower sees them."""

    def __init__(self, count: int) -> None:
        self.waiting = count
        self.changes = 0
        self.problem: StorageError | None = None

    async def catch_up(self, most: int) -> int:
        if self.problem is not None:
            raise self.problem
        count = min(self.waiting, most)
        await asyncio.sleep(COPYING * count)
        self.waiting -= count
        self.changes += count
        return count

    def behind(self) -> int:
        return self.waiting

    def pending(self, limit: int) -> tuple[int, int]:
        return min(self.waiting, limit), 0


@contextlib.asynccontextmanager
async def pushing(gate: WriteGate, backlog: Backlog) -> AsyncIterator[None]:
    """Push without a pause while the body runs."""

    async def push() -> None:
        while True:
            if gate.try_enter():
                gate.leave()
                backlog.waiting += PUSHED
            await asyncio.sleep(0.001)

    task = asyncio.create_task(push())
    try:
        yield
    finally:
        task.cancel()


def test_pushes_that_come_faster_than_they_are_copied_are_slowed_down(tmp_path: Path) -> None:
    async def main() -> None:
        files, backlog = RegistryFiles(tmp_path), Backlog(50)
        with contextlib.closing(WriteGate(files)) as gate:
            approach = Approach(backlog, files, Silent())
            async with asyncio.timeout(60), pushing(gate, backlog):
                await approach.run()
            assert approach.slowed > 0
            assert approach.is_little()
            # In the end nobody is held up.
            assert gate.try_enter()
            gate.leave()

    asyncio.run(main())


def test_a_backlog_that_gets_shorter_by_itself_holds_nobody_up(tmp_path: Path) -> None:
    async def main() -> None:
        files, backlog = RegistryFiles(tmp_path), Backlog(300)
        approach = Approach(backlog, files, Silent())
        await approach.run()
        assert (approach.slowed, backlog.changes) == (0, 300)

    asyncio.run(main())


def test_a_failure_lets_changes_go_on(tmp_path: Path) -> None:
    async def main() -> None:
        files, backlog = RegistryFiles(tmp_path), Backlog(50)
        with contextlib.closing(WriteGate(files)) as gate:
            approach = Approach(backlog, files, Silent())

            async def fail() -> None:
                while gate.try_enter():
                    gate.leave()
                    await asyncio.sleep(0.001)
                backlog.problem = StorageError("gone")

            failing = asyncio.create_task(fail())
            async with asyncio.timeout(60), pushing(gate, backlog):
                with pytest.raises(StorageError, match="gone"):
                    await approach.run()
            await failing
            assert approach.slowed > 0
            assert gate.try_enter()
            gate.leave()

    asyncio.run(main())
