"""``--live`` where no registry, or an unusual one, runs."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from matou.registry.blobs import layout
from matou.registry.content.digest import Digest
from matou.registry.drivers.base import StorageError
from matou.registry.files import FileLock
from matou.registry.migration import live
from matou.registry.migration.bulk import Options
from matou.registry.migration.guards import MigrationRefused
from matou.registry.migration.live import Paths, migrate_live
from matou.registry.migration.moved import Moved, read_moved, write_moved
from matou.registry.migration.report import Silent
from matou.registry.migration.residence import residence
from matou.registry.migration.roster import RosterEntry, WorkerState, read_plan
from matou.registry.write_gate import WriteGate
from tests.unit.registry.migration.sides import Side
from tests.unit.registry.migration.trees import LAYER, image_objects, tree_objects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from matou.registry.migration.report import Report
    from matou.registry.migration.roster import Plan


@pytest.fixture
def source(tmp_path: Path) -> Side:
    side = Side(tmp_path / "source")
    side.fill(tree_objects())
    side.index_anew()
    return side


@pytest.fixture
def destination(tmp_path: Path) -> Side:
    return Side(tmp_path / "destination")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("READY", 1.0), ("PATIENCE", 10.0), ("REST", 0.05), ("LEAVE", 0.5), ("STARTING", 0.3)):
        monkeypatch.setattr(live, name, seconds)


def migrated(source: Side, destination: Side, **options: bool) -> Report:
    paths = Paths(source.path, destination.path)
    return migrate_live(source.configuration, destination.configuration, paths, Options(**options), Silent())


def test_without_a_registry_the_next_start_follows(source: Side, destination: Side) -> None:
    report = migrated(source, destination)
    assert (report.switched, report.index, report.changes, report.agrees) == (True, "copied", 0, True)
    assert destination.content() == tree_objects()
    here = residence(source.configuration, source.files, {})
    assert here.files == destination.files
    with destination.served() as reader:
        assert reader.counts() == (2, 2, 2, 3)
    assert not source.files.plan.exists()
    assert not (destination.root / live.BEGUN).exists()


def test_again_and_back_and_forth(source: Side, destination: Side) -> None:
    migrated(source, destination)
    again = migrated(source, destination)
    assert (again.switched, again.objects) == (True, 0)
    for number, (here, there) in enumerate(((destination, source), (source, destination), (destination, source)), 2):
        assert migrated(here, there).copied == 0
        moved = read_moved(here.files.moved)
        assert moved is not None
        assert (moved.number, moved.configuration) == (number, str(there.path))
        assert not there.files.moved.exists()


def test_a_third_storage_is_not_where_the_images_are(source: Side, destination: Side, tmp_path: Path) -> None:
    migrated(source, destination)
    with pytest.raises(MigrationRefused, match=r"give .* as --from"):
        migrated(source, Side(tmp_path / "third"))


def test_a_source_without_an_index_is_refused(destination: Side, tmp_path: Path) -> None:
    bare = Side(tmp_path / "bare")
    bare.fill(tree_objects())
    with pytest.raises(MigrationRefused, match="no index yet"):
        migrated(bare, destination)


def test_one_migration_at_a_time(source: Side, destination: Side) -> None:
    with contextlib.closing(FileLock(source.files.plan_lock)) as lock:
        assert lock.try_exclusive()
        with pytest.raises(MigrationRefused, match="another migration"):
            migrated(source, destination)


def test_a_source_that_is_being_indexed_is_refused(source: Side, destination: Side) -> None:
    with contextlib.closing(FileLock(source.files.lock)) as lock:
        assert lock.try_exclusive()
        with pytest.raises(MigrationRefused, match="working on the source alone"):
            migrated(source, destination)


def test_a_registry_that_takes_no_part_is_refused(source: Side, destination: Side) -> None:
    with source.served(), pytest.raises(MigrationRefused, match="does not take part"):
        migrated(source, destination)
    assert not destination.content()


@contextlib.contextmanager
def worker(side: Side, answer: Callable[[Plan], dict[str, Any]] | None) -> Iterator[None]:
    """Be a registry with a worker that answers plans, or does not."""
    stop = threading.Event()

    def look() -> None:
        with contextlib.closing(RosterEntry(side.files, WorkerState(4711, readonly=False))) as entry:
            while not stop.is_set() and not side.files.moved.exists():
                plan = read_plan(side.files)
                if plan is not None and answer is not None and entry.state.plan != plan.id:
                    entry.update(**{"plan": plan.id, "problem": "", "directory": "", **answer(plan)})
                time.sleep(0.01)

    with side.served():
        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def test_a_registry_that_goes_along(source: Side, destination: Side) -> None:
    with worker(source, lambda _: {"directory": str(destination.files.directory)}):
        assert migrated(source, destination).switched


def test_a_registry_that_cannot_go_along_is_heard_before_anything_is_copied(source: Side, destination: Side) -> None:
    with (
        worker(source, lambda plan: {"problem": f"{plan.configuration}: permission denied"}),
        pytest.raises(StorageError, match=r"process 4711 cannot use the new storage: .*\.yml: permission denied"),
    ):
        migrated(source, destination)
    assert not destination.content()
    assert not source.files.moved.exists()


def test_a_registry_that_does_not_answer(source: Side, destination: Side) -> None:
    with worker(source, None), pytest.raises(StorageError, match="process 4711 does not answer"):
        migrated(source, destination)


def test_a_registry_that_keeps_its_index_elsewhere(source: Side, destination: Side) -> None:
    with (
        worker(source, lambda _: {"directory": "/elsewhere"}),
        pytest.raises(MigrationRefused, match=r"in /elsewhere, the migration in .*; set MATOU_REGISTRY_STATE"),
    ):
        migrated(source, destination)


def test_a_change_that_does_not_end_leaves_the_old_storage_in_charge(
    source: Side, destination: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = WriteGate(source.files)
    assert gate.try_enter()
    with monkeypatch.context() as patched:
        patched.setattr(live, "ATTEMPTS", 2)
        patched.setattr(live, "PATIENCE", 0.05)
        with pytest.raises(StorageError, match="too busy for the switch-over 2 times; it goes on with the old storage"):
            migrated(source, destination)
    assert not source.files.moved.exists()
    gate.leave()
    # Changes go on, and the next attempt has little to do.
    assert gate.try_enter()
    gate.leave()
    gate.close()
    report = migrated(source, destination)
    assert (report.switched, report.copied) == (True, 0)


def test_what_the_destination_has_besides_is_deleted_only_when_that_is_wanted(source: Side, destination: Side) -> None:
    destination.fill(image_objects("theirs", "1", LAYER))
    with pytest.raises(MigrationRefused, match=r"has \d+ objects that the source lacks.*Add --delete"):
        migrated(source, destination)
    assert not source.files.moved.exists()
    report = migrated(source, destination, delete=True)
    assert report.switched
    assert destination.content() == tree_objects()


def cut_off(source: Side, destination: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    """Migrate, and fail before the switch-over; then delete an image at the source."""
    with monkeypatch.context() as patched:
        patched.setattr(live, "write_moved", _fail)
        with pytest.raises(StorageError, match="killed"):
            migrated(source, destination)
    gone = set(image_objects("other", "v", LAYER, b"more")) - set(image_objects("x", "1", LAYER))
    for path in gone:
        (source.root / path).unlink()


def _fail(*_: object) -> None:
    raise StorageError("killed")


def test_what_an_earlier_run_has_copied_and_is_gone_since_is_deleted(
    source: Side, destination: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(source, destination, monkeypatch)
    destination.files.index.unlink()
    report = migrated(source, destination)
    assert report.switched
    assert report.deleted
    assert destination.content() == source.content()


def test_what_a_registry_has_served_since_is_not_deleted(
    source: Side, destination: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(source, destination, monkeypatch)
    destination.index_anew()
    for _ in range(2):  # the second time there is no index any more that shows it
        with pytest.raises(MigrationRefused, match="Add --delete"):
            migrated(source, destination)


def test_damage_is_reported_and_does_not_keep_the_registry_from_moving(source: Side, destination: Side) -> None:
    source.fill({layout.blob_data(Digest.of(LAYER)): b"damaged"})
    report = migrated(source, destination)
    assert report.switched
    assert report.failed
    assert not report.is_complete


def test_what_another_run_may_copy_keeps_the_registry_where_it_is(
    source: Side, destination: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> bool:
        raise StorageError("not now")

    monkeypatch.setattr("matou.registry.migration.copying.Copier.copy", fail)
    report = migrated(source, destination)
    assert not report.switched
    assert report.retryable
    assert not source.files.moved.exists()


def test_a_move_of_the_past_at_the_destination_is_outnumbered(source: Side, destination: Side) -> None:
    destination.files.directory.mkdir()
    past = Moved(7, 1.0, str(source.path), source.configuration.storage.identity)
    write_moved(destination.files.moved, past)
    migrated(source, destination)
    assert read_moved(source.files.moved) == replace(
        past,
        number=8,
        time=read_moved(source.files.moved).time,  # type: ignore[union-attr]
        configuration=str(destination.path),
        identity=destination.configuration.storage.identity,
    )
    assert not destination.files.moved.exists()
