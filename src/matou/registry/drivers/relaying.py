"""The body of a storage's answer for those who only pass it on.

Concurrency: everything runs on the event loop.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import aiohttp

from matou.registry.drivers.unread import Unread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WORTHWHILE = 1 << 20  # bytes: the connection to the storage is not used again
PATIENCE = 60.0  # seconds that the storage may send nothing


async def pieces_of(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield the body of an answer as it comes in.

    Args:
        answer: whose body nobody has begun to read.

    Raises:
        aiohttp.ClientError: the connection broke.
    """
    async for piece, _ in answer.content.iter_chunks():  # what is put together is copied once more
        yield piece


async def relayed(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes | Unread]:
    """Yield the body of an answer: what has been read, and the rest as ``Unread`` where the kernel can move it.

    It can on Linux, without TLS, when the answer tells its length. Otherwise all of it is read.

    Args:
        answer: whose body nobody has begun to read.

    Raises:
        aiohttp.ClientError: the connection broke.
    """
    found = _plain_socket(answer)
    if found is None:
        async for piece in pieces_of(answer):
            yield piece
        return
    with socket.socket(fileno=os.dup(found)) as connection:
        begin = []
        while piece := answer.content.read_nowait():  # which lets the protocol go on, and parse what it holds back
            begin.append(piece)
        rest = Unread(connection, (answer.content_length or 0) - answer.content.total_bytes, PATIENCE)
        # Pausing would not do: whoever still reads an answer that came by this connection before lets it go on.
        answer.close()
        for piece in begin:
            yield piece
        if rest.left:
            yield rest
        if rest.failure:
            raise aiohttp.ClientPayloadError(rest.failure)


def _plain_socket(answer: aiohttp.ClientResponse) -> int | None:
    """Return the socket that an answer comes from, when bytes of the body are on it as they are, and many of them."""
    link, length = answer.connection, answer.content_length
    if link is None or link.transport is None or length is None or not hasattr(os, "splice"):
        return None
    if length - answer.content.total_bytes < WORTHWHILE:
        return None
    if not {"transfer-encoding", "content-encoding"}.isdisjoint(name.lower() for name in answer.headers):
        return None
    if link.transport.get_extra_info("sslcontext") is not None:
        return None
    descriptor: int = link.transport.get_extra_info("socket").fileno()
    return descriptor if descriptor >= 0 else None
