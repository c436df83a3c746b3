"""A lean HTTP/1.1 client on a blocking socket, so that the client's cost stays small beside the server's.

One connection, one request at a time, kept alive, as Go's clients do. It understands what registries send:
``Content-Length`` and chunked bodies.
"""

from __future__ import annotations

import hashlib
import os
import socket
import struct
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    import mmap
    from collections.abc import Mapping

    from bench.payload import Payload

TIMEOUT = 600  # seconds
CHUNK = 32 * 1024  # Go's io.Copy hands the HTTP client pieces of this size: one chunk each
CHUNKS_A_CALL = 16
RECEIVE = 256 * 1024
_NO_BODY = frozenset({204, 304})


class ProtocolError(Exception):
    """The server answered something unexpected."""


class Response(NamedTuple):
    """An answer; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def expect(self, *statuses: int) -> Self:
        """Return the answer.

        Raises:
            ProtocolError: it has none of these statuses.
        """
        if self.status not in statuses:
            wanted = " or ".join(map(str, statuses))
            raise ProtocolError(f"status {self.status} instead of {wanted}: {self.body[:300].decode(errors='replace')}")
        return self


def parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Read status line and header lines (without the empty line at the end)."""
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return int(first.split(" ", 2)[1]), headers


def target_of(location: str) -> str:
    """Return path and query of a ``Location``, which may be absolute or a path."""
    scheme, separator, rest = location.partition("://")
    if separator and scheme in {"http", "https"}:
        return "/" + rest.partition("/")[2]
    return location


