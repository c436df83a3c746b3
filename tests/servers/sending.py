"""A storage that sends bytes to whoever connects, and then closes the connection."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def storage_sending(content: bytes, length: int | None = None) -> AsyncIterator[socket.socket]:
    """Yield a connection, which does not block, to a storage.

    Args:
        content: that it sends, again and again.
        length: bytes that it sends; None for the content once.
    """
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as connection:
        theirs, _ = server.accept()
        theirs.settimeout(0)
        connection.settimeout(0)

        async def send() -> None:
            left = len(content) if length is None else length
            with theirs:
                while left:
                    piece = content[:left]
                    await loop.sock_sendall(theirs, piece)
                    left -= len(piece)

        sending = asyncio.create_task(send())
        try:
            yield connection
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            theirs.close()
