"""Sending a body that a storage sends, at the pace of the client.

When something goes wrong the connection ends before Content-Length is reached, so the client knows that it has not got
everything.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from matou.registry.drivers.base import StorageError
from matou.registry.drivers.streams import closing
from matou.registry.drivers.unread import Unread
from matou.registry.http.hijacked_connection import HijackedConnection, hijack
from matou.registry.http.outlet import ClientGone, ClientStalled
from matou.registry.http.pipe import Pipe

if TYPE_CHECKING:
    from matou.registry.http.message import Headers, Request, StreamResponse
    from matou.registry.http.outlet import Outlet

log = logging.getLogger("matou.registry")

STALLED = 900.0  # seconds that a client may take nothing of a stream, which holds a connection to the storage
OPENING = 60.0  # seconds until the server reads a stream, which it does at once unless the client has left
WORTH_A_CONNECTION = 1 << 20  # bytes of a body from which on it pays that the client has to connect again


async def send_stream(
    scope: Any, protocol: Any, started: float, request: Request, response: StreamResponse, headers: Headers
) -> int:
    """Send an answer; return the bytes of its body that went on their way.

    Args:
        scope: of RSGI.
        protocol: of RSGI.
        started: when the request had come, by ``time.perf_counter``.
        request: that is answered.
        response: whose body is sent.
        headers: all that the answer has.
    """
    async with closing(response.rest) as rest:
        outlet = _outlet(scope, protocol, started, request, response.length)
        try:
            await outlet.begin(response.status, headers)
            try:
                await _pass(response.first, outlet)
                async for piece in rest:
                    await _pass(piece, outlet)
                if outlet.written != response.length:
                    raise StorageError(f"{response.length} bytes were expected")
            except StorageError as error:
                log.error("request %s broke off after %d bytes: %s", request.id, outlet.written, error)  # noqa: TRY400 -- the cause is known
            await outlet.end()
        except ClientGone:
            log.info("request %s: the client closed the connection after %d bytes", request.id, outlet.written)
        except ClientStalled:
            log.warning(
                "request %s broke off after %d bytes: the client takes no more of them", request.id, outlet.written
            )
        finally:
            outlet.close()
        return outlet.written


async def _pass(piece: bytes | Unread, outlet: Outlet) -> None:
    if isinstance(piece, Unread):
        await outlet.move(piece)
    else:
        await outlet.write(piece)


def _outlet(scope: Any, protocol: Any, started: float, request: Request, length: int) -> Outlet:
    if length >= WORTH_A_CONNECTION and not request.has_body:
        connection = hijack(scope, started)
        if connection is not None:
            return HijackedConnection(connection, length, STALLED)
    return Pipe(protocol, STALLED, OPENING)
