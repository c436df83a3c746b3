"""Background work that an integration test would have to wait days for."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

from matou.registry.blobs.projector import Projector
from matou.registry.drivers.base import StorageFull
from matou.registry.drivers.filesystem import FilesystemDriver
from matou.registry.files import RegistryFiles
from matou.registry.index import changes
from matou.registry.index.migrate import upgrade
from matou.registry.index.reader import Reader
from matou.registry.index.writer import Writer
from matou.registry.maintenance import JOURNAL_AGE, TRIM_BATCH, Maintenance
from matou.registry.purging import UploadPurging
from matou.registry.reserve import SIZE, give_up_reserve, keep_reserve

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    import pytest


def run(root: Path, scenario: Callable[[Maintenance, Writer, FilesystemDriver], Awaitable[None]]) -> None:
    files = RegistryFiles(root / "matou")
    upgrade(files.index)

    async def whole() -> None:
        driver, reader = FilesystemDriver(root), Reader(files.index)
        writer = Writer(files.index, asyncio.get_running_loop())
        maintenance = Maintenance(driver, writer, Projector(driver, reader, writer), files)
        try:
            await scenario(maintenance, writer, driver)
        finally:
            await maintenance.stop()
            await writer.close()
            reader.close()
            await driver.close()

    asyncio.run(whole())


def test_the_journal_loses_what_is_a_week_old_and_nothing_else(tmp_path: Path) -> None:
    def fill(connection: sqlite3.Connection) -> None:
        week_ago = changes.now_us() - int(JOURNAL_AGE * 1_000_000)
        rows = [(week_ago - 10_000_000, number) for number in range(TRIM_BATCH + 5)]
        rows += [(week_ago + 60_000_000, number) for number in range(3)]
        connection.executemany(
            "INSERT INTO journal (time, action, repository, size, actor) VALUES (?, 'push', 'a', ?, 'me')", rows
        )

    async def scenario(maintenance: Maintenance, writer: Writer, _driver: FilesystemDriver) -> None:
        await writer.run(fill)
        await maintenance._trim()
        left = await writer.run(lambda connection: connection.execute("SELECT count(*) FROM journal").fetchone())
        assert left == (3,)

    run(tmp_path, scenario)


def test_uploads_are_purged_once_an_interval_also_across_restarts(tmp_path: Path) -> None:
    async def scenario(maintenance: Maintenance, _writer: Writer, driver: FilesystemDriver) -> None:
        purging = UploadPurging(driver, age=60, interval=3600, dryrun=False)
        stamp, upload = tmp_path / "matou" / "purged", tmp_path / "docker/registry/v2/repositories/a/_uploads/u"
        upload.parent.mkdir(parents=True)
        for age, is_due in ((None, True), (10, False), (3599, False), (3700, True)):
            upload.touch()
            os.utime(upload, (1, 1))
            if age is not None:
                os.utime(stamp, (time.time() - age,) * 2)
            await maintenance._purge_when_due(purging)
            assert upload.exists() != is_due, age

    run(tmp_path, scenario)


def test_a_step_that_fails_is_repeated_and_stopping_makes_links_durable(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(maintenance: Maintenance, writer: Writer, _driver: FilesystemDriver) -> None:
        calls: list[int] = []

        async def step() -> None:
            calls.append(1)
            if len(calls) < 3:
                raise StorageFull("no room") if len(calls) == 1 else KeyError("odd")

        maintenance._tasks = [asyncio.create_task(maintenance._repeat("do it", 0.001, step))]
        while len(calls) < 4:  # noqa: ASYNC110 -- nothing tells of it
            await asyncio.sleep(0.001)
        assert "could not do it: no room; trying again" in caplog.text
        marks = await writer.run(lambda connection: changes.put_blob(connection, "a", f"sha256:{'0' * 64}", 0, "me"))
        await maintenance._projector.project(marks)
        await maintenance.stop()
        left = await writer.run(lambda connection: connection.execute("SELECT count(*) FROM projections").fetchone())
        assert left == (0,)

    run(tmp_path, scenario)


def test_the_reserve_is_kept_once_and_given_up_once(tmp_path: Path) -> None:
    path = tmp_path / "reserve"
    for _ in range(2):
        keep_reserve(path)
        assert path.stat().st_size == SIZE
    assert path.stat().st_blocks * 512 >= SIZE
    assert give_up_reserve(path)
    assert not give_up_reserve(path)


def test_a_reserve_for_which_there_is_no_room_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_descriptor: int, _offset: int, _length: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", fail)
    keep_reserve(tmp_path / "reserve")
    assert list(tmp_path.iterdir()) == []
