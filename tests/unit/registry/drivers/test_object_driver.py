from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from matou.registry.drivers.base import Conflict, NotFound, StorageError
from matou.registry.drivers.object_driver import ObjectDriver
from tests.drivers.memory_store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

UPLOAD = "r/_uploads/1"


def run(scenario: Coroutine[None, None, None]) -> None:
    asyncio.run(scenario)


async def append(driver: ObjectDriver, offset: int, *chunks: bytes) -> None:
    writer = await driver.upload_open(UPLOAD, offset)
    try:
        await writer.write(chunks)
    finally:
        await writer.close()


def segments(store: MemoryStore) -> list[str]:
    return sorted(key.rsplit("/", 1)[-1].split("-")[0] for key in store.objects if "data." in key)


def test_an_upload_lies_in_segments_and_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        driver = ObjectDriver(store)
        await driver.upload_begin(UPLOAD)
        await append(driver, 0, b"abc", b"defgh", b"i")
        assert segments(store) == ["data.0000000000000000", "data.0000000000000008"]
        await append(driver, 9, b"jk")
        await driver.upload_commit(UPLOAD, 11, "blob/data")
        assert list(store.objects) == ["blob/data"]
        assert await driver.get("blob/data") == b"abcdefghijk"

    run(scenario())


def test_a_small_blob_costs_few_requests() -> None:
    async def scenario() -> None:
        store = MemoryStore(100)
        driver = ObjectDriver(store)
        await driver.upload_begin(UPLOAD)
        await append(driver, 0, b"abc")
        await driver.upload_commit(UPLOAD, 3, "blob/data")
        assert [request.split()[0] for request in store.requests] == ["put", "put", "list", "assemble", "delete"]

    run(scenario())


@pytest.mark.parametrize("keeps_segments", [False, True])
def test_another_process_goes_on_and_finishes(keeps_segments: bool) -> None:
    async def scenario() -> None:
        store = MemoryStore(keeps_segments=keeps_segments)
        one, other, third = ObjectDriver(store), ObjectDriver(store), ObjectDriver(store)
        await one.upload_begin(UPLOAD)
        await append(one, 0, b"12345")
        assert await other.upload_size(UPLOAD) == 5
        await append(other, 5, b"6789")
        with pytest.raises(Conflict):
            await third.upload_open(UPLOAD, 5)
        await third.upload_commit(UPLOAD, 9, "blob")
        assert await one.get("blob") == b"123456789"
        with pytest.raises(NotFound):
            await one.upload_size(UPLOAD)
        await one.delete("blob")
        assert store.objects == {}

    run(scenario())


def test_what_was_stored_behind_a_segment_that_failed_is_not_taken_for_content() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        driver = ObjectDriver(store)
        await driver.upload_begin(UPLOAD)
        store.failing_puts = ["data.0000000000000004"]
        writer = await driver.upload_open(UPLOAD, 0)
        with pytest.raises(StorageError):
            await writer.write([b"0123", b"4567", b"89ab", b"cdef"])
        with pytest.raises(StorageError):
            await writer.close()
        await writer.close()
        assert await driver.upload_size(UPLOAD) == 4
        assert segments(store) == ["data.0000000000000000"]
        await append(driver, 4, b"4567", b"89ab")
        await driver.upload_commit(UPLOAD, 12, "blob")
        assert await driver.get("blob") == b"0123456789ab"

    run(scenario())


def test_segments_that_a_killed_process_left_behind_a_gap_are_deleted() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        driver = ObjectDriver(store)
        await driver.upload_begin(UPLOAD)
        await append(driver, 0, b"0123")
        store.objects[f"{UPLOAD}/data.0000000000000008-0123456789abcdef"] = (b"89xx", 0.0)
        other = ObjectDriver(store)
        assert await other.upload_size(UPLOAD) == 4
        await append(other, 4, b"4567")
        await append(other, 8, b"89ab")
        await driver.upload_commit(UPLOAD, 12, "blob")
        assert store.objects.keys() == {"blob"}
        assert await driver.get("blob") == b"0123456789ab"

    run(scenario())


