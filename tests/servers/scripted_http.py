"""An HTTP server whose answers a test writes byte by byte, for faults that no real server can be asked for."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Mapping


@dataclass(frozen=True, slots=True)
class Asked:
    """A request.

    Attributes:
        method: of HTTP.
        path: with its query.
        headers: by their names in lower case.
        body: all of it.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer.

    Attributes:
        status: of HTTP.
        body: that is sent.
        headers: besides ``Content-Length``.
        length: that is announced; that of the body unless given; negative: none is, the connection ends it.
        stalls: seconds of silence before the answer.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] | None = None
    length: int | None = None
    stalls: float = 0.0


class ScriptedServer:
    """A server in the event loop of the test.

    Args:
        script: answers requests.

    Attributes:
        asked: all requests so far.
        port: where it listens.
        scheme: ``http`` or ``https``.
    """

    def __init__(self, script: Callable[[Asked], Answer]) -> None:
        self._script = script
        self.asked: list[Asked] = []
        self.port = 0
        self.scheme = "http"
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of a connection; one whose body is shorter than announced ends it."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._converse(reader, writer)
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            method, path, _ = head[0].split(" ")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            asked = Asked(method, path, headers, body)
            self.asked.append(asked)
            answer = self._script(asked)
            await asyncio.sleep(answer.stalls)
            length = len(answer.body) if answer.length is None else answer.length
            lines = [f"HTTP/1.1 {answer.status} x", *([f"Content-Length: {length}"] if length >= 0 else [])]
            lines += [f"{name}: {value}" for name, value in (answer.headers or {}).items()]
            content = b"" if method == "HEAD" else answer.body
            writer.write("\r\n".join([*lines, "", ""]).encode() + content)
            await writer.drain()
            if length != len(answer.body) and method != "HEAD":
                break

    async def end(self) -> None:
        """End the connections that are left."""
        connections = list(self._connections)
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


@contextlib.asynccontextmanager
async def scripted_server(
    script: Callable[[Asked], Answer], tls: ssl.SSLContext | None = None
) -> AsyncIterator[ScriptedServer]:
    """Yield a running server; end it afterwards."""
    scripted = ScriptedServer(script)
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0, ssl=tls)
    scripted.port = server.sockets[0].getsockname()[1]
    scripted.scheme = "https" if tls else "http"
    try:
        yield scripted
    finally:
        server.close()
        await server.wait_closed()
        await scripted.end()
