"""Requests to a storage service: how many a second, and what happens when one fails.

Concurrency: a limit is shared by all workers of a machine through a few bytes of a file that they map; each request
books its time under the file's lock and then sleeps until it has come.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import logging
import mmap
import os
import random
import struct
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from matou.registry.drivers.base import Transient
from matou.registry.drivers.streams import closing
from matou.registry.drivers.unread import Content, passed
from matou.system.boot import boot_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

T = TypeVar("T")

log = logging.getLogger("matou.registry")

FIRST_PAUSE = 0.1  # seconds before the first retry at most; doubled with each
FIRST_THROTTLED_PAUSE = 0.5  # seconds, when the service asks for fewer requests
LONGEST_PAUSE = 20.0  # seconds
PATIENCE = 120.0  # seconds after which a request is not repeated any more
LONGEST_ATTEMPT = 600.0  # seconds; drivers have shorter limits where they know more, such as that nothing is sent
BURST = 0.25  # seconds' worth of requests that may come at once
LONGEST_QUEUE = 3600.0  # seconds; what is booked beyond that is no queue, but a file that was damaged
_BOOKING = struct.Struct("16sd")  # the boot of the machine, and the monotonic time that is booked last


class RequestObserver(Protocol):
    """Is told of what does not show in the time of an operation."""

    def retried(self, *, throttled: bool) -> None:
        """Count a request that is repeated: the service asked for fewer, or something failed."""
        ...

    def waited(self, seconds: float) -> None:
        """Count a wait for the limit of requests a second."""
        ...


class UnobservedRequests:
    """Counts nothing."""

    def retried(self, *, throttled: bool) -> None:
        """See ``RequestObserver.retried``."""

    def waited(self, seconds: float) -> None:
        """See ``RequestObserver.waited``."""


class RequestLimit:
    """At most so many requests a second (generic cell rate algorithm).

    Args:
        rate: requests a second; 0 for no limit.
        path: of the file that the processes of a machine share; None for a limit of this process.

    Raises:
        OSError: the file cannot be used.
    """

    def __init__(self, rate: float, path: Path | None = None) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._descriptor = -1
        self._burst = max(BURST, self._interval)  # a request that nobody was before needs not wait
        self._boot = hashlib.sha256(boot_id().encode()).digest()[:16]
        self._booked: mmap.mmap | bytearray = bytearray(_BOOKING.size)
        if rate and path is not None:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.ftruncate(self._descriptor, _BOOKING.size)
            self._booked = mmap.mmap(self._descriptor, _BOOKING.size)

    def book(self) -> float:
        """Book one request; return the seconds until its time comes.

        The time is the system's monotonic clock, which all processes of a machine share.
        """
        if not self._interval:
            return 0.0
        with self._locked():
            now = time.monotonic()
            boot, booked = _BOOKING.unpack_from(self._booked)
            # With the machine the clock begins again. Written so that what is no number counts as damage, too.
            if boot != self._boot or not booked <= now + LONGEST_QUEUE:
                booked = 0.0
            start = max(booked, now - self._burst)
            _BOOKING.pack_into(self._booked, 0, self._boot, start + self._interval)
            wait: float = start + self._interval - now
        return max(0.0, wait)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if self._descriptor < 0:
            yield
            return
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the file back."""
        if self._descriptor >= 0:
            if isinstance(self._booked, mmap.mmap):
                self._booked.close()
            os.close(self._descriptor)
            self._descriptor = -1
            self._interval = 0.0


