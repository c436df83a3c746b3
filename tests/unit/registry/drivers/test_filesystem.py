from __future__ import annotations

import asyncio
import os
import resource
from typing import TYPE_CHECKING

import pytest

from matou.registry.drivers.base import StorageError
from matou.registry.drivers.filesystem import FilesystemDriver

if TYPE_CHECKING:
    from pathlib import Path


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
        assert await driver.sweep_temporary(60) == 1
        assert new.exists()
        assert await driver.sweep_temporary(-1) == 1
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
