from __future__ import annotations

import asyncio

import pytest

from matou.registry.drivers.base import NotFound
from matou.registry.drivers.inmemory import InMemoryDriver
from matou.registry.observe.figures import ACTIONS, Layout
from matou.registry.observe.measured_driver import MeasuredDriver
from matou.registry.observe.storage_figures import StorageFigures


def counted(cells: list[int]) -> dict[str, int]:
    counts = {}
    for index, action in enumerate(ACTIONS):
        first = Layout.actions + index * Layout.action_size
        counts[action] = sum(cells[first + 1 : first + Layout.action_size])
        assert (cells[first] > 0) == (counts[action] > 0), "time goes with the number"
    return {action: count for action, count in counts.items() if count}


def test_every_action_is_counted() -> None:
    cells = [0] * Layout.size

    async def work() -> None:
        driver = MeasuredDriver(InMemoryDriver(), StorageFigures(cells))
        await driver.put("docker/a", b"content")
        await driver.upload_begin("docker/uploads/data")
        assert await driver.get("docker/a") == b"content"
        assert b"".join([piece async for piece in driver.read("docker/a", 1, 3)]) == b"ont"
        assert (await driver.stat("docker/a")).size == 7
        assert "a" in await driver.list("docker")
        writer = await driver.upload_open("docker/uploads/data", 0)
        await writer.write([b"x"])
        await writer.close()
        assert await driver.upload_size("docker/uploads/data") == 1
        await driver.upload_commit("docker/uploads/data", 1, "docker/b")
        await driver.flush()
        assert await driver.url("docker/a", "GET", 60) is None
        assert not await driver.copy_from(InMemoryDriver(), "docker/a", 7)
        assert await driver.sweep(0) == 0
        assert {path async for path, _ in driver.walk("docker")} == {"docker/a", "docker/b"}
        await driver.delete("docker/a")
        with pytest.raises(NotFound):
            await driver.get("docker/a")
        await driver.close()

    asyncio.run(work())
    assert counted(cells) == dict.fromkeys(ACTIONS, 1) | {"GetContent": 2}


def test_reading_nothing() -> None:
    cells = [0] * Layout.size

    async def work() -> list[bytes]:
        driver = MeasuredDriver(InMemoryDriver(), StorageFigures(cells))
        await driver.put("a", b"")
        return [piece async for piece in driver.read("a", 0, 0)]

    assert b"".join(asyncio.run(work())) == b""
