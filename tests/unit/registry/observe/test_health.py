from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from matou.config.distribution import load_configuration
from matou.registry.drivers.inmemory import InMemoryDriver
from matou.registry.observe import health as health_module
from matou.registry.observe.checks import Unhealthy
from matou.registry.observe.health import MANUAL, Health, Scheduled, scheduled_checks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pytest


class Scripted:
    """A check that does what it is told, run by run, and the last thing again and again."""

    def __init__(self, *results: str | Exception) -> None:
        self.name = "scripted"
        self.runs = 0
        self._results = results

    async def run(self) -> None:
        result = self._results[min(self.runs, len(self._results) - 1)]
        self.runs += 1
        if isinstance(result, Exception):
            raise result
        if result:
            raise Unhealthy(result)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 -- what is waited for sets no event
            await asyncio.sleep(0.001)


def run(check: Scripted, threshold: int, until_run: int) -> dict[str, str]:
    async def go() -> dict[str, str]:
        health = Health([Scheduled(check, 0.001, threshold)], None)
        failing = health.failing
        health.start(asyncio.get_running_loop())
        await until(lambda: check.runs > until_run)
        await health.stop()
        return failing

    return asyncio.run(go())


def test_well() -> None:
    assert run(Scripted(""), 1, 3) == {}


def test_ill() -> None:
    assert run(Scripted("broken"), 1, 1) == {"scripted": "broken"}


def test_threshold_counts_failures_in_a_row() -> None:
    assert run(Scripted("a", "b", "", "c", "d", "", "e", "f", ""), 3, 10) == {}
    assert run(Scripted("a", "b", "c"), 3, 3) == {"scripted": "c"}


def test_recovery(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "matou.registry")
    assert run(Scripted("broken", "still broken", ""), 1, 3) == {}
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        (
            "ERROR",
            "health check scripted fails: broken; requests are answered with 503 until it is well again",
        ),
        ("INFO", "health check scripted is well again"),
    ]
    assert all(record.exc_info is None for record in caplog.records)


def test_a_bug_in_a_check_is_ill() -> None:
    assert run(Scripted(ZeroDivisionError("x")), 5, 2) == {"scripted": "the check could not be run: ZeroDivisionError"}


class FakeBoard:
    def __init__(self) -> None:
        self.down = False
        self.reported: list[dict[str, str]] = []

    def is_down(self) -> bool:
        return self.down

    def report(self, failing: Mapping[str, str]) -> None:
        self.reported.append(dict(failing))


def test_an_administrator_takes_it_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_module, "POLL_INTERVAL", 0.001)
    board = FakeBoard()

    async def go() -> None:
        health = Health([], board)
        health.start(asyncio.get_running_loop())
        board.down = True
        await until(lambda: MANUAL in health.failing)
        await until(lambda: {MANUAL: "manual Check"} in board.reported)
        board.down = False
        await until(lambda: not health.failing)
        await health.stop()

    asyncio.run(go())


CONFIGURATION = """
version: 0.1
storage: {inmemory: {}}
http: {addr: "127.0.0.1:5000"}
health:
  storagedriver: {enabled: true, interval: 2s, threshold: 3}
  file: [{file: /run/out-of-service, interval: 500ms}]
  http: [{uri: "http://127.0.0.1/x", headers: {Accept: [a, b]}, timeout: 3s, interval: 4s, threshold: 2}]
  tcp: [{addr: "127.0.0.1:6379", timeout: 3s}]
"""


def test_from_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text(CONFIGURATION)
    checks = scheduled_checks(load_configuration(path, {}), InMemoryDriver())
    assert [(each.check.name, each.interval, each.threshold) for each in checks] == [
        ("storagedriver_inmemory", 2.0, 3),
        ("/run/out-of-service", 0.5, 1),
        ("http://127.0.0.1/x", 4.0, 2),
        ("127.0.0.1:6379", 10.0, 1),
    ]
