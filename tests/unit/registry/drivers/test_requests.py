"""When a request is repeated, and when it is enough; in the time of a clock that only sleeping moves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from matou.registry.drivers.base import StorageError, Transient
from matou.registry.drivers.requests import LONGEST_ATTEMPT, PATIENCE, RequestLimit, Requests
from tests.drivers.latency import seconds_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ATTEMPT = 30.0  # seconds


class Counted:
    """Counts retries and waits."""

    def __init__(self) -> None:
        self.retries: list[bool] = []
        self.waits: list[float] = []

    def retried(self, *, throttled: bool) -> None:
        self.retries.append(throttled)

    def waited(self, seconds: float) -> None:
        self.waits.append(seconds)


class Failing:
    """A request that fails so many times.

    Args:
        failures: raised, one after the other.
        seconds: that each attempt takes.
    """

    def __init__(self, *failures: Exception, seconds: float = 0.0) -> None:
        self.failures = list(failures)
        self.seconds = seconds
        self.attempts = 0

    async def __call__(self) -> str:
        self.attempts += 1
        await asyncio.sleep(self.seconds)
        if self.failures:
            raise self.failures.pop(0)
        return "done"


def test_what_may_pass_is_repeated_and_counted() -> None:
    counted = Counted()
    request = Failing(Transient("one"), Transient("two", throttled=True))

    async def scenario() -> None:
        assert await Requests(10, RequestLimit(0), counted).send(request) == "done"

    seconds = seconds_of(scenario())
    assert request.attempts == 3
    assert counted.retries == [False, True]
    assert 0.05 + 0.5 <= seconds <= 0.1 + 1.0


def test_what_will_not_pass_is_not_repeated() -> None:
    request = Failing(StorageError("refused"))

    async def scenario() -> None:
        with pytest.raises(StorageError, match="refused"):
            await Requests(10, RequestLimit(0), Counted()).send(request)

    seconds_of(scenario())
    assert request.attempts == 1


def test_the_last_failure_is_raised_when_retries_are_used_up() -> None:
    counted = Counted()
    request = Failing(*(Transient(str(number)) for number in range(9)))

    async def scenario() -> None:
        with pytest.raises(Transient, match="3"):
            await Requests(3, RequestLimit(0), counted).send(request)

    seconds_of(scenario())
    assert (request.attempts, len(counted.retries)) == (4, 3)


def test_a_service_that_says_when_is_obeyed_within_reason() -> None:
    async def scenario() -> None:
        request = Failing(Transient("later", retry_after=7.0), Transient("much later", retry_after=3600.0))
        await Requests(10, RequestLimit(0), Counted()).send(request)

    assert 27.0 <= seconds_of(scenario()) <= 28.0


def test_nobody_waits_for_ever_for_attempts_that_take_long() -> None:
    request = Failing(*(Transient("stalled") for _ in range(100)), seconds=ATTEMPT)

    async def scenario() -> None:
        with pytest.raises(Transient, match="stalled"):
            await Requests(100, RequestLimit(0), Counted()).send(request)

    assert seconds_of(scenario()) < PATIENCE + ATTEMPT
    assert request.attempts == PATIENCE // ATTEMPT


def test_nobody_waits_for_ever_for_one_attempt() -> None:
    request = Failing(seconds=10 * LONGEST_ATTEMPT)

    async def scenario() -> None:
        with pytest.raises(Transient, match="did not answer within"):
            await Requests(10, RequestLimit(0), Counted()).send(request)

    assert seconds_of(scenario()) == LONGEST_ATTEMPT
    assert request.attempts == 1


def test_a_stream_goes_on_as_long_as_it_brings_something() -> None:
    attempts: list[int] = []

    async def ten_bytes(start: int, length: int) -> AsyncIterator[bytes]:
        attempts.append(start)
        await asyncio.sleep(ATTEMPT)
        if len(attempts) % 2:
            raise Transient("broken")
        yield bytes(min(10, length))
        raise Transient("broken again")

    async def scenario() -> None:
        requests = Requests(2, RequestLimit(0), Counted())
        content = b"".join([piece async for piece in requests.stream(ten_bytes, 5, 100)])
        assert len(content) == 100

    assert seconds_of(scenario()) > PATIENCE
    assert attempts == [5 + 10 * (number // 2) for number in range(20)]


def test_a_stream_that_brings_nothing_ends() -> None:
    attempts: list[int] = []

    async def nothing(start: int, length: int) -> AsyncIterator[bytes]:
        attempts.append(start)
        await asyncio.sleep(ATTEMPT)
        if length == 100:
            yield b"x"
        raise Transient("broken")

    async def scenario() -> None:
        with pytest.raises(Transient, match="broken"):
            [piece async for piece in Requests(100, RequestLimit(0), Counted()).stream(nothing, 0, 100)]

    assert seconds_of(scenario()) < PATIENCE + 3 * ATTEMPT
    assert attempts[:3] == [0, 1, 1]


def test_the_time_that_a_client_takes_is_none_of_the_storage() -> None:
    attempts: list[int] = []

    async def one_byte(start: int, _length: int) -> AsyncIterator[bytes]:
        attempts.append(start)
        yield b"x"
        raise Transient("the storage closed a connection that was idle")

    async def scenario() -> None:
        async for _ in Requests(2, RequestLimit(0), Counted()).stream(one_byte, 0, 5):
            await asyncio.sleep(2 * PATIENCE)

    seconds_of(scenario())
    assert attempts == [0, 1, 2, 3, 4]
