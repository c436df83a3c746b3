"""A proxy on this machine that does to HTTP requests what networks and busy services do; switched while it runs.

Every connection carries one request: the proxy asks both ends to close it afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PIECE = 16 << 10  # bytes
LONGEST_HEAD = 64 << 10  # bytes
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: a connection that is closed is reset


class Head(NamedTuple):
    """The beginning of a request."""

    method: str
    target: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """What the proxy answers itself."""

    status: int
    body: str = ""
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Faults:
    """What goes wrong now.

    Attributes:
        latency: seconds before each piece goes on.
        refuse: connections are reset as soon as they come.
        blackhole: nothing is answered, nor passed on.
        cut_up: bytes of a request's body after which the connection is reset.
        cut_down: bytes of an answer, its head included, after which the connection is reset.
        stall_up: as ``cut_up``, but nothing more goes on until there are other faults.
        stall_down: as ``cut_down``, likewise.
        answer: says what the proxy answers itself; None for what is passed on.
        concerns: tells which requests are concerned by all but ``refuse``.
        times: how many requests are concerned; None for all.
    """

    latency: float = 0.0
    refuse: bool = False
    blackhole: bool = False
    cut_up: int | None = None
    cut_down: int | None = None
    stall_up: int | None = None
    stall_down: int | None = None
    answer: Callable[[Head], Answer | None] | None = None
    concerns: Callable[[Head], bool] = lambda _head: True
    times: int | None = None


NONE = Faults()


class FaultProxy:
    """A proxy, whose event loop runs in a thread.

    Args:
        port: of the server on this machine that it stands before.

    Attributes:
        requests: what came in.
        concerned: how many requests faults applied to.
    """

    def __init__(self, port: int) -> None:
        self.requests: list[Head] = []
        self.concerned = 0
        self._upstream = port
        self._faults = NONE
        self._left: int | None = None
        self._changed = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxy")
        self.port = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=LONGEST_HEAD)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """End all connections."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def set(self, faults: Faults) -> None:
        """Have other faults from now on; what was stalled goes on."""

        async def change() -> None:
            self._faults, self._left = faults, faults.times
            self._changed.set()
            self._changed = asyncio.Event()

        asyncio.run_coroutine_threadsafe(change(), self._loop).result()

    @contextlib.contextmanager
    def having(self, faults: Faults) -> Iterator[None]:
        """Have faults for a while."""
        self.set(faults)
        try:
            yield
        finally:
            self.set(NONE)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            _reset(writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._faults.refuse:
            _reset(writer)
            return
        raw = await reader.readuntil(b"\r\n\r\n")
        head = _parse(raw)
        self.requests.append(head)
        faults = self._faults_for(head)
        if faults.blackhole:
            await asyncio.Event().wait()
        answer = faults.answer(head) if faults.answer is not None else None
        if answer is not None:
            await _reply(reader, writer, head, answer)
            return
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._upstream)
        both = (writer, to_server)
        try:
            to_server.write(_closing(raw))
            up = asyncio.create_task(self._pump(reader, to_server, both, faults, faults.cut_up, faults.stall_up))
            try:
                await self._pump(from_server, writer, both, faults, faults.cut_down, faults.stall_down)
            finally:
                up.cancel()
                await asyncio.gather(up, return_exceptions=True)
        finally:
            to_server.close()

    def _faults_for(self, head: Head) -> Faults:
        if self._faults is NONE or self._left == 0 or not self._faults.concerns(head):
            return NONE
        self.concerned += 1
        if self._left is not None:
            self._left -= 1
        return self._faults

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        both: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
        faults: Faults,
        cut: int | None,
        stall: int | None,
    ) -> None:
        passed = 0
        while piece := await reader.read(PIECE):
            if faults.latency:
                await asyncio.sleep(faults.latency)
            if cut is not None and passed + len(piece) > cut:
                writer.write(piece[: cut - passed])
                await writer.drain()
                for end in both:
                    _reset(end)
                return
            if stall is not None and passed + len(piece) > stall:
                await self._changed.wait()
                stall = None
            writer.write(piece)
            await writer.drain()
            passed += len(piece)
        if writer.can_write_eof():
            writer.write_eof()


def _parse(raw: bytes) -> Head:
    first, *lines = raw.decode("latin-1").strip().split("\r\n")
    method, target, _version = first.split(" ", 2)
    pairs = (line.split(":", 1) for line in lines)
    return Head(method, target, {name.strip().lower(): value.strip() for name, value in pairs})


def _closing(raw: bytes) -> bytes:
    lines = [line for line in raw[:-4].split(b"\r\n") if not line.lower().startswith(b"connection:")]
    return b"\r\n".join([*lines, b"Connection: close", b"", b""])


async def _reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: Head, answer: Answer) -> None:
    body = answer.body.encode()
    headers = {"Content-Length": str(len(body)), "Connection": "close", **answer.headers}
    lines = [f"HTTP/1.1 {answer.status} Whatever", *(f"{name}: {value}" for name, value in headers.items())]
    writer.write("\r\n".join([*lines, "", ""]).encode() + (b"" if head.method == "HEAD" else body))
    await writer.drain()
    writer.write_eof()
    # A connection that is closed with unread bytes is reset, and the answer is lost.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5):
            while await reader.read(PIECE):
                pass


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection is not None and not writer.transport.is_closing():
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


@contextlib.contextmanager
def running_fault_proxy(port: int) -> Iterator[FaultProxy]:
    """Yield a proxy before a server of this machine; end it afterwards."""
    proxy = FaultProxy(port)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
