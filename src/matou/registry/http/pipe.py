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
from matou.registry.http.outlet import ClientGone, ClientStalled
from matou.system.readiness import writable

if TYPE_CHECKING:
    from matou.registry.drivers.unread import Unread
    from matou.registry.http.message import Headers

# In bytes. More would use up with few clients what the kernel grants a user (64 MiB); a body has more than that.
CAPACITY = LARGEST_COLLECTED
LOOK = 0.01  # seconds between two looks whether the server has read


def open_pipe() -> tuple[int, int]:
    """Return the ends of a pipe, for reading and for writing, which do not block.

    Raises:
        OSError: there are too many open files.
    """
    ends = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    # Beyond its grant a user gets smaller pipes, which serve as well.
    with contextlib.suppress(PermissionError):
        fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, CAPACITY)
    return ends


class Pipe:
    """A pipe between this process and the server in it. See ``Outlet`` for its methods.

    Args:
        protocol: of RSGI, of the request.
        patience: seconds that the client may take nothing.
        opening: seconds that the server gets to open its end.

    Attributes:
        path: what the server opens.
        written: bytes.

    Raises:
        OSError: there are too many open files.
    """

    def __init__(self, protocol: Any, patience: float, opening: float) -> None:
        self._protocol = protocol
        self._patience = patience
        self._opening = opening
        self._read_end, self._write_end = open_pipe()
        self.path = f"/proc/self/fd/{self._read_end}"
        self.written = 0

    async def begin(self, status: int, headers: Headers) -> None:
        """Have the server read the pipe."""
        self._protocol.response_file(status, headers, self.path)

    async def write(self, piece: bytes) -> None:
        """Write all of it as fast as the client takes it."""
        view = memoryview(piece)
        while view:
            try:
                written = os.write(self._write_end, view)
            except BlockingIOError:
                await self._room()
                continue
            except BrokenPipeError as error:
                raise ClientGone from error
            view = view[written:]
            self._wrote(written)

    async def move(self, unread: Unread) -> None:
        """Have the kernel move it from the socket to the pipe."""
        while unread.left:
            try:
                moved = unread.splice(self._write_end)
            except BrokenPipeError as error:
                raise ClientGone from error
            if moved:
                self._wrote(moved)
            elif unread.has_come():
                await self._room()
            else:
                await unread.arrival()

    def _wrote(self, count: int) -> None:
        self.written += count
        if self._read_end >= 0 and self.written > CAPACITY and self._unread() < self.written:
            # Somebody has read, so the server has its end. Without ours, writing fails when it closes that.
            os.close(self._read_end)
            self._read_end = -1

    async def _room(self) -> None:
        """Wait until the server has read something."""
        if self._read_end < 0:
            await self._writable(self._patience)
            return
        # It does so at once for a client that is still there.
        # Granian's awaitable says that it is a future, but knows only what ``await`` needs.
        gone = asyncio.create_task(self._disconnected())
        read = asyncio.create_task(self._writable(self._opening))
        try:
            await asyncio.wait((gone, read), return_when=asyncio.FIRST_COMPLETED)
            if not read.done():
                raise ClientGone
            read.result()
        finally:
            for waiting in (gone, read):
                waiting.cancel()
            await asyncio.gather(gone, read, return_exceptions=True)

    async def _disconnected(self) -> None:
        await self._protocol.client_disconnect()

    async def _writable(self, seconds: float) -> None:
        try:
            await writable(self._write_end, seconds)
        except TimeoutError as error:
            raise ClientStalled from error

    async def end(self) -> None:
        """Wait until the server has opened its end, if something was written: it answers 404 when that is gone."""
        deadline = time.monotonic() + self._opening
        while self._read_end >= 0 and self._unread() == self.written > 0 and time.monotonic() < deadline:  # noqa: ASYNC110 -- the kernel tells nobody that a pipe was read
            await asyncio.sleep(LOOK)
        self.close()

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