@pytest.mark.parametrize("offsets", [(0, 0), (0, 2)])
def test_an_upload_that_two_processes_wrote_to_at_once_is_lost(offsets: tuple[int, int]) -> None:
    async def scenario() -> None:
        store = MemoryStore()
        one, other = ObjectDriver(store), ObjectDriver(store)
        await one.upload_begin(UPLOAD)
        if offsets[1]:
            await append(one, 0, b"01")
        first = await one.upload_open(UPLOAD, offsets[1])
        second = await other.upload_open(UPLOAD, offsets[1])
        await first.write([b"abcdef"])
        await second.write([b"ghi"])
        await first.close()
        await second.close()
        for driver in (one, other, ObjectDriver(store)):
            with pytest.raises(NotFound):
                await driver.upload_size(UPLOAD)
            with pytest.raises(NotFound):
                await driver.upload_commit(UPLOAD, offsets[1] + 6, "blob")
        await one.delete(UPLOAD)
        assert store.objects == {}

    run(scenario())


def test_a_listing_that_lags_is_waited_for() -> None:
    async def scenario() -> None:
        store = MemoryStore(settling=20)
        driver = ObjectDriver(store)
        await driver.upload_begin(UPLOAD)
        await append(driver, 0, b"0123", b"45")
        store.hidden = {key for key in store.objects if "data." in key}
        commit = asyncio.create_task(driver.upload_commit(UPLOAD, 6, "blob"))
        await asyncio.sleep(0.1)
        assert not commit.done()
        store.hidden.clear()
        await commit
        assert await driver.get("blob") == b"012345"

    run(scenario())


def test_segments_are_stored_while_more_come_in() -> None:
    class SlowStore(MemoryStore):
        storing, most = 0, 0

        async def put(self, key: str, chunks: Sequence[bytes]) -> None:
            self.storing += 1
            self.most = max(self.most, self.storing)
            await asyncio.sleep(0.01)
            self.storing -= 1
            await super().put(key, chunks)

    async def scenario() -> None:
        store = SlowStore()
        driver = ObjectDriver(store)
        await driver.upload_begin(UPLOAD)
        await append(driver, 0, *(b"%04d" % number for number in range(10)))
        assert store.most == store.segments.in_flight
        await driver.upload_commit(UPLOAD, 40, "blob")
        assert await driver.get("blob") == b"".join(b"%04d" % number for number in range(10))

    run(scenario())


def test_segments_grow_with_the_offset() -> None:
    store = MemoryStore(10 << 20)
    offset = count = 0
    while offset < 1 << 40:
        offset += store.segments.size_at(offset)
        count += 1
    assert count < 10_000
    assert store.segments.size_at(10 << 30) == 10 << 20


@pytest.mark.parametrize("keeps_segments", [False, True])
def test_content_is_invisible_until_it_is_committed(keeps_segments: bool) -> None:
    async def scenario() -> None:
        store = MemoryStore(keeps_segments=keeps_segments)
        driver = ObjectDriver(store)
        for content in (b"", b"abc", b"abcdefghij"):
            writer = await driver.content_open("c")
            await writer.write([content])
            with pytest.raises(NotFound):
                await driver.get("c")
            await writer.commit()
            await writer.discard()
            assert await driver.get("c") == content
            await driver.delete("c")
            assert store.objects == {}

    run(scenario())


def test_what_a_killed_process_staged_is_swept() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        driver = ObjectDriver(store)
        writer = await driver.content_open("c")
        await writer.write([b"abcdefgh"])
        await writer.write([b"abcdefgh"])
        await asyncio.sleep(0)
        assert store.objects
        assert await driver.sweep(60) == 0
        assert await driver.sweep(-1) == 2
        assert store.objects == {}

    run(scenario())
