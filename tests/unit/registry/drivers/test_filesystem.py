from __future__ import annotations

import asyncio
import os
import resource
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from matou.registry.drivers import file_operations, filesystem
from matou.registry.drivers.base import StorageError
from matou.registry.drivers.filesystem import FilesystemDriver

if TYPE_CHECKING:
    from collections.abc import Sequence


def test_no_temporary_file_is_left(tmp_path: Path) -> None:
    async def scenario() -> None:
        driver = FilesystemDriver(tmp_path)
        await driver.put("a/b", b"content")
        await driver.close()

    asyncio.run(scenario())
    assert list((tmp_path / "matou" / "tmp").iterdir()) == []
    assert (tmp_path / "a" / "b").read_bytes() == b"content"


def test_a_failed_write_leaves_the_upload_as_it_was(tmp_path: Path) -> None:
    async def scenario() -> None:
        driver = FilesystemDriver(tmp_path)
        await driver.upload_begin("u/1")
        first = await driver.upload_open("u/1", 0)
        await first.write([b"abc"])
        await first.close()
        writer = await driver.upload_open("u/1", 3)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
        try:
            with pytest.raises(StorageError):
                await writer.write([bytes(8000), bytes(8000)])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        await writer.close()
        assert await driver.upload_size("u/1") == 3
        await driver.close()

    asyncio.run(scenario())


def test_the_sweep_takes_what_is_old(tmp_path: Path) -> None:
    async def scenario() -> None:
        driver = FilesystemDriver(tmp_path)
        old, new = tmp_path / "matou/tmp/old", tmp_path / "matou/tmp/new"
        old.touch()
        new.touch()
        os.utime(old, (1, 1))
        assert await driver.sweep(60) == 1
        assert new.exists()
        assert await driver.sweep(-1) == 1
        await driver.close()

    asyncio.run(scenario())
    assert list((tmp_path / "matou" / "tmp").iterdir()) == []


def test_many_pieces_are_written_in_order(tmp_path: Path) -> None:
    pieces = [bytes([number % 256]) * (number % 7) for number in range(3000)]

    async def scenario() -> None:
        driver = FilesystemDriver(tmp_path)
        await driver.upload_begin("u/1")
        writer = await driver.upload_open("u/1", 0)
        await writer.write(pieces)
        await writer.close()
        await driver.close()

    asyncio.run(scenario())
    assert (tmp_path / "u" / "1").read_bytes() == b"".join(pieces)


BLOBS = "docker/registry/v2/blobs/sha256"


def test_every_directory_on_the_way_is_durable_whoever_made_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        synced.append(os.path.relpath(Path(f"/proc/self/fd/{descriptor}").readlink(), tmp_path))
        fsync(descriptor)

    async def scenario() -> None:
        driver = FilesystemDriver(tmp_path)
        # Another process has made this a moment ago, and has not synced it.
        (tmp_path / BLOBS / "ab").mkdir(parents=True)
        monkeypatch.setattr(os, "fsync", record)
        await driver.put(f"{BLOBS}/ab/abc/data", b"content")
        assert synced[0].startswith("matou/tmp/")
        parts = BLOBS.split("/")
        above = {"."} | {"/".join(parts[: count + 1]) for count in range(len(parts))}
        assert set(synced[1:]) == {f"{BLOBS}/ab/abc", f"{BLOBS}/ab", *above}
        synced.clear()
        await driver.put(f"{BLOBS}/ab/abd/data", b"content")
        assert synced[1:] == [f"{BLOBS}/ab/abd", f"{BLOBS}/ab"]
        synced.clear()
        await driver.put(f"{BLOBS}/cd/cde/data", b"content")
        assert set(synced[1:]) == {f"{BLOBS}/cd/cde", f"{BLOBS}/cd", BLOBS}
        synced.clear()
        await driver.upload_begin("u/1")
        await driver.upload_commit("u/1", 0, f"{BLOBS}/cd/cdf/data")
        assert synced == ["u/1", f"{BLOBS}/cd/cdf", f"{BLOBS}/cd"]
        await driver.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("is_upload", [False, True])
def test_a_cancelled_write_never_reaches_another_file(
    is_upload: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread cannot be cancelled: its descriptor must stay open until it has ended."""
    writing, may_write, ended = threading.Event(), threading.Event(), threading.Event()
    write_all = file_operations.write_all

    def slow(descriptor: int, chunks: Sequence[bytes]) -> None:
        writing.set()
        assert may_write.wait(60)
        try:
            write_all(descriptor, chunks)
        finally:
            ended.set()

    async def push(driver: FilesystemDriver) -> None:
        content = bytes(filesystem.SMALL + 1)
        if not is_upload:
            await driver.put("a", content)
            return
        await driver.upload_begin("u")
        writer = await driver.upload_open("u", 0)
        try:
            await writer.write([content])
        finally:
            await writer.close()

    async def scenario() -> None:
        driver = FilesystemDriver(tmp_path)
        monkeypatch.setattr(file_operations, "write_all", slow)
        task = asyncio.create_task(push(driver))
        await asyncio.to_thread(writing.wait, 60)
        task.cancel()
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0.01)
        victims = [(tmp_path / f"victim{number}").open("wb") for number in range(5)]
        may_write.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.wait(60)
        for victim in victims:
            victim.close()
        await driver.close()

    asyncio.run(scenario())
    assert [(tmp_path / f"victim{number}").stat().st_size for number in range(5)] == [0] * 5
    assert list((tmp_path / "matou" / "tmp").iterdir()) == []
