"""``matou storage migrate`` as a shell runs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from matou.cli.transfer_display import bytes_text, duration_text
from matou.registry.blobs import layout
from matou.registry.content.digest import Digest
from tests.unit.cli.shell import matou
from tests.unit.registry.migration.trees import LAYER, tree_objects

if TYPE_CHECKING:
    from pathlib import Path


def configured(folder: Path, name: str, storage: str = "") -> str:
    path = folder / f"{name}.yml"
    storage = storage or f"{{filesystem: {{rootdirectory: {folder / name}}}}}"
    path.write_text(f"{{version: 0.1, storage: {storage}, http: {{addr: ':1'}}}}")
    return str(path)


@pytest.fixture
def sides(tmp_path: Path) -> tuple[str, str]:
    """The configurations of a tree and of a place for it."""
    for path, content in tree_objects().items():
        file = tmp_path / "old" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return configured(tmp_path, "old"), configured(tmp_path, "new")


def files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in (root / "docker").rglob("*") if path.is_file()}


def test_a_migration_and_its_report(sides: tuple[str, str], tmp_path: Path) -> None:
    count = len(tree_objects())
    done = matou("storage", "migrate", "--from", sides[0], "--to", sides[1])
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[:6] == [
        f"objects: {count} (8.6 MiB)",
        f"copied: {count} (8.6 MiB)",
        "already there: 0",
        "deleted: 0",
        "failed: 0",
        f"at the source: {count}, at the destination: {count} (uploads in progress are left out)",
    ]
    assert "the counts agree\n" in done.out
    assert files(tmp_path / "new") == set(tree_objects())
    again = matou("storage", "migrate", "--from", sides[0], "--to", sides[1], "--json", "--verify", "--jobs", "3")
    report = json.loads(again.out)
    assert (report["skipped"], report["copied"], report["complete"], report["agree"]) == (count, 0, True, True)


def test_a_dry_run_lists_what_it_would_do(sides: tuple[str, str], tmp_path: Path) -> None:
    surplus = tmp_path / "new" / layout.tag_current("gone", "t")
    surplus.parent.mkdir(parents=True)
    surplus.write_text(Digest.of(LAYER))
    done = matou("storage", "migrate", "--from", sides[0], "--to", sides[1], "--dry-run", "--delete")
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert {line for line in lines if line.startswith("would copy ")} == {
        f"would copy {path}" for path in tree_objects()
    }
    assert f"would delete {layout.tag_current('gone', 't')}" in lines
    assert "would be deleted: 1" in lines
    assert files(tmp_path / "new") == {layout.tag_current("gone", "t")}
    quiet = matou("storage", "migrate", "--from", sides[0], "--to", sides[1], "--dry-run", "--delete", "--json")
    assert json.loads(quiet.out)["deleted"] == 1


def test_damage_is_told_and_fails(sides: tuple[str, str], tmp_path: Path) -> None:
    damaged = layout.blob_data(Digest.of(LAYER))
    (tmp_path / "old" / damaged).write_bytes(b"damaged")
    done = matou("storage", "migrate", "--from", sides[0], "--to", sides[1])
    assert done.status == 1
    assert f"{damaged} was not copied: {damaged} has another digest at the source" in done.err
    assert done.err.splitlines()[-1].startswith("matou: 3 objects were not copied; the lines above say why.")
    assert "failed: 3" in done.out.splitlines()


def test_what_the_destination_has_besides_is_told(sides: tuple[str, str], tmp_path: Path) -> None:
    surplus = tmp_path / "new" / layout.tag_current("gone", "t")
    surplus.parent.mkdir(parents=True)
    surplus.write_text(Digest.of(LAYER))
    (tmp_path / "new" / "docker" / "notes").write_text("mine")
    foreign = "at the destination no registry has made 1 objects below docker/; they are left"
    done = matou("storage", "migrate", "--from", sides[0], "--to", sides[1])
    assert done.status == 0
    assert "the destination has 1 objects that the source lacks; --delete removes them" in done.out
    assert foreign in done.out
    done = matou("storage", "migrate", "--from", sides[0], "--to", sides[1], "--delete")
    assert done.status == 0
    assert foreign in done.out
    assert "the counts agree" in done.out
    assert files(tmp_path / "new") == {*tree_objects(), "docker/notes"}


def test_a_registry_that_was_moved_is_told_what_its_index_has(sides: tuple[str, str]) -> None:
    assert matou("registry", "reindex", sides[0]).status == 0
    done = matou("storage", "migrate", "--live", "--from", sides[0], "--to", sides[1])
    assert (done.status, done.err) == (0, "")
    contents = len([path for path in tree_objects() if path.startswith(layout.BLOBS)])
    assert f"blobs and manifests in the index: {contents}, at the destination: {contents}\n" in done.out
    assert "at the source:" not in done.out
    assert f"start it with {sides[1]} from now on" in done.out


@pytest.mark.parametrize(
    ("storage", "problem"),
    [("{inmemory: {}}", "--to has the inmemory driver"), ("{nosuch: {}}", "names the driver 'nosuch'")],
)
def test_refusals_are_one_line(sides: tuple[str, str], tmp_path: Path, storage: str, problem: str) -> None:
    done = matou("storage", "migrate", "--from", sides[0], "--to", configured(tmp_path, "other", storage))
    assert done.status == 1
    assert problem in done.err
    assert len(done.err.splitlines()) == 1


def test_both_sides_have_to_be_named(sides: tuple[str, str]) -> None:
    done = matou("storage", "migrate", "--from", sides[0])
    assert (done.status, done.out) == (2, "")
    assert "--to" in done.err


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1.5 * 2**30, "1.5 GiB"), (2**52, "4096.0 TiB")],
)
def test_amounts(size: float, text: str) -> None:
    assert bytes_text(size) == text


def test_durations() -> None:
    assert duration_text(3725.4) == "1:02:05"
