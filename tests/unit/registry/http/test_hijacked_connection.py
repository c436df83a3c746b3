"""A connection is found among the descriptors, and what is sent by it is all that its client gets."""

from __future__ import annotations

import asyncio
import secrets
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

import pytest
import uvloop

from matou.registry.drivers.unread import Unread
from matou.registry.http import hijacked_connection
from matou.registry.http.hijacked_connection import HijackedConnection, hijack
from matou.registry.http.outlet import ClientGone, ClientStalled
from tests.servers.sending import storage_sending

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG = 60.0
SHORT = 0.05
CONTENT = secrets.token_bytes(20_000_000)
HEADERS = [("content-length", "3"), ("etag", '"x"')]


@pytest.fixture(params=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    """Either event loop. No descriptor may be left at the end."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if request.param == "uvloop" else None) as runner:
        runner.run(asyncio.sleep(0))
        before = len(list(Path("/proc/self/fd").iterdir()))
        yield runner
        assert len(list(Path("/proc/self/fd").iterdir())) <= before  # what earlier tests left may go meanwhile


class Served:
    """A client, and the server's end of its connection."""

    def __init__(self, host: str = "127.0.0.1", listening: str | None = None, port: int = 0) -> None:
        family = socket.AF_INET6 if ":" in (listening or host) else socket.AF_INET
        self._server = socket.create_server(
            (listening or host, 0), family=family, dualstack_ipv6=family == socket.AF_INET6
        )
        self.client = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.client.bind((host, port))
        self.client.connect((host, self._server.getsockname()[1]))
        self.connection, peer = self._server.accept()
        self.connection.setblocking(False)  # noqa: FBT003 -- as the server has it
        self.scope = scope(shown(peer), shown(self._server.getsockname()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self.client, self.connection, self._server):
            each.close()

    def received(self) -> bytes:
        """Return all that the client gets."""
        content = bytearray()
        while piece := self.client.recv(1 << 18):
            content += piece
        return bytes(content)


def shown(address: Any) -> str:
    """Return an address as RSGI's scope has it."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def scope(client: str, server: str, scheme: str = "http", http_version: str = "1.1") -> Any:
    return SimpleNamespace(client=client, server=server, scheme=scheme, http_version=http_version)


@pytest.mark.parametrize(
    ("host", "listening"),
    [("127.0.0.1", None), ("127.0.0.1", "0.0.0.0"), ("::1", None), ("::1", "::"), ("127.0.0.1", "::")],
)
def test_a_connection_is_found(host: str, listening: str | None) -> None:
    with Served(host, listening) as served, Served() as _other:
        found = hijack(served.scope, time.perf_counter())
        assert found is not None
        with found:
            assert found.fileno() != served.connection.fileno()
            assert found.getpeername() == served.connection.getpeername()
            assert not found.getblocking()


def test_one_client_address_at_two_of_our_ports() -> None:
    with Served() as first, Served(port=first.client.getsockname()[1]) as second:
        for served in (first, second):
            found = hijack(served.scope, time.perf_counter())
            assert found is not None
            with found:
                assert found.getsockname() == served.connection.getsockname()


@pytest.mark.parametrize(
    "changes",
    [
        {"scheme": "https"},
        {"http_version": "2"},
        {"client": ""},
        {"client": "127.0.0.1:1"},
        {"client": "127.0.0.2"},
        {"server": "/run/registry.sock"},
        {"server": "127.0.0.1:1"},
    ],
    ids=str,
)
def test_connections_that_are_not(changes: dict[str, str]) -> None:
    with Served() as served:
        assert hijack(SimpleNamespace(**(vars(served.scope) | changes)), time.perf_counter()) is None


def test_a_connection_that_is_younger_than_the_request() -> None:
    started = time.perf_counter()
    time.sleep(SHORT)
    with Served() as served:
        assert hijack(served.scope, started) is None


def test_a_connection_by_which_more_has_come_since() -> None:
    with Served() as served:
        started = time.perf_counter()
        time.sleep(SHORT)
        found = hijack(served.scope, started)
        assert found is not None
        found.close()
        served.client.send(b"G")
        assert hijack(served.scope, started) is None


def test_where_there_are_too_many_to_look_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hijacked_connection, "DESCRIPTORS", 2)
    with Served() as served:
        assert hijack(served.scope, time.perf_counter()) is None


def hijacked(served: Served, length: int, patience: float = LONG) -> HijackedConnection:
    found = hijack(served.scope, time.perf_counter())
    assert found is not None
    return HijackedConnection(found, length, patience)


def test_an_answer(runner: asyncio.Runner) -> None:
    async def main() -> None:
        with Served() as served:
            outlet = hijacked(served, 3)
            await outlet.begin(206, HEADERS)
            await outlet.write(b"abc")
            assert outlet.written == 3
            await outlet.end()
            outlet.close()
            # Whatever the server says afterwards does not reach the client.
            with pytest.raises(BrokenPipeError):
                served.connection.send(b"HTTP/1.1 500 Internal Server Error")
            head, body = served.received().split(b"\r\n\r\n")
        assert body == b"abc"
        lines = head.decode().split("\r\n")
        assert lines[:3] == ["HTTP/1.1 206 Partial Content", "content-length: 3", 'etag: "x"']
        assert lines[3].startswith("date: ")
        assert lines[3].endswith(" GMT")
        assert lines[4:] == ["connection: close"]

    runner.run(main())


def test_a_header_with_a_line_break_is_never_sent(runner: asyncio.Runner) -> None:
    async def main() -> None:
        with Served() as served:
            outlet = hijacked(served, 0)
            with pytest.raises(ValueError, match="line break"):
                await outlet.begin(200, [("x", "y\r\nset-cookie: z")])
            outlet.close()
            assert served.received() == b""

    runner.run(main())


def test_a_body_from_both_places(runner: asyncio.Runner) -> None:
    async def main() -> None:
        with Served() as served:
            receiving = asyncio.create_task(asyncio.to_thread(served.received))
            outlet = hijacked(served, 2 * len(CONTENT) + 3)
            await outlet.write(CONTENT)
            async with storage_sending(CONTENT) as storage:
                await outlet.move(Unread(storage, len(CONTENT), LONG))
            await outlet.write(b"end")
            assert outlet.written == 2 * len(CONTENT) + 3
            await outlet.end()
            assert await receiving == CONTENT + CONTENT + b"end"

    runner.run(main())


def test_a_storage_that_ends_early_ends_the_connection(runner: asyncio.Runner) -> None:
    async def main() -> None:
        with Served() as served:
            outlet = hijacked(served, 100)
            async with storage_sending(b"few") as storage:
                unread = Unread(storage, 100, LONG)
                await outlet.move(unread)
                assert unread.failure
            assert outlet.written == 3
            await outlet.end()
            assert served.received() == b"few"

    runner.run(main())


@pytest.mark.parametrize("moved", [False, True])
def test_a_client_that_stops(runner: asyncio.Runner, moved: bool) -> None:
    async def main() -> None:
        with Served() as served:
            outlet = hijacked(served, len(CONTENT), SHORT)
            async with storage_sending(CONTENT) as storage:
                with pytest.raises(ClientStalled):
                    await (outlet.move(Unread(storage, len(CONTENT), LONG)) if moved else outlet.write(CONTENT))
            assert outlet.written < len(CONTENT)
            outlet.close()

    runner.run(main())


@pytest.mark.parametrize("moved", [False, True])
def test_a_client_that_leaves(runner: asyncio.Runner, moved: bool) -> None:
    async def main() -> None:
        with Served() as served:
            outlet = hijacked(served, len(CONTENT))
            async with storage_sending(CONTENT) as storage:
                threading.Timer(SHORT, served.client.close).start()
                with pytest.raises(ClientGone):
                    await (outlet.move(Unread(storage, len(CONTENT), LONG)) if moved else outlet.write(CONTENT))
            outlet.close()

    runner.run(main())


def test_others_get_their_turn(runner: asyncio.Runner) -> None:
    """However fast storage and client are."""

    async def main() -> None:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        with Served() as served:
            receiving = asyncio.create_task(asyncio.to_thread(served.received))
            outlet = hijacked(served, len(CONTENT))
            task = asyncio.create_task(other())
            await outlet.write(CONTENT)
            task.cancel()
            outlet.close()
            assert await receiving == CONTENT
        assert turns > len(CONTENT) // (4 << 20)

    runner.run(main())
