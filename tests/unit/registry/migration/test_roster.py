"""What migrations and workers tell each other, also when one of them was killed."""

from __future__ import annotations

import contextlib
import errno
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from matou.registry.files import FileLock, RegistryFiles
from matou.registry.migration.roster import Plan, RosterEntry, WorkerState, read_plan, roster, write_plan

if TYPE_CHECKING:
    from pathlib import Path

PLAN = Plan("id-1", "/etc/b.yml", ("s3", "bucket"))
KILLED = """
import os, pathlib, signal, sys
from matou.registry.files import RegistryFiles
from matou.registry.migration.roster import RosterEntry, WorkerState
RosterEntry(RegistryFiles(pathlib.Path(sys.argv[1])), WorkerState(os.getpid(), False))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def files(tmp_path: Path) -> RegistryFiles:
    return RegistryFiles(tmp_path)


def test_workers_that_live_are_listed(files: RegistryFiles) -> None:
    assert roster(files) == []
    states = [WorkerState(number, number == 2) for number in (1, 2)]
    entries = [RosterEntry(files, state) for state in states]
    assert roster(files) == states
    entries[0].update(plan="id-1", problem="", directory="/d" * 100)
    entries[0].update(plan="id-1", problem="no", directory="/d")
    assert roster(files)[0] == WorkerState(1, readonly=False, plan="id-1", problem="no", directory="/d")
    for entry in entries:
        entry.close()
    assert roster(files) == []
    assert list(files.workers.iterdir()) == []


def test_the_dead_are_forgotten(files: RegistryFiles) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(files.directory)], check=False)
    assert done.returncode < 0
    assert len(list(files.workers.iterdir())) == 1
    assert roster(files) == []
    assert list(files.workers.iterdir()) == []


def test_a_directory_that_is_out_of_use_has_nobody(files: RegistryFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    files.workers.mkdir()
    (files.workers / "1-x.json").write_text("{}")

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("pathlib.Path.unlink", fail)
    assert roster(files) == []
    files.workers.rename(files.directory / "gone")
    files.workers.write_text("no directory")
    assert roster(files) == []


def test_what_is_being_written_says_nothing_yet(files: RegistryFiles) -> None:
    with contextlib.closing(RosterEntry(files, WorkerState(1, readonly=True))):
        (path,) = files.workers.iterdir()
        path.write_text("{")
        assert roster(files) == [WorkerState(0, readonly=False)]


def test_a_plan_counts_while_its_migration_lives(files: RegistryFiles) -> None:
    assert read_plan(files) is None
    with contextlib.closing(FileLock(files.plan_lock)) as lock:
        assert lock.try_exclusive()
        write_plan(files, PLAN)
        assert read_plan(files) == PLAN
        files.plan.write_text("{}")
        assert read_plan(files) is None
        write_plan(files, PLAN)
    assert read_plan(files) is None
