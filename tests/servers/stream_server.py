"""The registry's border to Granian over bodies that never end, or end badly: ``python -m tests.servers.stream_server``.

``/v2/<kind>/<bytes>`` answers with a stream of a kind of ``Bodies``; ``/v2/state`` tells about the process.
"""

from __future__ import annotations

import asyncio
import gc
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from granian.constants import HTTPModes, Interfaces
from granian.server import Server

from matou.registry.drivers.base import StorageError
from matou.registry.drivers.unread import Unread
from matou.registry.http.message import StreamResponse, json_response
from matou.registry.http.rsgi import RsgiEndpoint
from matou.registry.observe.observer import Observer
from tests.servers.sending import storage_sending

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from matou.registry.http.message import AnyResponse, Request

PIECE = bytes(range(256)) * 4096  # 1 MiB


class Bodies:
    """Bodies from a storage that is not there.

    Attributes:
        produced: bytes that were asked for.
        open: bodies that nobody has closed.
    """

    def __init__(self) -> None:
        self.produced = 0
        self.open = 0

    async def steady(self, length: int) -> AsyncIterator[bytes]:
        """All of it."""
        self.open += 1
        try:
            while length:
                piece = PIECE[: min(length, len(PIECE))]
                self.produced += len(piece)
                length -= len(piece)
                yield piece
        finally:
            self.open -= 1

    async def broken(self, length: int) -> AsyncIterator[bytes]:
        """Half of it, then the storage fails."""
        async for piece in self.steady(length // 2):
            yield piece
        raise StorageError("the storage is gone")

    async def short(self, _length: int) -> AsyncIterator[bytes]:
        """A few bytes, then the storage fails."""
        yield b"few"
        raise StorageError("the storage is gone")

    async def late(self, length: int) -> AsyncIterator[bytes]:
        """All of it, after a while."""
        await asyncio.sleep(0.5)
        async for piece in self.steady(length):
            yield piece

    async def relayed(self, length: int) -> AsyncIterator[bytes | Unread]:
        """Some of it, and the rest at the connection to a storage."""
        async for piece in self._at_a_storage(length, length):
            yield piece

    async def relayed_short(self, length: int) -> AsyncIterator[bytes | Unread]:
        """Half of it like that; then the storage closes the connection."""
        async for piece in self._at_a_storage(length, length // 2):
            yield piece

    async def _at_a_storage(self, length: int, sent: int) -> AsyncIterator[bytes | Unread]:
        self.open += 1
        try:
            yield PIECE
            async with storage_sending(PIECE, sent - len(PIECE)) as connection:
                rest = Unread(connection, length - len(PIECE), 60)
                yield rest
                self.produced += rest.moved
                if rest.failure:
                    raise StorageError(rest.failure)
        finally:
            self.open -= 1

    async def slow(self, length: int) -> AsyncIterator[bytes]:
        """All of it, in small pieces with pauses."""
        async for piece in self.steady(length):
            for start in range(0, len(piece), 1 << 17):
                await asyncio.sleep(0.01)
                yield piece[start : start + (1 << 17)]


BODIES = Bodies()


async def respond(request: Request) -> AnyResponse:
    """Answer a request."""
    _, _, kind, *length = request.path.split("/")
    if kind == "state":
        return json_response(state())
    size = int(length[0])
    pieces = getattr(BODIES, kind)(size)
    headers = [("content-length", str(size)), ("content-type", "application/octet-stream")]
    return StreamResponse(200, headers, await anext(pieces), pieces, size)


def state() -> dict[str, int]:
    """Return the figures of the process."""
    gc.collect()
    resident = re.search(r"^VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert resident is not None
    return {
        "produced": BODIES.produced,
        "open": BODIES.open,
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "tasks": len(asyncio.all_tasks()),
        "memory": int(resident[1]) * 1024,
    }


class Worker:
    """The application as Granian loads it."""

    def __init__(self) -> None:
        context: Any = SimpleNamespace(authenticator=SimpleNamespace(authorize_now=None))
        application: Any = SimpleNamespace(
            cache=SimpleNamespace(lookup=lambda _: None), context=context, common=[], respond=respond
        )
        self._endpoint = RsgiEndpoint(application, Observer(None, {}, None, ""))

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Answer a request."""
        await self._endpoint.serve(scope, protocol)


if __name__ == "__main__":
    Server(
        "tests.servers.stream_server:WORKER",
        address="127.0.0.1",
        port=int(sys.argv[1]),
        interface=Interfaces.RSGI,
        http=HTTPModes.auto,
        websockets=False,
    ).serve()
else:
    WORKER = Worker()
