"""HTTPS in front of a server that has none."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PIECE = 1 << 16  # bytes


@contextlib.asynccontextmanager
async def tls_front(port: int, certificate: tuple[Path, Path]) -> AsyncIterator[str]:
    """Yield the URL of a front in the event loop of the test; end it afterwards.

    Args:
        port: of the server on this machine.
        certificate: of the front, and its key.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            pipes = {asyncio.create_task(_pipe(reader, there_writer)), asyncio.create_task(_pipe(there_reader, writer))}
            try:
                await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pipe in pipes:
                    pipe.cancel()
                await asyncio.gather(*pipes, return_exceptions=True)
        finally:
            connections.discard(task)
            for side in (writer, there_writer):
                side.close()
                with contextlib.suppress(OSError):
                    await side.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()
        left = list(connections)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
