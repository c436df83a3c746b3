"""Links that object storage changes late: after they were moved or deleted once more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from matou.registry.blobs import layout
from matou.registry.blobs.projector import Projector
from matou.registry.content.digest import Digest
from matou.registry.drivers.base import Driver, NotFound, StorageError
from matou.registry.drivers.inmemory import InMemoryDriver
from matou.registry.drivers.object_driver import ObjectDriver
from matou.registry.index import changes
from matou.registry.index.migrate import upgrade
from matou.registry.index.records import NewManifest
from tests.drivers.memory_store import MemoryStore
from tests.unit.registry.changeable import Changeable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


NAME = "team/app"
CURRENT = layout.tag_current(NAME, "t")
LAYER = Digest.of(b"layer")
LINK = layout.layer_link(NAME, LAYER)


class Registry(Changeable[Driver]):
    """An index and a storage, as far as links go."""

    async def push(self, content: bytes) -> Digest:
        digest = Digest.of(content)
        new = NewManifest(digest, "application/json", content, None, None, {}, (), (), (), ())
        await self.change(changes.put_manifest, NAME, new, ["t"], "me")
        return digest

    async def found(self, path: str) -> str | None:
        try:
            return (await self.driver.get(path)).decode()
        except NotFound:
            return None

    def marks(self) -> int:
        return len(self.reader.projections(changes.now_us() + 1, 1000))

    def another(self) -> Projector:
        """Return the projector of another process."""
        return Projector(self.driver, self.reader, self.writer)


def run(tmp_path: Path, driver: Driver, scenario: Callable[[Registry], Awaitable[None]]) -> None:
    async def whole() -> None:
        upgrade(tmp_path / "index.db")
        registry = Registry(driver, tmp_path / "index.db")
        try:
            await scenario(registry)
        finally:
            await registry.close()

    asyncio.run(whole())


def test_a_link_that_names_what_it_named_before_is_put_right(tmp_path: Path) -> None:
    async def scenario(registry: Registry) -> None:
        first, second = await registry.push(b"1"), await registry.push(b"2")
        await registry.driver.put(CURRENT, first.encode())  # the first request was repeated, and is carried out now
        await registry.projector.settle()
        await registry.projector.flush()
        assert await registry.found(CURRENT) == first
        assert registry.marks() == 2  # of the tag; what was pushed under its digest can name nothing else
        await registry.projector.settle(0)
        assert await registry.found(CURRENT) == second
        await registry.projector.flush()
        assert registry.marks() == 0

    run(tmp_path, ObjectDriver(MemoryStore()), scenario)


def test_what_was_deleted_and_is_there_again_is_deleted_again(tmp_path: Path) -> None:
    async def scenario(registry: Registry) -> None:
        digest = await registry.push(b"1")
        await registry.change(changes.put_blob, NAME, LAYER, 5, "me")
        await registry.change(changes.delete_blob, NAME, LAYER, "me")
        await registry.change(changes.delete_tag, NAME, "t", "me")
        await registry.driver.put(CURRENT, digest.encode())
        await registry.driver.put(LINK, LAYER.encode())
        await registry.projector.settle(0)
        assert (await registry.found(CURRENT), await registry.found(LINK)) == (None, None)
        assert await registry.found(layout.revision_link(NAME, digest)) == digest

    run(tmp_path, ObjectDriver(MemoryStore()), scenario)


def test_links_that_are_right_are_read_once_and_not_written(tmp_path: Path) -> None:
    store = MemoryStore()

    async def scenario(registry: Registry) -> None:
        for content in (b"1", b"2", b"3"):
            await registry.push(content)
        store.requests.clear()
        await registry.projector.settle(0)
        assert store.requests == [f"get {CURRENT}"]
        await registry.projector.settle(0)
        assert len(store.requests) == 1

    run(tmp_path, ObjectDriver(store), scenario)


def test_what_could_not_be_looked_at_is_looked_at_later(tmp_path: Path) -> None:
    store = MemoryStore()

    async def scenario(registry: Registry) -> None:
        first, second = await registry.push(b"1"), await registry.push(b"2")
        await registry.driver.put(CURRENT, first.encode())
        store.failing_puts.append(CURRENT)
        with pytest.raises(StorageError, match="the storage failed"):
            await registry.projector.settle(0)
        await registry.projector.flush()
        assert registry.marks() == 2
        await registry.projector.settle(0)
        assert await registry.found(CURRENT) == second

    run(tmp_path, ObjectDriver(store), scenario)


def test_what_a_killed_process_has_left_is_put_right_at_the_start_and_after_a_while(tmp_path: Path) -> None:
    async def scenario(registry: Registry) -> None:
        first, second = await registry.push(b"1"), await registry.push(b"2")
        await registry.driver.put(CURRENT, first.encode())
        assert await registry.another().recover(0) == 4
        assert await registry.found(CURRENT) == second
        assert registry.marks() == 2
        # What the killed process had asked for may even come later than the start.
        await registry.driver.put(CURRENT, first.encode())
        assert await registry.another().recover(60) == 0
        await registry.writer.run(lambda connection: connection.execute("UPDATE projections SET created = 1"))
        assert await registry.another().recover(60) == 2
        assert await registry.found(CURRENT) == second
        assert registry.marks() == 0

    run(tmp_path, ObjectDriver(MemoryStore()), scenario)


def test_a_storage_of_one_machine_is_never_late(tmp_path: Path) -> None:
    async def scenario(registry: Registry) -> None:
        await registry.push(b"1")
        await registry.projector.flush()
        assert registry.marks() == 0
        await registry.push(b"2")
        assert await registry.another().recover(0) == 2
        assert registry.marks() == 0

    run(tmp_path, InMemoryDriver(), scenario)
