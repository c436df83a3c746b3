"""What surrounds the copying: who may be at work meanwhile, and what becomes of the index."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from matou.config.distribution import load_configuration
from matou.registry.blobs import layout
from matou.registry.content.digest import Digest
from matou.registry.drivers.base import StorageError
from matou.registry.drivers.filesystem import FilesystemDriver
from matou.registry.files import FileLock
from matou.registry.index import changes
from matou.registry.index.connection import connect
from matou.registry.migration.bulk import Options
from matou.registry.migration.guards import MigrationRefused, check_distinct, check_sides
from matou.registry.migration.moved import Moved, write_moved
from matou.registry.migration.offline import migrate
from matou.registry.migration.report import Silent
from matou.registry.migration.roster import RosterEntry, WorkerState
from tests.unit.registry.migration.sides import Side
from tests.unit.registry.migration.trees import LAYER, NAME, content_of, image_objects, tree_objects

if TYPE_CHECKING:
    from matou.registry.migration.report import Report


@pytest.fixture
def source(tmp_path: Path) -> Side:
    side = Side(tmp_path / "source")
    side.fill(tree_objects())
    return side


@pytest.fixture
def destination(tmp_path: Path) -> Side:
    return Side(tmp_path / "destination")


def migrated(source: Side, destination: Side, **options: bool) -> Report:
    return migrate(source.configuration, destination.configuration, Options(**options), Silent())


def test_the_index_goes_along(source: Side, destination: Side) -> None:
    source.index_anew()
    with contextlib.closing(connect(source.files.index, read_only=False)) as connection:
        connection.execute("UPDATE tags SET created = 1234 WHERE name = '1'")
        changes.put_blob(connection, NAME, Digest.of(b"more"), 4, "somebody")
    report = migrated(source, destination)
    assert report.index == "copied"
    with destination.served() as reader, contextlib.closing(connect(destination.files.index, read_only=True)) as there:
        assert reader.counts() == (2, 2, 2, 3)
        assert there.execute("SELECT created FROM tags WHERE name = '1'").fetchone() == (1234,)
        assert there.execute("SELECT actor FROM journal").fetchall() == [("somebody",)]
        assert there.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert there.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    # What the index knew and the tree did not show was written before it was copied.
    assert layout.layer_link(NAME, Digest.of(b"more")) in destination.content()


def test_without_an_index_the_first_start_builds_it(source: Side, destination: Side) -> None:
    report = migrated(source, destination)
    assert report.index == "left to the first start"
    with destination.served() as reader:
        assert reader.counts() == (2, 2, 2, 3)


def test_the_destinations_old_index_does_not_stay(source: Side, destination: Side) -> None:
    destination.index_anew()
    report = migrated(source, destination)
    assert report.index == "left to the first start"
    with destination.served() as reader:
        assert reader.counts() == (2, 2, 2, 3)


def test_what_only_the_destinations_index_knows_is_written_before_it_goes(source: Side, destination: Side) -> None:
    destination.fill(image_objects("theirs", "1", LAYER))
    destination.index_anew()
    source.index_anew()
    with contextlib.closing(connect(destination.files.index, read_only=False)) as connection:
        changes.put_blob(connection, "theirs/other", Digest.of(LAYER), len(LAYER), "somebody")
    report = migrated(source, destination)
    # The source's index would not name what is here besides.
    assert report.index == "left to the first start"
    assert report.surplus
    with destination.served() as reader:
        assert reader.blob_size("theirs/other", Digest.of(LAYER)) == len(LAYER)
        assert reader.tags("theirs", "", 10) == ["1"]
        assert reader.tags(NAME, "", 10) == ["1"]


def test_an_index_is_not_copied_when_something_failed(source: Side, destination: Side) -> None:
    source.index_anew()
    source.fill({layout.blob_data(Digest.of(LAYER)): b"damaged"})
    report = migrated(source, destination)
    assert report.failed
    assert report.index == "left to the first start"
    assert not destination.files.index.exists()


def test_a_damaged_index_is_left_behind(source: Side, destination: Side) -> None:
    source.index_anew()
    source.files.index.write_bytes(b"no database" * 1000)
    report = migrated(source, destination)
    assert report.is_complete
    assert report.index == "left to the first start"


def test_a_dry_run_leaves_everything(source: Side, destination: Side) -> None:
    source.index_anew()
    destination.index_anew()
    before = destination.files.index.read_bytes()
    with contextlib.closing(connect(source.files.index, read_only=False)) as connection:
        changes.put_blob(connection, NAME, Digest.of(b"more"), 4, "somebody")
    report = migrated(source, destination, dry_run=True)
    assert report.copied == len(tree_objects())
    assert report.index == "unchanged"
    assert destination.content() == {}
    assert source.content() == tree_objects()
    assert destination.files.index.read_bytes() == before


def test_a_registry_on_the_source_is_refused(source: Side, destination: Side) -> None:
    with source.served(), pytest.raises(MigrationRefused, match=r"--live.*readonly.enabled: true"):
        migrated(source, destination)
    assert not destination.files.directory.exists()


def test_a_read_only_registry_on_the_source_is_not(source: Side, destination: Side) -> None:
    quiet = Side(source.root, "{readonly: {enabled: true}}")
    with quiet.served() as reader:
        report = migrated(quiet, destination)
        assert reader.counts() == (2, 2, 2, 3)
    assert report.index == "copied"


def test_a_registry_on_the_destination_is_refused(source: Side, destination: Side) -> None:
    with destination.served(), pytest.raises(MigrationRefused, match="at work on the destination"):
        migrated(source, destination)


def test_no_registry_starts_on_either_side_meanwhile(source: Side, destination: Side) -> None:
    held: list[bool] = []

    class Looking(Silent):
        def progress(self, *_: object) -> None:
            for side in (source, destination):
                with contextlib.closing(FileLock(side.files.lock)) as lock:
                    held.append(not lock.try_exclusive())

    migrate(source.configuration, destination.configuration, Options(), Looking())
    assert held
    assert all(held)


@pytest.mark.parametrize("link", [False, True], ids=["same path", "symbolic link"])
def test_one_storage_is_refused_as_both(source: Side, tmp_path: Path, *, link: bool) -> None:
    other = source
    if link:
        (tmp_path / "link").symlink_to(source.root)
        other = Side(tmp_path / "link")
    with pytest.raises(MigrationRefused, match="are the same storage"):
        migrated(source, other)


@pytest.mark.parametrize("inner", ["source", "destination"])
def test_one_storage_inside_the_other_is_refused(source: Side, inner: str) -> None:
    (source.root / "docker" / "more").mkdir()
    within, around = Side(source.root / "docker" / "more"), source
    sides = (within, around) if inner == "source" else (around, within)
    with pytest.raises(MigrationRefused, match="lies inside the images of"):
        migrated(*sides)


def test_a_storage_that_has_two_names_is_told_by_what_is_written_to_it(source: Side) -> None:
    async def main() -> None:
        one, other = FilesystemDriver(source.root), FilesystemDriver(source.root)
        with pytest.raises(MigrationRefused, match="are the same storage"):
            await check_distinct(one, other)
        assert await content_of(one, "matou") == {}
        await one.close()
        await other.close()

    asyncio.run(main())


def test_storage_in_memory_is_refused(source: Side, tmp_path: Path) -> None:
    path = tmp_path / "memory.yml"
    path.write_text("{version: 0.1, storage: {inmemory: {}}, http: {addr: ':1'}}")
    memory = load_configuration(path, {})
    for sides in ((source.configuration, memory), (memory, source.configuration)):
        with pytest.raises(MigrationRefused, match="inmemory driver"):
            migrate(*sides, Options(), Silent())


def test_a_source_that_is_not_there_is_not_made(destination: Side, tmp_path: Path) -> None:
    missing = Side(tmp_path / "missing")
    missing.root.rmdir()
    with pytest.raises(StorageError, match=r"has no directory .*missing; check storage.filesystem.rootdirectory"):
        migrated(missing, destination)
    assert not missing.root.exists()


def test_a_copy_that_cannot_be_written_leaves_no_part(
    source: Side, destination: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.index_anew()

    def fail(_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr("matou.registry.migration.indexes.sync", fail)
    with pytest.raises(StorageError, match="disk I/O error"):
        migrated(source, destination)
    assert [path.name for path in destination.files.directory.iterdir() if "index" in path.name] == []


def test_a_registry_that_was_started_before_it_was_made_read_only_is_refused(source: Side, destination: Side) -> None:
    quiet = Side(source.root, "{readonly: {enabled: true}}")
    with quiet.served(), contextlib.closing(RosterEntry(quiet.files, WorkerState(1, readonly=False))):
        with pytest.raises(MigrationRefused, match="started before it was made read-only"):
            migrated(quiet, destination)
        assert migrated(quiet, destination, dry_run=True).copied == len(tree_objects())


def test_a_source_that_was_moved_is_refused(source: Side, destination: Side) -> None:
    moved = Moved(1, 1.8e9, "/etc/c.yml", ("s3", "bucket"))
    write_moved(source.files.moved, moved)
    with pytest.raises(MigrationRefused, match=r"moved to s3 bucket at .*; give /etc/c.yml as --from"):
        migrated(source, destination)


def test_a_destination_that_was_moved_away_from_is_in_charge_again(source: Side, destination: Side) -> None:
    destination.files.directory.mkdir(exist_ok=True)
    write_moved(destination.files.moved, Moved(1, 1.8e9, str(source.path), source.configuration.storage.identity))
    damaged = layout.blob_data(Digest.of(LAYER))
    source.fill({damaged: b"damaged"})
    assert not migrated(source, destination).is_complete
    assert destination.files.moved.exists()
    source.fill({damaged: LAYER})
    assert migrated(source, destination).is_complete
    assert not destination.files.moved.exists()


@pytest.mark.parametrize("place", ["index", "images", "new index"])
def test_root_does_not_work_for_another_user(
    source: Side, destination: Side, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    if place == "index":
        source.index_anew()
    places = {"index": source.files.index, "images": source.root / "docker", "new index": destination.root}
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    stat = Path.stat

    def owned(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        found = list(stat(path, follow_symlinks=follow_symlinks))
        found[4] = 65534 if path == places[place] else 0
        return os.stat_result(found)

    monkeypatch.setattr(Path, "stat", owned)
    with pytest.raises(MigrationRefused, match=rf"{places[place]} belongs to .* as that user: sudo -u \S+ "):
        migrated(source, destination)


def test_a_dry_run_makes_nothing(source: Side, tmp_path: Path) -> None:
    missing = Side(tmp_path / "missing")
    missing.root.rmdir()
    report = migrated(source, missing, dry_run=True, delete=True)
    assert (report.copied, report.destination_count) == (len(tree_objects()), 0)
    assert not missing.root.exists()


@pytest.mark.parametrize(("one", "other"), [("", "docker/x"), ("a", "a/docker"), ("a", "a/docker/registry/v2")])
def test_one_root_directory_inside_the_images_of_another_is_refused(tmp_path: Path, one: str, other: str) -> None:
    sides = []
    for number, root in enumerate((one, other)):
        path = tmp_path / f"{number}.yml"
        bucket = f"{{bucket: b, region: eu-central-1, rootdirectory: '/{root}'}}"
        path.write_text(f"{{version: 0.1, storage: {{s3: {bucket}}}, http: {{addr: ':1'}}}}")
        sides.append(load_configuration(path, {}))
    for pair in (sides, sides[::-1]):
        with pytest.raises(MigrationRefused, match="lies inside the images of the other side"):
            check_sides(*pair)


def test_root_directories_beside_each_other_are_not_refused(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.yml" for number in range(2)]
    for path, root in zip(paths, ("a", "a/b"), strict=True):
        bucket = f"{{bucket: b, region: eu-central-1, rootdirectory: '/{root}'}}"
        path.write_text(f"{{version: 0.1, storage: {{s3: {bucket}}}, http: {{addr: ':1'}}}}")
    check_sides(*(load_configuration(path, {}) for path in paths))
