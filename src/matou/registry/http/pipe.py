"""A body that the server reads from a pipe, as it would from a file: so the client's pace is the storage's.

Granian's own streams take everything at once, however slow the client is. A file it reads as the client takes it, and
a pipe is one below ``/proc/self/fd``. See decision 0011.

Concurrency: everything runs on the event loop; the server reads in threads of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import sys
import termios
import time
from typing import TYPE_CHECKING, Any

from matou.registry.http.message import LARGEST_COLLECTED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

# In bytes. More would use up with few clients what the kernel grants a user (64 MiB); a body has more than that.
CAPACITY = LARGEST_COLLECTED
LOOK = 0.01  # seconds between two looks whether the server has read


class ReaderGone(Exception):  # noqa: N818 -- what happened
    """The client closed its connection."""


class ReaderStalled(Exception):  # noqa: N818 -- as above
    """The client has taken nothing for a long time."""


class Pipe:
    """A pipe between this process and the server in it.

    Args:
        patience: seconds that the client may take nothing.
        opening: seconds that the server gets to open its end.

    Attributes:
        path: what the server opens.
        written: bytes.

    Raises:
        OSError: there are too many open files.
    """

    def __init__(self, patience: float, opening: float) -> None:
        self._patience = patience
        self._opening = opening
        self._read_end, self._write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        # Beyond its grant a user gets smaller pipes, which serve as well.
        with contextlib.suppress(PermissionError):
            fcntl.fcntl(self._write_end, fcntl.F_SETPIPE_SZ, CAPACITY)
        self.path = f"/proc/self/fd/{self._read_end}"
        self.written = 0

    async def write(self, piece: bytes, disconnected: Callable[[], Awaitable[None]]) -> None:
        """Write all of it as fast as the client takes it.

        Args:
            piece: to write.
            disconnected: returns when the client has closed its connection; asked as long as the server may not have
                opened its end.

        Raises:
            ReaderGone: the client closed its connection.
            ReaderStalled: it has taken nothing for as long as the patience lasts.
        """
        view = memoryview(piece)
        while view:
            try:
                written = os.write(self._write_end, view)
            except BlockingIOError:
                if self._read_end < 0:
                    await self._writable(self._patience)
                else:
                    await self._opened_or_gone(disconnected)
                continue
            except BrokenPipeError as error:
                raise ReaderGone from error
            view = view[written:]
            self.written += written
            if self._read_end >= 0 and self.written > CAPACITY:
                # Somebody has read, so the server has its end. Without ours, writing fails when it closes that.
                os.close(self._read_end)
                self._read_end = -1

    async def _opened_or_gone(self, disconnected: Callable[[], Awaitable[None]]) -> None:
        """Wait until the server has read something, which it does at once for a client that is still there."""
        # Granian's awaitable says that it is a future, but knows only what ``await`` needs.
        gone = asyncio.create_task(_awaited(disconnected))
        writable = asyncio.create_task(self._writable(self._opening))
        try:
            await asyncio.wait((gone, writable), return_when=asyncio.FIRST_COMPLETED)
            if not writable.done():
                raise ReaderGone
            writable.result()
        finally:
            for waiting in (gone, writable):
                waiting.cancel()
            await asyncio.gather(gone, writable, return_exceptions=True)

    async def _writable(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[Any] = loop.create_future()
        expiry = loop.call_later(seconds, _expire, ready)  # cheaper than asyncio.timeout
        loop.add_writer(self._write_end, _resolve, ready)
        try:
            await ready
        finally:
            loop.remove_writer(self._write_end)
            expiry.cancel()

    async def opened(self) -> None:
        """Wait until the server has opened its end, if something was written: it answers 404 when that is gone."""
        deadline = time.monotonic() + self._opening
        while self._read_end >= 0 and self._unread() == self.written > 0 and time.monotonic() < deadline:  # noqa: ASYNC110 -- the kernel tells nobody that a pipe was read
            await asyncio.sleep(LOOK)

    def _unread(self) -> int:
        unread = bytearray(4)
        fcntl.ioctl(self._write_end, termios.FIONREAD, unread)
        return int.from_bytes(unread, sys.byteorder)

    def close(self) -> None:
        """End the body: where it is shorter than ``Content-Length`` says, the server cuts the connection."""
        for end in (self._read_end, self._write_end):
            if end >= 0:
                os.close(end)
        self._read_end = self._write_end = -1


async def _awaited(function: Callable[[], Awaitable[None]]) -> None:
    await function()


def _expire(ready: asyncio.Future[Any]) -> None:
    if not ready.done():
        ready.set_exception(ReaderStalled())


def _resolve(ready: asyncio.Future[Any]) -> None:
    if not ready.done():
        ready.set_result(None)
