"""A registry whose images were moved follows them, or says why it cannot."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from matou.config.distribution import load_configuration
from matou.registry.drivers.object_driver import ObjectDriver
from matou.registry.files import RegistryFiles, directory_of
from matou.registry.migration import moved as module
from matou.registry.migration.moved import (
    MARK,
    CannotFollow,
    Moved,
    StorageMarks,
    delete_mark,
    load_destination,
    read_mark,
    write_moved,
)
from matou.registry.migration.residence import residence
from tests.drivers.memory_store import MemoryStore

if TYPE_CHECKING:
    from pathlib import Path

    from matou.config.distribution import Configuration
    from matou.registry.migration.moved import Residence


class Places:
    """Storages in directories, with configurations."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        path = self.folder / f"{name}.yml"
        if not path.exists():
            (self.folder / name / "matou").mkdir(parents=True)
            path.write_text(
                f"{{version: 0.1, storage: {{filesystem: {{rootdirectory: {self.folder / name}}}}}, "
                f"http: {{addr: ':1', host: 'http://{name}'}}}}"
            )
        return path

    def configuration(self, name: str) -> Configuration:
        return load_configuration(self.path(name), {})

    def files(self, name: str) -> RegistryFiles:
        directory = directory_of(self.configuration(name), {})
        assert directory is not None
        return RegistryFiles(directory)

    def move(self, number: int, source: str, destination: str) -> Moved:
        coming = self.configuration(destination)
        moved = Moved(number, 1.8e9, str(self.path(destination)), coming.storage.identity)
        self.path(source)
        write_moved(self.files(source).moved, moved)
        return moved

    def residence(self, name: str) -> Residence:
        return residence(self.configuration(name), self.files(name), {})


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


def test_a_storage_that_was_not_moved_is_in_charge(places: Places) -> None:
    here = places.residence("a")
    assert (here.configuration, here.files) == (places.configuration("a"), places.files("a"))
    assert (here.moves, here.previous) == ((), None)


def test_a_move_is_followed_and_only_the_storage_changes(places: Places) -> None:
    moved = places.move(1, "a", "b")
    here = places.residence("a")
    assert here.configuration.storage == places.configuration("b").storage
    assert here.configuration.http == places.configuration("a").http
    assert here.files == places.files("b")
    assert here.moves == (moved,)
    assert here.previous == places.configuration("a")


def test_moves_are_followed_on_and_on(places: Places) -> None:
    places.move(1, "a", "b")
    places.move(1, "b", "c")
    here = places.residence("a")
    assert here.files == places.files("c")
    assert [moved.number for moved in here.moves] == [1, 1]
    assert here.previous is not None
    assert here.previous.storage == places.configuration("b").storage


def test_back_again_ends_where_the_newest_move_leads(places: Places) -> None:
    places.move(1, "a", "b")
    places.move(2, "b", "a")
    for name in ("b", "a"):
        assert places.residence(name).files == places.files("a")
    # What was of the past is gone, and a is in charge without being asked twice.
    assert not places.files("a").moved.exists()
    assert places.residence("a").moves == ()
    assert places.residence("b").files == places.files("a")


def test_round_and_round(places: Places) -> None:
    places.move(1, "a", "b")
    places.move(1, "b", "c")
    places.move(2, "c", "b")
    for name in ("c", "a", "b"):
        assert places.residence(name).files == places.files("b")


def test_a_circle_that_no_number_ends_is_refused(places: Places) -> None:
    places.move(1, "a", "b")
    places.move(1, "b", "a")
    with pytest.raises(CannotFollow, match="on and on"):
        places.residence("a")


def test_a_configuration_that_is_gone(places: Places) -> None:
    places.move(1, "a", "b")
    places.path("b").unlink()
    with pytest.raises(CannotFollow) as refusal:
        places.residence("a")
    text = str(refusal.value)
    assert text.startswith(
        f"the images were moved to filesystem {places.folder / 'b'} at 2027-01-15 08:00:00 UTC, but "
    )
    assert "b.yml: cannot be read" in text
    assert text.endswith("start the registry with the configuration of that storage")


def test_a_configuration_that_names_another_storage_now(places: Places) -> None:
    places.move(1, "a", "b")
    places.path("b").write_text(places.path("c").read_text())
    with pytest.raises(CannotFollow, match=r"b\.yml names another storage now"):
        places.residence("a")


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b'{"number": 1}', b'{"number": "1", "time": 1, "configuration": "x", "identity": []}'],
)
def test_a_document_that_cannot_be_read(places: Places, content: bytes) -> None:
    places.path("a")
    places.files("a").moved.write_bytes(content)
    with pytest.raises(CannotFollow, match=r"moved\.json .*where the images were moved to"):
        places.residence("a")


def test_the_document_has_no_secrets(places: Places) -> None:
    assert set(json.loads(places.move(1, "a", "b").encode())) == {
        "number",
        "time",
        "configuration",
        "identity",
        "comment",
    }


@pytest.mark.parametrize("name", ["REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "registry_storage_s3_bucket"])
def test_variables_that_change_the_storage_are_meant_for_the_present_one(places: Places, name: str) -> None:
    environ = {name: "x", "REGISTRY_HTTP_ADDR": "127.0.0.1:9"}
    coming = load_destination(places.path("b"), environ)
    assert coming.storage == places.configuration("b").storage
    assert coming.http.addr == "127.0.0.1:9"


def test_marks_in_object_storage() -> None:
    async def main() -> None:
        driver = ObjectDriver(MemoryStore(1 << 20))
        moved = Moved(3, 1.8e9, "b.yml", ("s3", "bucket"))
        assert await read_mark(driver) is None
        await driver.put(MARK, moved.encode())
        assert await read_mark(driver) == moved
        await delete_mark(driver)
        assert await read_mark(driver) is None

    asyncio.run(main())


def test_marks_are_followed_by_machines_that_know_nothing_else(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NOT_MARKED", frozenset())
    moved = places.move(1, "a", "b")
    marks = StorageMarks()
    here = residence(places.configuration("a"), RegistryFiles(places.folder / "elsewhere"), {}, marks)
    assert here.moves == (moved,)
    places.move(2, "b", "a")
    back = residence(places.configuration("b"), RegistryFiles(places.folder / "elsewhere"), {}, marks)
    assert back.files == places.files("a")
    assert not places.files("a").moved.exists()
