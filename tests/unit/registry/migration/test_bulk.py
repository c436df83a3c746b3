"""All of a tree is copied, between drivers of every kind, whatever the destination has already."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

import pytest

from matou.registry.blobs import layout
from matou.registry.content.digest import Digest
from matou.registry.drivers.base import NotFound, StorageError, StorageFull
from matou.registry.drivers.filesystem import FilesystemDriver
from matou.registry.drivers.inmemory import InMemoryDriver
from matou.registry.drivers.object_driver import ObjectDriver
from matou.registry.migration import bulk
from matou.registry.migration.bulk import BulkCopy, Options
from matou.registry.migration.inventory import Inventory
from matou.registry.migration.report import Silent
from matou.registry.migration.tree_objects import Stage, TreeObject, stage_of
from tests.drivers.memory_store import MemoryStore
from tests.unit.registry.migration.trees import LARGE, LAYER, NAME, content_of, fill, image_objects, tree_objects

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from matou.registry.drivers.base import Driver, Stat
    from matou.registry.migration.report import Report

SEGMENT = 4 << 20
Make: TypeAlias = Callable[[], InMemoryDriver | ObjectDriver | FilesystemDriver]


@pytest.fixture
def files(tmp_path: Path) -> Make:
    return lambda: FilesystemDriver(tmp_path)


def memory() -> InMemoryDriver:
    return InMemoryDriver()


def objects() -> ObjectDriver:
    return ObjectDriver(MemoryStore(SEGMENT))


@asynccontextmanager
async def drivers(*made: Driver) -> AsyncIterator[tuple[Driver, ...]]:
    try:
        yield made
    finally:
        for driver in made:
            await driver.close()


class Told(Silent):
    """Remembers what a dry run would do."""

    def __init__(self) -> None:
        self.planned: list[tuple[str, str]] = []

    def would(self, action: str, path: str) -> None:
        self.planned.append((action, path))


async def migrated(source: Driver, destination: Driver, observer: Silent | None = None, **options: bool) -> Report:
    run = BulkCopy(source, destination, Options(**options, jobs=4), observer or Silent())
    try:
        await run.survey()
        await run.copy()
        await run.compare()
    finally:
        await run.close()
    return run.report


@pytest.fixture(autouse=True)
def _no_settling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "SETTLING", (0.01,))


@pytest.mark.parametrize(
    ("make_source", "make_destination"),
    [("files", memory), ("files", objects), (memory, "files"), (objects, "files"), (objects, objects)],
)
def test_everything_is_copied(
    make_source: Make | str, make_destination: Make | str, request: pytest.FixtureRequest
) -> None:
    async def main() -> None:
        made = [
            request.getfixturevalue(make)() if isinstance(make, str) else make()
            for make in (make_source, make_destination)
        ]
        async with drivers(*made) as (source, destination):
            await fill(source, tree_objects())
            await fill(source, {"matou/private": b"x", layout.upload_started_at(NAME, "u"): b"now"})
            report = await migrated(source, destination)
            assert await content_of(destination) == tree_objects()
            assert await content_of(destination, "matou") == {}
            total = len(tree_objects())
            assert (report.objects, report.copied, report.skipped, report.failed) == (total, total, 0, 0)
            assert report.bytes == report.copied_bytes == sum(map(len, tree_objects().values()))
            assert report.is_complete
            assert report.agrees
            again = await migrated(source, destination)
            assert (again.copied, again.skipped) == (0, total)

    asyncio.run(main())


def test_objects_of_one_vendor_are_copied_inside_the_storage() -> None:
    async def main() -> None:
        source, destination = objects(), objects()
        await fill(source, tree_objects())
        await migrated(source, destination)
        assert isinstance(source.store, MemoryStore)
        assert [each for each in source.store.requests if each.startswith("read")] == []

    asyncio.run(main())


def test_links_that_can_name_nothing_else_are_not_read_in_object_storage() -> None:
    async def main() -> None:
        source, store = memory(), MemoryStore(SEGMENT)
        destination = ObjectDriver(store)
        await fill(source, tree_objects())
        await migrated(source, destination)
        store.requests.clear()
        assert (await migrated(source, destination)).copied == 0
        reads = sorted(each.removeprefix("get ") for each in store.requests if each.startswith("get "))
        assert reads == sorted(path for path in tree_objects() if path.endswith("/current/link"))
        # Whoever wants to know it for sure says so.
        wrong = layout.layer_link(NAME, Digest.of(LAYER))
        await destination.put(wrong, Digest.of(b"another").encode())
        assert (await migrated(source, destination, verify=True)).copied == 1
        assert await content_of(destination) == tree_objects()

    asyncio.run(main())


class Watched(InMemoryDriver):
    """A destination that remembers the order, and fails on demand.

    Args:
        failing: errors to raise, once each, when something is put at a path.
    """

    def __init__(self, failing: dict[str, list[Exception]] | None = None) -> None:
        super().__init__()
        self.put_paths: list[str] = []
        self.deleted: list[str] = []
        self.failing = failing or {}

    async def put(self, path: str, content: bytes, *, durable: bool = True) -> None:
        if self.failing.get(path):
            raise self.failing[path].pop(0)
        self.put_paths.append(path)
        await super().put(path, content, durable=durable)

    async def delete(self, path: str) -> None:
        self.deleted.append(path)
        await super().delete(path)


def test_blobs_come_before_links_and_links_before_tags() -> None:
    async def main() -> None:
        source, destination = memory(), Watched()
        await fill(source, dict(reversed(tree_objects().items())))
        await migrated(source, destination)
        stages = [stage_of(path) for path in destination.put_paths]
        assert stages == sorted(stages, key=lambda stage: -1 if stage is None else stage)

    asyncio.run(main())


def test_what_changed_at_the_source_is_copied_again() -> None:
    async def main() -> None:
        source, destination = memory(), memory()
        await fill(source, tree_objects())
        await migrated(source, destination)
        moved = image_objects(NAME, "1", LAYER)
        await fill(source, moved)
        report = await migrated(source, destination)
        # The tag's link has the same size as before.
        assert await destination.get(layout.tag_current(NAME, "1")) == moved[layout.tag_current(NAME, "1")]
        assert report.copied == 4
        assert report.agrees

    asyncio.run(main())


def test_blobs_of_another_size_are_copied_again_and_others_only_to_verify() -> None:
    async def main() -> None:
        source, destination = memory(), memory()
        await fill(source, tree_objects())
        cut, flipped = layout.blob_data(Digest.of(LARGE)), layout.blob_data(Digest.of(LAYER))
        await fill(destination, tree_objects() | {cut: LARGE[:-1], flipped: b"L" + LAYER[1:]})
        report = await migrated(source, destination, dry_run=True, verify=True)
        assert report.copied == 2
        assert (await migrated(source, destination)).copied == 1
        assert await destination.get(flipped) != LAYER
        assert (await migrated(source, destination, verify=True)).copied == 1
        assert await content_of(destination) == tree_objects()

    asyncio.run(main())


@pytest.mark.parametrize("damaged", [LAYER, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("change", [lambda content: content[:-1] + b"!", lambda _: b""], ids=["flipped", "empty"])
def test_damaged_blobs_are_reported_and_never_written(damaged: bytes, change: Callable[[bytes], bytes]) -> None:
    async def main() -> None:
        source, destination = memory(), memory()
        path = layout.blob_data(Digest.of(damaged))
        await fill(source, tree_objects() | {path: change(damaged)})
        report = await migrated(source, destination)
        there = await content_of(destination)
        assert path not in there
        # Neither is what names it: the destination is a tree in itself.
        missing = {lost for lost in tree_objects() if Digest.of(damaged).hex in lost}
        assert set(tree_objects()) - set(there) == missing
        assert report.failed == len(missing)
        assert sum(path in problem for problem in report.problems) == 1
        assert not report.is_complete

    asyncio.run(main())


def test_what_fails_in_passing_is_tried_again_before_the_links() -> None:
    async def main() -> None:
        path = layout.blob_data(Digest.of(b"more"))
        source, destination = memory(), Watched({path: [StorageError("not now")]})
        await fill(source, tree_objects())
        report = await migrated(source, destination)
        assert report.failed == 0
        assert await content_of(destination) == tree_objects()
        stages = [stage_of(put) for put in destination.put_paths]
        assert stages == sorted(stages, key=lambda stage: -1 if stage is None else stage)

    asyncio.run(main())


def test_what_fails_for_good_is_reported_and_the_others_go_on() -> None:
    async def main() -> None:
        path = layout.tag_current("other", "v")
        source, destination = memory(), Watched({path: [StorageError("no"), StorageError("never")]})
        await fill(source, tree_objects())
        report = await migrated(source, destination)
        assert report.problems == [f"{path} was not copied: never"]
        assert set(tree_objects()) - set(await content_of(destination)) == {path}
        assert not report.is_complete

    asyncio.run(main())


def test_a_full_destination_ends_the_run() -> None:
    async def main() -> None:
        source = memory()
        destination = Watched({path: [StorageFull("no room")] for path in tree_objects()})
        await fill(source, tree_objects())
        with pytest.raises(
            StorageFull, match=r"destination has no room left \(no room\); make room and run the command again"
        ):
            await migrated(source, destination)

    asyncio.run(main())


def test_a_destination_that_fails_all_the_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "HOPELESS", 3)

    async def main() -> None:
        source = memory()
        destination = Watched({path: [StorageError("gone")] * 9 for path in tree_objects()})
        await fill(source, tree_objects())
        with pytest.raises(StorageError, match="3 objects in a row could not be copied, the last one because gone"):
            await migrated(source, destination)

    asyncio.run(main())


class Vanishing(InMemoryDriver):
    """A source of which something is deleted after it was listed."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    async def get(self, path: str) -> bytes:
        if path == self._path:
            await self.delete(path)
        return await super().get(path)


