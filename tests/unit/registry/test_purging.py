"""Uploads that were given up, in object storage: ours, Distribution's, and what is left of either."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from matou.registry.blobs import layout
from matou.registry.drivers.object_driver import ObjectDriver
from matou.registry.purging import EMPTY_OBJECT_AGE, PURGED_AT_ONCE, UploadPurging
from tests.drivers.latency import LATENCY, DistantStore, seconds_of
from tests.drivers.memory_store import MemoryStore

AGE = 168 * 3600.0
ONE, OTHER = layout.upload("team/app", "1"), layout.upload("team/app", "2")


def purging_of(driver: ObjectDriver, *, dryrun: bool = False) -> UploadPurging:
    return UploadPurging(driver, age=AGE, interval=3600, dryrun=dryrun)


async def begin(driver: ObjectDriver, path: str, *content: bytes) -> None:
    await driver.upload_begin(path)
    offset = 0
    for piece in content:
        writer = await driver.upload_open(path, offset)
        await writer.write([piece])
        await writer.close()
        offset += len(piece)


def grow_old(store: MemoryStore, part: str, seconds: float) -> None:
    for key, (content, _) in store.objects.items():
        if part in key:
            store.objects[key] = (content, time.time() - seconds)


@pytest.mark.parametrize("keeps_segments", [False, True])
def test_an_upload_that_nobody_went_on_with_goes_with_its_segments(keeps_segments: bool) -> None:
    async def scenario() -> None:
        store = MemoryStore(keeps_segments=keeps_segments)
        driver = ObjectDriver(store)
        await begin(driver, ONE, b"abcd", b"ef")
        await begin(driver, OTHER, b"ghij")
        kept = {key for key in store.objects if OTHER in key}
        grow_old(store, ONE, AGE + 60)
        assert await purging_of(driver, dryrun=True).run() == 1
        assert len(store.objects) > len(kept)
        assert await purging_of(driver).run() == 1
        assert set(store.objects) == kept
        assert await purging_of(driver).run() == 0

    asyncio.run(scenario())


def test_the_last_change_counts_not_the_start() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        driver = ObjectDriver(store)
        await begin(driver, ONE, b"abcd", b"efgh")
        grow_old(store, f"{ONE}/", AGE + 60)
        grow_old(store, f"{ONE}/data.0000000000000004", AGE - 60)
        assert await purging_of(driver).run() == 0
        assert await driver.upload_size(ONE) == 8

    asyncio.run(scenario())


@pytest.mark.parametrize("keeps_segments", [False, True])
def test_an_upload_without_data_goes_earlier_but_not_one_whose_data_lies_elsewhere(keeps_segments: bool) -> None:
    async def scenario() -> None:
        store = MemoryStore(keeps_segments=keeps_segments)
        driver = ObjectDriver(store)
        await begin(driver, ONE)
        await begin(driver, OTHER, b"abcd")
        grow_old(store, "_uploads", EMPTY_OBJECT_AGE - 60)
        assert await purging_of(driver).run() == 0
        grow_old(store, "_uploads", EMPTY_OBJECT_AGE + 60)
        assert await purging_of(driver).run() == 1
        assert await driver.list(layout.uploads("team/app")) == ["2"]
        assert await driver.upload_size(OTHER) == 4

    asyncio.run(scenario())


@pytest.mark.parametrize("age", [AGE - 60, AGE + 60])
def test_what_distribution_left_in_a_bucket_is_purged_by_the_same_rule(age: float) -> None:
    async def scenario() -> None:
        store = MemoryStore()
        driver = ObjectDriver(store)
        for name, content in (("startedat", b"2020-01-01T00:00:00Z"), ("data", b"abc"), ("hashstates/sha256/3", b"s")):
            store.objects[f"{ONE}/{name}"] = (content, time.time() - age)
        assert await purging_of(driver).run() == int(age > AGE)
        assert bool(store.objects) == (age < AGE)

    asyncio.run(scenario())


def test_what_was_stored_of_an_upload_after_its_end_is_purged() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        driver = ObjectDriver(store)
        await begin(driver, ONE, b"abcd")
        # A writer elsewhere was slow: its segment arrives when the upload is finished.
        await driver.upload_commit(ONE, 4, "docker/registry/v2/blobs/x/data")
        store.objects[f"{ONE}/data.{4:016d}-{'a' * 16}"] = (b"late", time.time() - AGE - 60)
        assert await purging_of(driver).run() == 1
        assert list(store.objects) == ["docker/registry/v2/blobs/x/data"]

    asyncio.run(scenario())


def test_repositories_without_uploads_cost_nothing_and_the_others_are_looked_at_together() -> None:
    async def scenario() -> None:
        assert await purging_of(driver).run() == 200

    store = DistantStore()
    driver = ObjectDriver(store)
    for number in range(200):
        store.objects[f"{layout.upload(f'app-{number}', 'u')}/startedat"] = (b"", time.time() - AGE - 60)
        store.objects[layout.tag_current(f"other-{number}", "t")] = (b"", 0.0)
    seconds = seconds_of(scenario())
    assert not any("other-" in request for request in store.requests if "_uploads" in request)
    # A listing, then what deletes: two listings of a page each, and the deletion.
    assert seconds / LATENCY < 2 * 420 / 32 + 8 * 200 / PURGED_AT_ONCE


def test_a_run_says_what_it_does(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        store = MemoryStore()
        driver = ObjectDriver(store)
        await begin(driver, ONE, b"abcd")
        grow_old(store, ONE, AGE + 60)
        await purging_of(driver, dryrun=True).run()

    caplog.set_level(logging.INFO)
    asyncio.run(scenario())
    assert "would purge upload 1 of team/app" in caplog.text
    assert "upload purging: 1 uploads would be deleted" in caplog.text
