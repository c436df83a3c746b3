"""Whether the registry is well: checks that run in the background of every worker.

Concurrency: a task a check on the worker's event loop. ``failing`` is one dictionary that the endpoint looks at; it is
changed in place, so that looking costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from matou.registry.observe.checks import FileCheck, HttpCheck, StorageCheck, TcpCheck, Unhealthy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matou.config.distribution import Configuration
    from matou.registry.drivers.base import Driver
    from matou.registry.observe.checks import Check

log = logging.getLogger("matou.registry")

DEFAULT_INTERVAL = 10.0  # seconds
MANUAL = "manual_http_status"  # Distribution's name
MANUAL_REASON = "manual Check"
POLL_INTERVAL = 0.05  # seconds between looks at the board


class Section(Protocol):
    """What the sections of all checks have in common."""

    @property
    def interval(self) -> float: ...  # noqa: D102 -- see the configuration reference
    @property
    def threshold(self) -> int: ...  # noqa: D102 -- see the configuration reference


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A check and when it runs.

    Attributes:
        check: what is run.
        interval: seconds from the end of one run to the beginning of the next.
        threshold: failures in a row until it counts.
    """

    check: Check
    interval: float
    threshold: int

    @classmethod
    def by(cls, check: Check, section: Section) -> Scheduled:
        """Schedule a check as its section says; 0 stands for the default."""
        return cls(check, section.interval or DEFAULT_INTERVAL, max(1, section.threshold))


class Board(Protocol):
    """Where a worker tells the parent, and is told."""

    def is_down(self) -> bool:
        """Return whether an administrator has taken the registry out."""
        ...

    def report(self, failing: Mapping[str, str]) -> None:
        """Tell which checks fail, after ``is_down`` was looked at."""
        ...


class Health:
    """The health of a worker.

    Attributes:
        failing: checks that are red, name to reason; empty when all is well.

    Args:
        checks: run in the background.
        board: of the debug server, where there is one.
    """

    def __init__(self, checks: Sequence[Scheduled], board: Board | None) -> None:
        self.failing: dict[str, str] = {}
        self._checks = checks
        self._board = board
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin; every check runs once at once."""
        self._tasks = [loop.create_task(self._repeat(scheduled)) for scheduled in self._checks]
        if self._board is not None:
            self._tasks.append(loop.create_task(self._follow(self._board)))

    async def stop(self) -> None:
        """End."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _repeat(self, scheduled: Scheduled) -> None:
        failures = 0
        name = scheduled.check.name
        while True:
            try:
                await scheduled.check.run()
            except Unhealthy as reason:
                failures += 1
                if failures >= scheduled.threshold:
                    self._fail(name, str(reason))
            except Exception as error:
                failures += 1
                log.exception("health check %s could not be run", name)
                self._fail(name, f"the check could not be run: {type(error).__name__}")
            else:
                failures = 0
                self._recover(name)
            await asyncio.sleep(scheduled.interval)

    async def _follow(self, board: Board) -> None:
        while True:
            if board.is_down():
                self._fail(MANUAL, MANUAL_REASON)
            else:
                self._recover(MANUAL)
            board.report(self.failing)
            await asyncio.sleep(POLL_INTERVAL)

    def _fail(self, name: str, reason: str) -> None:
        if name not in self.failing:
            log.error("health check %s fails: %s; requests are answered with 503 until it is well again", name, reason)
        self.failing[name] = reason

    def _recover(self, name: str) -> None:
        if self.failing.pop(name, None) is not None:
            log.info("health check %s is well again", name)


def scheduled_checks(configuration: Configuration, driver: Driver) -> list[Scheduled]:
    """Return the checks of the section ``health``.

    Raises:
        ValueError: one cannot be made.
    """
    health = configuration.health
    checks: list[Scheduled] = []
    if health.storagedriver.enabled:
        checks.append(Scheduled.by(StorageCheck(driver, configuration.storage.driver), health.storagedriver))
    checks += [Scheduled.by(FileCheck(section.file), section) for section in health.file]
    checks += [
        Scheduled.by(HttpCheck(section.uri, section.statuscode, section.headers, section.timeout), section)
        for section in health.http
    ]
    checks += [Scheduled.by(TcpCheck(section.addr, section.timeout), section) for section in health.tcp]
    return checks