def test_what_was_deleted_at_the_source_meanwhile_is_no_failure() -> None:
    async def main() -> None:
        path = layout.tag_current("other", "v")
        source, destination = Vanishing(path), memory()
        await fill(source, tree_objects())
        report = await migrated(source, destination)
        assert report.failed == 0
        assert report.agrees
        assert set(await content_of(destination)) == set(tree_objects()) - {path}

    asyncio.run(main())


class Returning(InMemoryDriver):
    """A source of which something is deleted and pushed again while it is copied."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path
        self._misses = bulk.RETURNS - 1

    async def get(self, path: str) -> bytes:
        if path == self._path and self._misses:
            self._misses -= 1
            raise NotFound(f"{path} does not exist")
        return await super().get(path)


def test_what_is_deleted_and_pushed_again_meanwhile_is_copied(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        source, destination = Returning(layout.tag_current("other", "v")), memory()
        await fill(source, tree_objects())
        report = await migrated(source, destination)
        assert report.agrees
        assert await content_of(destination) == tree_objects()

    asyncio.run(main())
    assert caplog.text == ""


def test_surplus_is_counted_and_deleted_only_when_that_is_wanted(files: Make) -> None:
    async def main() -> None:
        async with drivers(memory(), files()) as (source, destination):
            await fill(source, tree_objects())
            surplus = image_objects("gone", "x", b"gone") | image_objects(NAME, "gone", LAYER)
            surplus = {path: content for path, content in surplus.items() if path not in tree_objects()}
            outside = {"docker/notes": b"mine", layout.upload(NAME, "u"): b"half"}
            await fill(destination, {"matou/x": b""})
            await fill(destination, surplus | outside)
            report = await migrated(source, destination)
            assert (report.surplus, report.foreign) == (len(surplus), 1)
            assert (report.is_complete, report.agrees) == (True, False)
            told = Told()
            planned = await migrated(source, destination, told, delete=True, dry_run=True)
            assert {path for action, path in told.planned if action == "delete"} == set(surplus)
            assert planned.deleted == len(surplus)
            assert set(await content_of(destination)) == set(tree_objects()) | set(surplus) | set(outside)
            report = await migrated(source, destination, delete=True)
            assert report.deleted == len(surplus)
            assert (report.surplus, report.foreign, report.agrees) == (0, 1, True)
            assert await content_of(destination) == tree_objects() | outside
            assert sorted(await destination.list(layout.tags(NAME))) == ["1"]
            assert set(await content_of(destination, "matou")) == {"matou/x"}

    asyncio.run(main())


def test_a_tag_that_has_lost_its_link_keeps_its_history() -> None:
    async def main() -> None:
        source, destination = memory(), Watched()
        await fill(source, tree_objects())
        await fill(destination, tree_objects())
        await source.delete(layout.tag_current(NAME, "1"))
        report = await migrated(source, destination, delete=True)
        assert report.deleted == 1
        assert await content_of(destination) == await content_of(source)

    asyncio.run(main())


def test_nothing_is_deleted_after_a_failure() -> None:
    async def main() -> None:
        source, destination = memory(), Watched()
        await fill(source, tree_objects() | {layout.blob_data(Digest.of(LAYER)): b"damaged"})
        surplus = image_objects("gone", "x", b"gone")
        await fill(destination, surplus)
        report = await migrated(source, destination, delete=True)
        assert report.failed
        assert report.deleted == 0
        assert destination.deleted == []

    asyncio.run(main())


def test_an_empty_source_is_refused() -> None:
    async def main() -> None:
        destination = Watched()
        await fill(destination, tree_objects())
        with pytest.raises(StorageError, match="the source holds no images"):
            await migrated(memory(), destination, delete=True)
        assert destination.deleted == []

    asyncio.run(main())


def test_a_dry_run_changes_nothing_and_says_what_it_would_do() -> None:
    async def main() -> None:
        source, destination, told = memory(), memory(), Told()
        await fill(source, tree_objects())
        report = await migrated(source, destination, told, dry_run=True)
        assert await content_of(destination, "") == {}
        assert sorted(told.planned) == [("copy", path) for path in sorted(tree_objects())]
        assert report.copied == len(tree_objects())

    asyncio.run(main())


class Lagging(InMemoryDriver):
    """A destination whose first listing after copying lacks something."""

    walks = 0

    async def walk(self, path: str) -> AsyncIterator[tuple[str, Stat]]:
        self.walks += 1
        skipped = 0
        async for item in super().walk(path):
            if self.walks == 2 and not skipped:
                skipped += 1
                continue
            yield item


def test_a_listing_that_lags_behind_is_waited_for() -> None:
    async def main() -> None:
        source, destination = memory(), Lagging()
        await fill(source, tree_objects())
        report = await migrated(source, destination)
        assert report.agrees
        assert destination.walks == 3

    asyncio.run(main())


def test_large_objects_that_are_no_blobs_are_copied_by_content() -> None:
    async def main() -> None:
        source, destination = memory(), memory()
        await fill(source, {"docker/archive": LARGE})
        assert (await migrated(source, destination)).copied == 1
        assert (await migrated(source, destination)).copied == 0
        await fill(source, {"docker/archive": LARGE[::-1]})
        assert (await migrated(source, destination)).copied == 1
        assert await content_of(destination) == {"docker/archive": LARGE[::-1]}

    asyncio.run(main())


@pytest.fixture
def inventory() -> Iterator[Inventory]:
    made = Inventory()
    yield made
    made.close()


def test_work_that_comes_back_waits_for_the_next_round(inventory: Inventory) -> None:
    def item(number: int) -> TreeObject:
        return TreeObject(f"{number}\udcff", number, Stage.BLOBS, None)

    for number in range(2500):
        inventory.add_work(item(number))
    taken = []
    for each in inventory.take_work(Stage.BLOBS):
        taken.append(each)
        if each.size % 1000 == 0:
            inventory.add_work(each)
    assert taken == [item(number) for number in range(2500)]
    assert [each.size for each in inventory.take_work(Stage.BLOBS)] == [0, 1000, 2000]
    assert list(inventory.take_work(Stage.BLOBS)) == []


def test_names_that_are_no_text_are_reported(tmp_path: Path) -> None:
    async def main() -> None:
        refusal = UnicodeEncodeError("utf-8", "odd", 3, 4, "surrogates not allowed")
        destination = Watched({"docker/odd\udcff": [refusal]})
        async with drivers(FilesystemDriver(tmp_path)) as (source,):
            await fill(source, tree_objects())
            (tmp_path / "docker" / "odd\udcff").write_bytes(b"x")
            report = await migrated(source, destination)
        assert report.failed == 1
        assert report.problems[0].startswith("docker/odd\\udcff was not copied: ")
        assert await content_of(destination) == tree_objects()

    asyncio.run(main())


def test_not_found_of_the_destination_is_a_failure() -> None:
    async def main() -> None:
        path = layout.tag_current("other", "v")
        missing: list[Exception] = [NotFound("no such bucket") for _ in range(2 * bulk.RETURNS)]
        source, destination = memory(), Watched({path: missing})
        await fill(source, tree_objects())
        report = await migrated(source, destination)
        assert report.problems == [f"{path} was not copied: no such bucket"]

    asyncio.run(main())
