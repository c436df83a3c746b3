"""A registry that is started with the new configuration knows for a day which storage was left for it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from matou.registry.drivers.succession import FOLLOWED
from matou.registry.migration.moved import Moved, write_moved
from matou.registry.migration.residence import residence, write_arrival
from tests.unit.registry.migration.sides import Side

if TYPE_CHECKING:
    from pathlib import Path

    from matou.registry.migration.moved import Residence


@pytest.fixture
def old(tmp_path: Path) -> Side:
    return Side(tmp_path / "old")


@pytest.fixture
def new(tmp_path: Path) -> Side:
    return Side(tmp_path / "new")


def moved(old: Side, new: Side, age: float = 60.0) -> Moved:
    for side in (old, new):
        side.files.directory.mkdir(exist_ok=True)
    write_arrival(new.files, old.path)
    move = Moved(1, time.time() - age, str(new.path), new.configuration.storage.identity)
    write_moved(old.files.moved, move)
    return move


def found(side: Side, **variables: str) -> Residence:
    return residence(side.configuration, side.files, variables)


def test_the_storage_that_was_left_is_known(old: Side, new: Side) -> None:
    move = moved(old, new)
    here = found(new)
    assert (here.configuration, here.files, here.moves) == (new.configuration, new.files, ())
    assert (here.previous, here.left, here.since) == (old.configuration, old.files, move.time)
    # The old configuration leads to the same.
    assert (found(old).previous, found(old).left, found(old).since) == (old.configuration, old.files, move.time)


def test_variables_of_the_environment_are_meant_for_the_new_storage(old: Side, new: Side) -> None:
    moved(old, new)
    assert found(new, REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=str(new.root)).previous == old.configuration


def test_after_a_day_nothing_is_left_there(old: Side, new: Side) -> None:
    moved(old, new, FOLLOWED + 1)
    assert found(new).previous is None


def test_a_storage_that_was_never_left_or_for_another_one_is_not_asked(old: Side, new: Side) -> None:
    move = moved(old, new)
    write_moved(old.files.moved, replace(move, identity=("s3", "bucket")))
    assert found(new).previous is None
    old.files.moved.unlink()
    assert found(new).previous is None
    new.files.arrived.unlink()
    assert found(new).previous is None


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"configuration": 1}', b'{"configuration": "/nowhere.yml"}'])
def test_what_cannot_be_read_keeps_nobody_from_starting(
    old: Side, new: Side, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    moved(old, new)
    new.files.arrived.write_bytes(content)
    assert found(new).previous is None
    assert "uploads that were begun on the storage before this one cannot be finished" in caplog.text
