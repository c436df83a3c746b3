"""A limit of requests holds for all processes of a machine, whatever happens to one of them or to its file."""

from __future__ import annotations

import asyncio
import math
import struct
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from matou.registry.drivers import requests as module
from matou.registry.drivers.requests import BURST, RequestLimit, Requests
from tests.drivers.latency import seconds_of
from tests.servers.program import environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RATE = 100.0  # a second
ROUNDING = 1e-6  # seconds

BOOKER = """
import sys, time
from pathlib import Path
from matou.registry.drivers.requests import RequestLimit
limit = RequestLimit(float(sys.argv[1]), Path(sys.argv[2]))
waits = [limit.book() for _ in range(int(sys.argv[3]))]
print(time.monotonic() + max(waits))
"""

HOLDER = """
import fcntl, os, sys, time
descriptor = os.open(sys.argv[1], os.O_RDWR)
fcntl.flock(descriptor, fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(600)
"""


class Clock:
    """The monotonic clock, set by hand."""

    def __init__(self) -> None:
        self.now = 10_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "request_limit"


@pytest.fixture
def limit(path: Path) -> Iterator[RequestLimit]:
    limit = RequestLimit(RATE, path)
    yield limit
    limit.close()


def test_several_processes_keep_one_limit(path: Path) -> None:
    count, processes = 150, 3
    began = time.monotonic()
    command = [sys.executable, "-c", BOOKER, str(RATE), str(path), str(count)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) for _ in range(processes)]
    last = max(float(process.communicate()[0]) for process in running)
    # Each for itself would be done in a third of the time. Slow machines only make it longer.
    assert last - began >= count * processes / RATE - BURST


@pytest.mark.parametrize("rate", [0.5, 4, 100, 3500])
@pytest.mark.parametrize("shared", [True, False])
def test_a_burst_and_then_the_rate(rate: float, shared: bool, clock: Clock, path: Path) -> None:
    limit = RequestLimit(rate, path if shared else None)
    try:
        waits = [limit.book() for _ in range(1000)]
        at_once = max(1, math.floor(BURST * rate))
        assert waits[:at_once] == pytest.approx([0.0] * at_once, abs=ROUNDING)
        assert waits[-1] == pytest.approx((1000 - max(1.0, BURST * rate)) / rate)
        # Who has waited finds the same again.
        clock.now += waits[-1] + 100
        assert [limit.book() for _ in range(at_once)] == pytest.approx([0.0] * at_once, abs=ROUNDING)
        assert limit.book() > ROUNDING
    finally:
        limit.close()


def test_no_second_has_more_than_the_rate_and_a_burst(clock: Clock, limit: RequestLimit) -> None:
    sent: list[float] = []
    for _ in range(500):
        clock.now += 0.003  # three requests for each that is permitted
        sent.append(clock.now + limit.book())
    assert sent == sorted(sent)
    for first in range(len(sent)):
        within = sum(1 for moment in sent[first:] if moment < sent[first] + 1)
        assert within <= RATE * (1 + BURST) + 1


def test_no_limit() -> None:
    limit = RequestLimit(0)
    assert [limit.book() for _ in range(1000)] == [0.0] * 1000
    limit.close()


def test_two_limits_of_one_file_are_one(clock: Clock, path: Path) -> None:
    first, second = RequestLimit(RATE, path), RequestLimit(RATE, path)
    alone = RequestLimit(RATE)
    try:
        assert clock.now == 10_000
        together = [limit.book() for _ in range(50) for limit in (first, second)]
        assert together == [alone.book() for _ in range(100)]
    finally:
        first.close()
        second.close()


def test_a_process_that_is_killed_with_the_lock_holds_nobody_up(limit: RequestLimit, path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, env=environment())
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"locked\n"
    booking = threading.Thread(target=limit.book)
    booking.start()
    booking.join(0.1)
    assert booking.is_alive()
    holder.kill()
    booking.join(60)
    assert not booking.is_alive()
    holder.communicate()


def test_what_was_booked_before_the_machine_was_started_again(
    clock: Clock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = RequestLimit(RATE, path)
    clock.now = 3000.0
    for _ in range(1000):
        before.book()
    before.close()
    monkeypatch.setattr(module, "boot_id", lambda: "another")
    clock.now = 60.0
    after = RequestLimit(RATE, path)
    try:
        assert after.book() == 0.0
        assert [after.book() for _ in range(100)][-1] > 0.5
    finally:
        after.close()


@pytest.mark.parametrize("booked", [math.nan, math.inf, 1e300, -1e300, -math.inf])
@pytest.mark.parametrize("size", [0, 8, 24, 100])
def test_a_damaged_file_is_used_all_the_same(booked: float, size: int, clock: Clock, path: Path) -> None:
    own = RequestLimit(RATE, path)
    own.book()
    own.close()
    content = path.read_bytes()[:16] + struct.pack("d", booked)
    path.write_bytes((content + bytes(100))[:size])
    limit = RequestLimit(RATE, path)
    try:
        assert limit.book() == 0.0
        assert [limit.book() for _ in range(100)][-1] == pytest.approx(1.01 - BURST)
    finally:
        limit.close()
    assert clock.now == 10_000


def test_the_file_is_for_its_owner_alone(limit: RequestLimit, path: Path) -> None:
    limit.book()
    assert path.stat().st_mode & 0o777 == 0o600


def test_after_it_is_closed_nothing_waits(limit: RequestLimit) -> None:
    for _ in range(100):
        limit.book()
    limit.close()
    limit.close()
    assert limit.book() == 0.0


def test_a_file_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing"):
        RequestLimit(RATE, tmp_path / "missing" / "request_limit")


def test_waits_are_told_of(clock: Clock) -> None:
    waits: list[float] = []

    class Observer:
        def retried(self, *, throttled: bool) -> None:
            raise AssertionError(throttled)

        def waited(self, seconds: float) -> None:
            waits.append(seconds)

    async def scenario() -> None:
        requests = Requests(0, RequestLimit(4), Observer())
        for _ in range(4):
            await requests.send(lambda: asyncio.sleep(0))

    # The clock of the limit stands still, so that each one waits for all before it.
    assert seconds_of(scenario()) == pytest.approx(0.25 + 0.5 + 0.75)
    assert waits == pytest.approx([0.25, 0.5, 0.75])
    assert clock.now == 10_000