class Requests:
    """Sends requests at the permitted rate and repeats what failed in passing, with growing, random pauses.

    Args:
        retries: how often a request is repeated.
        limit: of requests a second.
        observer: is told of retries and waits.
        first_pause: seconds before the first retry at most.
        longest_pause: seconds before any retry at most.
        patience: seconds since a request was sent first, or since a stream brought something, after which it is not
            repeated: whoever waits for it must get an answer.
    """

    def __init__(
        self,
        retries: int,
        limit: RequestLimit,
        observer: RequestObserver,
        *,
        first_pause: float = FIRST_PAUSE,
        longest_pause: float = LONGEST_PAUSE,
        patience: float = PATIENCE,
    ) -> None:
        self._retries = retries
        self._limit = limit
        self._observer = observer
        self._first_pause = first_pause
        self._longest_pause = longest_pause
        self._patience = patience

    async def send(self, request: Callable[[], Awaitable[T]]) -> T:
        """Return what a request returns, repeating it while it raises ``Transient``.

        Args:
            request: sends it once; called again for each retry.

        Raises:
            Transient: the last one, when retries or patience are used up.
        """
        attempt = 0
        await self.admit()
        began = asyncio.get_running_loop().time()
        while True:
            try:
                return await _limited(request())
            except Transient as error:
                attempt += 1
                pause = self._pause_or_raise(error, attempt, began)
            await asyncio.sleep(pause)
            await self.admit()

    async def stream(
        self, request: Callable[[int, int], AsyncIterator[Content]], start: int, length: int
    ) -> AsyncIterator[Content]:
        """Yield the bytes of an object, going on where a connection broke.

        Args:
            request: asks once for ``length`` bytes from ``start`` and yields what comes; raises ``Transient`` when the
                connection breaks, or just ends early.
            start: first byte.
            length: in bytes.

        Raises:
            Transient: the last one, when as many attempts in a row as there are retries brought nothing, or none did
                for as long as there is patience.
        """
        attempt = 0
        loop = asyncio.get_running_loop()
        since = loop.time()
        while length > 0:
            await self.admit()
            try:
                async with closing(request(start, length)) as pieces:
                    async for piece in pieces:
                        yield piece
                        count = passed(piece)
                        if count:
                            start += count
                            length -= count
                            attempt = 0
                            since = loop.time()  # a slow client's time is none of the storage's
                if length > 0:
                    raise Transient(f"the storage sent {length} bytes less than it was asked for")
            except Transient as error:
                attempt += 1
                await asyncio.sleep(self._pause_or_raise(error, attempt, since))

    async def admit(self) -> None:
        """Wait until one more request may be sent."""
        seconds = self._limit.book()
        if seconds > 0:
            self._observer.waited(seconds)
            await asyncio.sleep(seconds)

    def _pause_or_raise(self, error: Transient, attempt: int, since: float) -> float:
        """Return the seconds to wait before a retry, and count it; raise the error when it is enough.

        Args:
            error: of the last attempt.
            attempt: how many there were.
            since: the loop's time of the first one, or of the last success.
        """
        pause = self._pause(error, attempt)
        if attempt > self._retries or asyncio.get_running_loop().time() + pause > since + self._patience:
            raise error
        self._observer.retried(throttled=error.throttled)
        log.debug("storage request failed (%s): retry %d follows", error, attempt)
        return pause

    def _pause(self, error: Transient, attempt: int) -> float:
        # Full jitter: clients that failed together must not come back together.
        first = max(self._first_pause, FIRST_THROTTLED_PAUSE) if error.throttled else self._first_pause
        longest = min(self._longest_pause, first * 2.0 ** (attempt - 1))
        pause = random.uniform(longest / 2, longest)  # noqa: S311 -- not a secret
        return pause if error.retry_after is None else max(pause, min(error.retry_after, self._longest_pause))

    def close(self) -> None:
        """Give the limit back."""
        self._limit.close()


async def _limited(attempt: Awaitable[T]) -> T:
    """Return the result of an attempt that must come to an end, whatever becomes of its connection."""
    try:
        async with asyncio.timeout(LONGEST_ATTEMPT):
            return await attempt
    except TimeoutError as error:
        raise Transient(f"the storage did not answer within {LONGEST_ATTEMPT:.0f} s") from error
