"""The journal is followed: whatever is pushed and deleted shows at the destination."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from matou.registry.blobs import layout
from matou.registry.content.digest import Digest
from matou.registry.drivers.base import StorageError, StorageFull
from matou.registry.drivers.inmemory import InMemoryDriver
from matou.registry.index import changes
from matou.registry.index.migrate import upgrade
from matou.registry.index.records import NewManifest
from matou.registry.migration import following
from matou.registry.migration.bulk import BulkCopy, Options
from matou.registry.migration.following import JournalFollower, JournalLost
from matou.registry.migration.report import Silent
from tests.unit.registry.changeable import Changeable
from tests.unit.registry.migration.trees import NAME, content_of, fill, manifest_of, tree_objects

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path


LAYER = b"a layer"


class Registry(Changeable[InMemoryDriver]):
    """A registry on a storage in memory, as far as changes go."""

    async def push(self, tag: str | None, *layers: bytes) -> Digest:
        for layer in layers:
            await self.driver.put(layout.blob_data(Digest.of(layer)), layer)
            await self.change(changes.put_blob, NAME, Digest.of(layer), len(layer), "me")
        content = manifest_of(*layers)
        digest = Digest.of(content)
        await self.driver.put(layout.blob_data(digest), content)
        new = NewManifest(digest, "application/json", content, None, None, {}, (), (), (), ())
        await self.change(changes.put_manifest, NAME, new, [tag] if tag else [], "me")
        return digest


class Failing(InMemoryDriver):
    """A destination that fails as often as it is told to."""

    failures: list[StorageError] = []  # noqa: RUF012 -- replaced by tests

    async def put(self, path: str, content: bytes, *, durable: bool = True) -> None:
        if self.failures:
            raise self.failures.pop(0)
        await super().put(path, content, durable=durable)


class Rig:
    """A registry whose tree was copied, and that is followed from then on."""

    def __init__(self, registry: Registry, destination: Failing, bulk: BulkCopy, follower: JournalFollower) -> None:
        self.registry = registry
        self.source = registry.driver
        self.destination = destination
        self.bulk = bulk
        self.follower = follower

    async def is_equal(self) -> bool:
        return await content_of(self.source) == await content_of(self.destination)


@contextlib.asynccontextmanager
async def copied(folder: Path) -> AsyncIterator[Rig]:
    index = folder / "index.db"
    upgrade(index)
    source, destination = InMemoryDriver(), Failing()
    await fill(source, tree_objects())
    registry = Registry(source, index)
    bulk = BulkCopy(source, destination, Options(jobs=4), Silent())
    try:
        await registry.push("before", b"before")
        follower = JournalFollower(registry.reader, destination, bulk, 4)
        await bulk.survey()
        await bulk.copy()
        yield Rig(registry, destination, bulk, follower)
    finally:
        await bulk.close()
        await registry.close()


def run(folder: Path, scenario: Callable[[Rig], Awaitable[None]]) -> None:
    async def main() -> None:
        async with copied(folder) as rig:
            await scenario(rig)

    asyncio.run(main())


def test_nothing_happened(tmp_path: Path) -> None:
    async def scenario(rig: Rig) -> None:
        assert await rig.follower.catch_up() == 0
        assert rig.follower.pending(10) == (0, 0)
        assert await rig.is_equal()

    run(tmp_path, scenario)


def test_what_is_pushed_is_copied(tmp_path: Path) -> None:
    async def scenario(rig: Rig) -> None:
        manifest = await rig.registry.push("1", LAYER, b"another")
        size = len(LAYER) + len(b"another") + len(await rig.source.get(layout.blob_data(manifest)))
        assert rig.follower.pending(10) == (3, size)
        assert rig.follower.pending(2) == (2, len(LAYER) + len(b"another"))
        assert await rig.follower.catch_up() == 3
        assert await rig.is_equal()
        assert await rig.follower.catch_up() == 0
        assert rig.follower.changes == 3

    run(tmp_path, scenario)


def test_a_tag_that_moves_keeps_its_history(tmp_path: Path) -> None:
    async def scenario(rig: Rig) -> None:
        for layer in (b"1", b"2", b"3"):
            await rig.registry.push("moving", layer)
        await rig.follower.catch_up()
        assert await rig.is_equal()

    run(tmp_path, scenario)


def test_what_is_deleted_goes(tmp_path: Path) -> None:
    async def scenario(rig: Rig) -> None:
        digest = await rig.registry.push("1", LAYER)
        await rig.follower.catch_up()
        await rig.registry.change(changes.delete_tag, NAME, "1", "me")
        await rig.registry.change(changes.delete_blob, NAME, Digest.of(LAYER), "me")
        await rig.registry.change(changes.delete_manifest, NAME, digest, "me")
        assert await rig.follower.catch_up() == 3
        assert await rig.is_equal()

    run(tmp_path, scenario)


def test_what_came_and_went_meanwhile_is_not_copied(tmp_path: Path) -> None:
    async def scenario(rig: Rig) -> None:
        digest = await rig.registry.push("1", LAYER)
        await rig.registry.change(changes.delete_manifest, NAME, digest, "me")
        await rig.follower.catch_up()
        assert layout.blob_data(digest) not in await content_of(rig.destination)
        assert layout.tag_current(NAME, "1") not in await content_of(rig.destination)
        assert layout.layer_link(NAME, Digest.of(LAYER)) in await content_of(rig.destination)

    run(tmp_path, scenario)


def test_mounts_are_followed(tmp_path: Path) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.registry.push("1", LAYER)
        await rig.registry.change(changes.mount_blob, "elsewhere", NAME, Digest.of(LAYER), "me")
        await rig.follower.catch_up()
        assert await rig.is_equal()

    run(tmp_path, scenario)


def test_what_fails_in_passing_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "PAUSE", 0.0)

    async def scenario(rig: Rig) -> None:
        await rig.registry.push("1", LAYER)
        rig.destination.failures = [StorageError("not now")] * 3
        await rig.follower.catch_up()
        assert await rig.is_equal()
        await rig.registry.push("2", b"2")
        rig.destination.failures = [StorageError("gone")] * 100
        with pytest.raises(StorageError, match="gone"):
            await rig.follower.catch_up()
        rig.destination.failures = [StorageFull("no room")]
        with pytest.raises(StorageFull):
            await rig.follower.catch_up()
        await rig.follower.catch_up()
        assert await rig.is_equal()

    run(tmp_path, scenario)


def test_content_that_the_source_has_lost_is_reported_once(tmp_path: Path) -> None:
    async def scenario(rig: Rig) -> None:
        digest = await rig.registry.push("1", LAYER)
        await rig.source.delete(layout.blob_directory(Digest.of(LAYER)))
        await rig.source.put(layout.blob_data(digest), b"x" * len(await rig.source.get(layout.blob_data(digest))))
        await rig.follower.catch_up()
        assert rig.bulk.report.failed == 2
        await rig.follower.check_contents()
        assert rig.bulk.report.failed == 2
        assert rig.bulk.report.retryable == 0

    run(tmp_path, scenario)


def test_content_that_was_healed_is_found_without_the_journal(tmp_path: Path) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.registry.push("1", LAYER)
        await rig.follower.catch_up()
        path = layout.blob_data(Digest.of(LAYER))
        await rig.destination.delete(path)
        rig.bulk._inventory.forget_existing(path)
        await rig.registry.change(changes.put_blob, NAME, Digest.of(LAYER), len(LAYER), "me")
        assert await rig.follower.catch_up() == 0
        await rig.follower.check_contents()
        assert await rig.is_equal()

    run(tmp_path, scenario)


def test_a_journal_that_has_forgotten_changes_is_noticed(tmp_path: Path) -> None:
    async def scenario(rig: Rig) -> None:
        await rig.registry.push("1", LAYER)
        await rig.registry.writer.run(lambda connection: changes.trim_journal(connection, changes.now_us(), 1))
        await rig.follower.catch_up()  # that was before
        await rig.registry.push("2", b"2")
        await rig.registry.writer.run(lambda connection: changes.trim_journal(connection, changes.now_us(), 4))
        with pytest.raises(JournalLost):
            await rig.follower.catch_up()

    run(tmp_path, scenario)


def test_catching_up_ends_although_pushes_go_on(tmp_path: Path) -> None:
    async def scenario(rig: Rig) -> None:
        stop = False

        async def push() -> None:
            number = 0
            while not stop:
                number += 1
                await rig.registry.push(f"t{number % 3}", str(number).encode())

        pushing = asyncio.create_task(push())
        for _ in range(5):
            await asyncio.wait_for(rig.follower.catch_up(), 30)
            await asyncio.sleep(0.01)
        stop = True
        await pushing
        await rig.follower.catch_up()
        assert await rig.is_equal()

    run(tmp_path, scenario)
