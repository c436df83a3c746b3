"""Uploads that were begun on the old storage are finished on the new one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeAlias

import pytest

from matou.registry.blobs import layout
from matou.registry.content.digest import Digest
from matou.registry.drivers.base import Conflict, NotFound, StorageError
from matou.registry.drivers.filesystem import FilesystemDriver
from matou.registry.drivers.inmemory import InMemoryDriver
from matou.registry.drivers.object_driver import ObjectDriver
from matou.registry.drivers.succession import FOLLOWED, SuccessorDriver
from tests.drivers.memory_store import MemoryStore

if TYPE_CHECKING:
    from pathlib import Path

UPLOAD = layout.upload("team/app", "uuid")
CONTENT = bytes(range(256)) * 8000  # two megabytes
BLOB = layout.blob_data(Digest.of(CONTENT))
Old: TypeAlias = FilesystemDriver | InMemoryDriver | ObjectDriver
Scenario: TypeAlias = Callable[[SuccessorDriver, Old, ObjectDriver], Awaitable[None]]


async def run(old: Old, scenario: Scenario, since: float | None = None) -> None:
    new = ObjectDriver(MemoryStore(1 << 20))
    with ThreadPoolExecutor(2) as hashing:
        driver = SuccessorDriver(new, old, time.time() if since is None else since, hashing)
        try:
            await scenario(driver, old, new)
        finally:
            await driver.close()


async def append(driver: SuccessorDriver | Old, start: int, end: int) -> None:
    writer = await driver.upload_open(UPLOAD, start)
    try:
        await writer.write([CONTENT[start:end]])
    finally:
        await writer.close()


@pytest.fixture(params=["filesystem", "objects"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Old:
    return FilesystemDriver(tmp_path) if request.param == "filesystem" else ObjectDriver(MemoryStore(1 << 20))


def test_an_upload_of_the_old_storage_is_finished_on_the_new_one(old: Old) -> None:
    async def scenario(driver: SuccessorDriver, old: Old, new: ObjectDriver) -> None:
        await old.upload_begin(UPLOAD)
        await append(old, 0, 1000)
        assert await driver.upload_size(UPLOAD) == 1000
        with pytest.raises(Conflict):
            await driver.upload_open(UPLOAD, 999)
        await append(driver, 1000, len(CONTENT))
        read = [piece async for piece in driver.upload_read(UPLOAD, len(CONTENT))]
        assert b"".join(read) == CONTENT
        with pytest.raises(Conflict):
            await driver.upload_commit(UPLOAD, 1000, BLOB)
        await driver.upload_commit(UPLOAD, len(CONTENT), BLOB)
        assert await driver.get(BLOB) == await new.get(BLOB) == CONTENT
        with pytest.raises(NotFound):
            await old.upload_size(UPLOAD)
        with pytest.raises(NotFound):
            await old.stat(BLOB)

    asyncio.run(run(old, scenario))


def test_an_upload_of_the_new_storage_never_touches_the_old_one(old: Old) -> None:
    async def scenario(driver: SuccessorDriver, old: Old, new: ObjectDriver) -> None:
        await driver.upload_begin(UPLOAD)
        await append(driver, 0, len(CONTENT))
        assert await new.upload_size(UPLOAD) == len(CONTENT)
        assert [path async for path, _ in old.walk("docker")] == []
        assert b"".join([piece async for piece in driver.upload_read(UPLOAD, len(CONTENT))]) == CONTENT
        await driver.upload_commit(UPLOAD, len(CONTENT), BLOB)
        assert await new.get(BLOB) == CONTENT

    asyncio.run(run(old, scenario))


def test_an_upload_is_cancelled_where_it_is(old: Old) -> None:
    async def scenario(driver: SuccessorDriver, old: Old, _: ObjectDriver) -> None:
        await old.upload_begin(UPLOAD)
        await driver.delete(UPLOAD)
        with pytest.raises(NotFound):
            await old.upload_size(UPLOAD)

    asyncio.run(run(old, scenario))


def test_nothing_else_of_the_old_storage_is_deleted(old: Old) -> None:
    async def scenario(driver: SuccessorDriver, old: Old, _: ObjectDriver) -> None:
        link = layout.tag_current("team/app", "_uploads")
        await old.put(link, b"x")
        await driver.delete(layout.tag_directory("team/app", "_uploads"))
        assert await old.get(link) == b"x"
        with pytest.raises(NotFound):
            await driver.stat(link)

    asyncio.run(run(old, scenario))


def test_after_a_day_the_old_storage_is_let_alone(old: Old) -> None:
    async def scenario(driver: SuccessorDriver, old: Old, _: ObjectDriver) -> None:
        await old.upload_begin(UPLOAD)
        for work in (
            driver.upload_size(UPLOAD),
            driver.upload_open(UPLOAD, 0),
            driver.upload_commit(UPLOAD, 0, BLOB),
        ):
            with pytest.raises(NotFound):
                await work
        with pytest.raises(NotFound):
            await anext(driver.upload_read(UPLOAD, 0))
        await driver.delete(UPLOAD)
        assert await old.upload_size(UPLOAD) == 0

    asyncio.run(run(old, scenario, since=time.time() - FOLLOWED - 1))


def test_damage_on_the_way_is_no_blob() -> None:
    async def scenario(driver: SuccessorDriver, old: Old, new: ObjectDriver) -> None:
        await old.upload_begin(UPLOAD)
        await append(old, 0, len(CONTENT) - 1)
        with pytest.raises(StorageError, match="damaged"):
            await driver.upload_commit(UPLOAD, len(CONTENT) - 1, BLOB)
        with pytest.raises(NotFound):
            await new.stat(BLOB)

    asyncio.run(run(InMemoryDriver(), scenario))


class Broken(InMemoryDriver):
    async def upload_size(self, path: str) -> int:
        raise StorageError(f"{path}: the disk is gone")


def test_an_old_storage_that_is_gone_has_no_uploads() -> None:
    async def scenario(driver: SuccessorDriver, _: Old, __: ObjectDriver) -> None:
        with pytest.raises(NotFound, match="the disk is gone"):
            await driver.upload_size(UPLOAD)

    asyncio.run(run(Broken(), scenario))
