"""A client's connection that is taken from the server for one large answer, which ends it.

The server copies each byte of a body twice and wakes a thread for every 128 KiB. Where the body comes from a socket,
the kernel can move it from there to the client's by itself, if somebody has both. The server keeps its descriptor of
the client's; nobody asks it for an answer, and in the end it finds that the connection was shut down. See decision
0012.

Concurrency: everything runs on the event loop. The server's threads read from the connection meanwhile, to notice that
the client leaves; they write nothing before they are asked for an answer.

Source: RFC 9112; splice(2); ``linux/tcp.h``; Go's ``http.Hijacker`` for the term.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import time
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from matou.registry.drivers.unread import AT_ONCE
from matou.registry.http.outlet import ClientGone, ClientStalled
from matou.registry.http.pipe import open_pipe
from matou.system.addresses import split_address
from matou.system.readiness import writable

if TYPE_CHECKING:
    from matou.registry.drivers.unread import Unread
    from matou.registry.http.message import Headers

DESCRIPTORS = 2000  # that are looked through; it takes 3 microseconds for each
BREATH = 1 << 20  # bytes after which other requests get their turn
VERSIONS = ("1", "1.0", "1.1")  # as RSGI tells them: of HTTP/2 a connection has several requests at a time
TICK = 0.011  # seconds by which the kernel's time may lag: it counts ticks, of 10 ms at most
_LAST_DATA_RECEIVED = struct.Struct("@52xI")  # of ``struct tcp_info``; where nothing has come, since the connection
_MORE = getattr(os, "SPLICE_F_MORE", 0)


class HijackedConnection:
    """A connection to a client. See ``Outlet`` for its methods.

    Args:
        connection: to the client; closed with this. It does not block.
        length: bytes of the body.
        patience: seconds that the client may take nothing.
    """

    def __init__(self, connection: socket.socket, length: int, patience: float) -> None:
        self._connection = connection
        self._length = length
        self._patience = patience
        self._ends: tuple[int, int] | None = None
        self._since_breath = 0
        self.written = 0

    async def begin(self, status: int, headers: Headers) -> None:
        """Send the head."""
        phrase = HTTPStatus(status).phrase
        fields = [*headers, ("date", formatdate(usegmt=True)), ("connection", "close")]
        lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in fields), "", ""]
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("a header has a line break")
        await self._send("\r\n".join(lines).encode("latin-1"))

    async def write(self, piece: bytes) -> None:
        """Send all of it."""
        await self._send(piece, counted=True)

    async def _send(self, content: bytes, *, counted: bool = False) -> None:
        view = memoryview(content)
        while view:
            flags = socket.MSG_MORE if not counted or self.written + len(view) < self._length else 0
            try:
                sent = self._connection.send(view, flags)
            except BlockingIOError:
                await self._room()
                continue
            except OSError as error:
                raise ClientGone from error
            view = view[sent:]
            if counted:
                await self._count(sent)

    async def move(self, unread: Unread) -> None:
        """Have the kernel move it from socket to socket, through a pipe."""
        if self._ends is None:
            self._ends = open_pipe()
        read_end, write_end = self._ends
        within = 0
        while unread.left or within:
            if unread.left:
                within += unread.splice(write_end)
            if not within:
                await unread.arrival()
                continue
            more = _MORE if self.written + within < self._length else 0
            try:
                moved = os.splice(read_end, self._connection.fileno(), within, flags=AT_ONCE | more)
            except BlockingIOError:
                await self._room()
                continue
            except OSError as error:
                raise ClientGone from error
            within -= moved
            await self._count(moved)

    async def _count(self, sent: int) -> None:
        self.written += sent
        self._since_breath += sent
        if self._since_breath >= BREATH:
            self._since_breath = 0
            await asyncio.sleep(0)

    async def _room(self) -> None:
        self._since_breath = 0
        try:
            await writable(self._connection.fileno(), self._patience)
        except TimeoutError as error:
            raise ClientStalled from error

    async def end(self) -> None:
        """End the answer."""
        self.close()

    def close(self) -> None:
        """End the connection. What was sent still arrives; what the server may try to send does not."""
        if self._connection.fileno() >= 0:
            with contextlib.suppress(OSError):  # the client was faster
                self._connection.shutdown(socket.SHUT_WR)
            self._connection.close()
        if self._ends is not None:
            for end in self._ends:
                os.close(end)
            self._ends = None


def hijack(scope: Any, started: float) -> socket.socket | None:
    """Return a descriptor of our own for the connection that a request came by; None where that cannot be.

    It can for HTTP/1 over TCP, without TLS, on a system that shows a process its descriptors in ``/proc``.

    Args:
        scope: of RSGI.
        started: when the request had come, by ``time.perf_counter``.
    """
    if scope.scheme != "http" or scope.http_version not in VERSIONS:
        return None
    try:
        host, port = split_address(scope.client)
        _, own_port = split_address(scope.server)
        descriptors = os.listdir("/proc/self/fd")  # noqa: PTH208 -- faster
    except (ValueError, OSError):  # a Unix socket, or no Linux
        return None
    if len(descriptors) > DESCRIPTORS:
        return None
    found: list[socket.socket] = []
    for descriptor in map(int, descriptors):
        # A duplicate may have got the number of what was listed, such as the descriptor of the listing.
        if all(descriptor != connection.fileno() for connection in found):
            connection = _connection(descriptor, host, port, own_port)
            if connection is not None:
                found.append(connection)
    # Two of the machine's addresses could have a connection each from the same address and port.
    if len(found) == 1 and _has_been_silent(found[0], time.perf_counter() - started):
        return found[0]
    for connection in found:
        connection.close()
    return None


def _has_been_silent(connection: socket.socket, seconds: float) -> bool:
    """Return whether a connection has existed for so long, without a byte from the client.

    The client may have left, and another one come by the same address and port, behind a gateway that translates
    addresses. The new connection would get what the old one asked for.
    """
    (milliseconds,) = _LAST_DATA_RECEIVED.unpack(
        connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_RECEIVED.size)
    )
    return bool(milliseconds / 1000 + TICK >= seconds)


def _connection(descriptor: int, host: str, port: int, own_port: int) -> socket.socket | None:
    """Return a duplicate of a descriptor that is a connection between these addresses."""
    try:
        duplicate = os.dup(descriptor)
    except OSError:  # it was closed meanwhile
        return None
    try:
        connection = socket.socket(fileno=duplicate)
    except OSError:  # no socket
        os.close(duplicate)
        return None
    # Whatever the descriptor was a moment ago: what counts is what the duplicate is.
    with contextlib.suppress(OSError):  # not connected
        if connection.family in (socket.AF_INET, socket.AF_INET6) and (
            connection.getpeername()[:2] == (host, port) and connection.getsockname()[1] == own_port
        ):
            connection.settimeout(0)
            return connection
    connection.close()
    return None
