"""A stream reaches its client whole, however late the server begins to read it."""

from __future__ import annotations

import asyncio
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from matou.registry.drivers.unread import Unread
from matou.registry.http.message import Request, StreamResponse
from matou.registry.http.streaming import send_stream
from tests.servers.sending import storage_sending
from tests.unit.registry.observe.scopes import FakeScope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from matou.registry.http.message import Headers

LONG = 60.0


class LateServer:
    """The protocol of a server that takes its time."""

    def __init__(self) -> None:
        self.reading: asyncio.Future[bytes] | None = None

    def response_file(self, _status: int, _headers: Headers, path: str) -> None:
        self.reading = asyncio.ensure_future(asyncio.to_thread(self._read, path))

    def _read(self, path: str) -> bytes:
        time.sleep(0.2)
        return Path(path).read_bytes()

    async def client_disconnect(self) -> None:
        await asyncio.Event().wait()


@pytest.mark.parametrize("size", [300_000, 600_000, 3_000_000])
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_server_that_reads_late(loop: Any, size: int) -> None:
    content = secrets.token_bytes(size)
    scope = FakeScope(path="/v2/a/blobs/x")
    body: Any = None
    request = Request("GET", scope.path, "", scope.headers, "http", body, "id-1")

    async def main() -> None:
        async with storage_sending(content[5:]) as connection:

            async def rest() -> AsyncIterator[bytes | Unread]:
                await asyncio.sleep(0.1)  # so that all of it is there
                yield Unread(connection, size - 5, LONG)

            response = StreamResponse(200, [], content[:5], rest(), size)
            server = LateServer()
            assert await send_stream(scope, server, time.perf_counter(), request, response, []) == size
            assert server.reading is not None
            assert await server.reading == content

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())