class Connection:
    """A connection that is kept as long as the server keeps it; a context manager that closes it."""

    def __init__(self, host: str, port: int, headers: Mapping[str, str]) -> None:
        self._address = (host, port)
        self._socket = _connected(self._address)
        self._common = f"Host: {host}:{port}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._buffer = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def request(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Response:
        """Send a request and return its answer with the whole body; ``body`` is in chunks when the headers say so."""
        chunked = headers is not None and "Transfer-Encoding" in headers
        length = None if body is None or chunked else len(body)
        self._socket.sendall(self._head(method, target, headers, length) + (body or b""))
        return self._response(method)

    def upload(self, method: str, target: str, headers: Mapping[str, str], payload: Payload) -> Response:
        """Send a payload in one piece with its length (sendfile for what lies in the file)."""
        try:
            self._socket.sendall(self._head(method, target, headers, payload.size))
            offset, end = 0, payload.file_bytes
            while offset < end:
                offset += os.sendfile(self._socket.fileno(), payload.descriptor, offset, end - offset)
            self._socket.sendall(payload.tail)
        except (BrokenPipeError, ConnectionResetError) as error:
            return self._early(method, error)
        return self._response(method)

    def upload_chunked(self, method: str, target: str, headers: Mapping[str, str], payload: Payload) -> Response:
        """Send a payload of unsaid length in chunks, as Docker does."""
        extra = {**headers, "Transfer-Encoding": "chunked"}
        try:
            self._socket.sendall(self._head(method, target, extra, None))
            self._send_chunks(payload.mapped, payload.file_bytes)
            self._socket.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(payload.tail), payload.tail))
        except (BrokenPipeError, ConnectionResetError) as error:
            return self._early(method, error)
        return self._response(method)

    def _send_chunks(self, content: mmap.mmap, end: int) -> None:
        step = CHUNK * CHUNKS_A_CALL
        with memoryview(content) as view:
            for start in range(0, end, step):
                parts: list[bytes | memoryview] = []
                for position in range(start, min(start + step, end), CHUNK):
                    piece = view[position : min(position + CHUNK, end)]
                    parts += (b"%x\r\n" % len(piece), piece, b"\r\n")
                self._send_parts(parts)

    def _send_parts(self, parts: list[bytes | memoryview]) -> None:
        sent = self._socket.sendmsg(parts)
        if sent < sum(map(len, parts)):  # the socket's buffer was full: go on after what it took
            for part in parts:
                if sent >= len(part):
                    sent -= len(part)
                else:
                    self._socket.sendall(memoryview(part)[sent:])
                    sent = 0

    def _early(self, method: str, error: OSError) -> Response:
        """Return the answer of a server that closed before it had read everything."""
        try:
            return self._response(method)
        except (OSError, ProtocolError):
            raise error from None

    def download(self, target: str, buffer: bytearray, checked: str | None = None) -> int:
        """Get a body into ``buffer`` again and again and return its length.

        Args:
            target: path of the blob.
            buffer: where pieces of the body land.
            checked: the digest to verify, which costs the client time; None to discard the bytes.

        Raises:
            ProtocolError: another status than 200, a chunked body, or another digest.
        """
        self._socket.sendall(self._head("GET", target, None, None))
        status, headers = self._read_head()
        if status != 200 or "content-length" not in headers:  # noqa: PLR2004 -- HTTP's own number
            raise ProtocolError(f"status {status} to GET {target}, headers {headers}; expected 200 with Content-Length")
        length = int(headers["content-length"])
        digest = hashlib.sha256(self._buffer[:length]) if checked else None
        left = length - len(self._buffer)
        self._buffer.clear()
        with memoryview(buffer) as view:
            while left > 0:
                received = self._socket.recv_into(buffer, min(left, len(buffer)))
                if not received:
                    raise ProtocolError(f"the connection closed {left} bytes before the end of {target}")
                left -= received
                if digest:
                    digest.update(view[:received])
        if digest and checked != f"sha256:{digest.hexdigest()}":
            raise ProtocolError(f"GET {target} gave sha256:{digest.hexdigest()} instead of {checked}")
        if headers.get("connection", "").lower() == "close":
            self._socket.close()
            self._socket = _connected(self._address)
        return length

    def _head(self, method: str, target: str, headers: Mapping[str, str] | None, length: int | None) -> bytes:
        extra = "".join(f"{name}: {value}\r\n" for name, value in headers.items()) if headers else ""
        if length is None and method in {"POST", "PUT", "PATCH"} and "Transfer-Encoding" not in (headers or ()):
            length = 0
        if length is not None:
            extra += f"Content-Length: {length}\r\n"
        return f"{method} {target} HTTP/1.1\r\n{self._common}{extra}\r\n".encode("latin-1")

    def _fill(self) -> None:
        data = self._socket.recv(RECEIVE)
        if not data:
            raise ProtocolError("the server closed the connection before its answer was complete")
        self._buffer += data

    def _read_head(self) -> tuple[int, dict[str, str]]:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            self._fill()
        head = bytes(self._buffer[:end])
        del self._buffer[: end + 4]
        return parse_head(head)

    def _response(self, method: str) -> Response:
        status, headers = self._read_head()
        if method == "HEAD" or status in _NO_BODY:
            return Response(status, headers, b"")
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return Response(status, headers, self._read_chunked())
        return Response(status, headers, self._take(int(headers.get("content-length", "0"))))

    def _take(self, length: int) -> bytes:
        while len(self._buffer) < length:
            self._fill()
        content = bytes(self._buffer[:length])
        del self._buffer[:length]
        return content

    def _read_chunked(self) -> bytes:
        body = bytearray()
        while size := int(self._line().partition(b";")[0], 16):
            body += self._take(size)
            self._take(2)
        while self._line():
            pass  # trailers
        return bytes(body)

    def _line(self) -> bytes:
        while (end := self._buffer.find(b"\r\n")) < 0:
            self._fill()
        return self._take(end + 2)[:-2]


def _connected(address: tuple[str, int]) -> socket.socket:
    connection = socket.create_connection(address)
    # The kernel's time limits: one of Python's makes the socket non-blocking, with a poll before each call.
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        connection.setsockopt(socket.SOL_SOCKET, option, struct.pack("@ll", TIMEOUT, 0))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection
