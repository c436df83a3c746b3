"""The border between Granian's RSGI interface and the application: nothing else knows of the server.

Source: RSGI specification 1.5. The way of a manifest that is pulled often is here in full: no waiting, no handler.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import time
from typing import TYPE_CHECKING, Any

from granian.rsgi import ProtocolClosed  # type: ignore[attr-defined]  # documented there, not marked as exported

from matou.registry.auth.base import Origin, Unauthorized
from matou.registry.errors import RegistryError
from matou.registry.http.message import FileResponse, Request, Response, StreamResponse, error_response
from matou.registry.http.streaming import send_stream
from matou.registry.observe.client_address import connection_address
from matou.registry.observe.current_request import CurrentRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from matou.registry.http.application import Application
    from matou.registry.http.message import AnyResponse
    from matou.registry.observe.observer import Observer

log = logging.getLogger("matou.registry")

NO_ORIGIN = Origin("", "")
DRAIN_LIMIT = 64 << 20  # bytes of a refused body that are read, so that the client gets to see the answer
DRAIN_TIME = 20.0  # seconds


class RsgiEndpoint:
    """Serves requests.

    Args:
        application: answers them.
        observer: is told of every request.
    """

    def __init__(self, application: Application, observer: Observer) -> None:
        self._application = application
        self._lookup = application.cache.lookup
        self._authorize_now = application.context.authenticator.authorize_now
        self._common = application.common
        self._log_access = observer.access
        self._figures = observer.figures
        self._failing = observer.failing
        self._prefix = observer.prefix
        self._id_prefix = os.urandom(6).hex()
        self._serial = itertools.count(1)

    async def serve(self, scope: Any, protocol: Any) -> None:
        """Answer one request."""
        started = time.perf_counter()
        request_id = f"{self._id_prefix}-{next(self._serial):x}"
        method = scope.method
        try:
            if (method == "GET" or method == "HEAD") and self._serve_cached(  # noqa: PLR1714 -- measured: faster than a tuple
                scope, protocol, method, request_id, started
            ):
                return
        except Exception as error:  # noqa: BLE001 -- nothing may get lost in the server
            self._fail(protocol, request_id, error)
            return
        await self._serve(scope, protocol, method, request_id, started)

    async def _serve(self, scope: Any, protocol: Any, method: str, request_id: str, started: float) -> None:
        request = Request(
            method,
            scope.path,
            scope.query_string,
            scope.headers,
            scope.scheme,
            _Body(protocol),
            request_id,
            scope.authority,
        )
        current = CurrentRequest(request, connection_address(scope), self._prefix)
        handler = 0 if self._figures is None else self._figures.begin(request.path)
        status, size = 500, 0
        try:
            response = await self._answer(request)
            status = response.status
            if status >= 400 and method in ("POST", "PUT", "PATCH"):  # noqa: PLR2004 -- HTTP
                await _drain(request)
            size = await self._send(scope, protocol, started, request, response)
        except Exception as error:  # noqa: BLE001 -- as above
            self._fail(protocol, request_id, error)
        finally:
            seconds = time.perf_counter() - started
            if self._figures is not None:
                self._figures.end(handler, method, status, request.content_length or 0, size, seconds)
            if self._log_access is not None:
                self._log_access(scope, method, request.path, request_id, status, size, seconds)
            current.end()

    def _fail(self, protocol: Any, request_id: str, error: Exception) -> None:
        """Log what no handler foresaw. An answer that had begun stays as it is: its connection is cut."""
        if isinstance(error, ProtocolClosed):
            log.info("request %s: the client closed the connection", request_id)
            return
        log.error("request %s failed", request_id, exc_info=error)
        response = error_response(RegistryError("UNKNOWN", detail=f"the log says why: request {request_id}"))
        headers = [*response.headers, *self._common, ("x-request-id", request_id)]
        protocol.response_bytes(response.status, headers, response.body)

    async def _answer(self, request: Request) -> AnyResponse:
        if self._failing:
            return error_response(RegistryError("UNAVAILABLE", detail="health check failed: please see /debug/health"))
        return await self._application.respond(request)

    def _serve_cached(self, scope: Any, protocol: Any, method: str, request_id: str, started: float) -> bool:
        path = scope.path
        prepared = self._lookup(path)
        if prepared is None or self._failing:
            return False
        header = scope.headers.get
        accept = header("accept")
        if accept is not None and prepared.media_type not in accept and "*/*" not in accept:
            return False
        if header("if-none-match") is not None:
            return False
        try:
            if self._authorize_now(header("authorization"), prepared.wanted, NO_ORIGIN) is None:
                return False
        except Unauthorized:
            return False  # the challenge needs the request's origin
        headers = [*prepared.headers, ("x-request-id", request_id)]
        if method == "GET":
            body = prepared.body
            size = len(body)
            protocol.response_bytes(200, headers, body)
        else:
            size = 0
            protocol.response_empty(200, headers)
        if self._figures is not None:
            self._figures.cached(method, size, time.perf_counter() - started)
        if self._log_access is not None:
            self._log_access(scope, method, path, request_id, 200, size, time.perf_counter() - started)
        return True

    async def _send(self, scope: Any, protocol: Any, started: float, request: Request, response: AnyResponse) -> int:
        headers = [*response.headers, *self._common, ("x-request-id", request.id)]
        if isinstance(response, FileResponse):
            protocol.response_file_range(response.status, headers, response.path, response.start, response.end)
            return response.end - response.start
        if isinstance(response, StreamResponse):
            return await send_stream(scope, protocol, started, request, response, headers)
        return _send_bytes(protocol, request, response, headers)


class _Body:
    """A request's body. Granian hands its iterator out once; this one can be gone on with after a refusal."""

    __slots__ = ("_iterator", "_protocol")

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._iterator: AsyncIterator[bytes] | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    def __anext__(self) -> Awaitable[bytes]:
        if self._iterator is None:
            self._iterator = aiter(self._protocol)
        return self._iterator.__anext__()


def _send_bytes(protocol: Any, request: Request, response: Response, headers: list[tuple[str, str]]) -> int:
    if response.status != 204 and response.status != 304 and not any(name == "content-length" for name, _ in headers):  # noqa: PLR1714, PLR2004 -- RFC 9110: these have none
        headers.append(("content-length", str(len(response.body))))
    if request.method == "HEAD" or not response.body:
        protocol.response_empty(response.status, headers)
        return 0
    protocol.response_bytes(response.status, headers, response.body)
    return len(response.body)


async def _drain(request: Request) -> None:
    """Read what is left of a refused body: a client that still sends would see a broken connection, not the answer."""
    if request.headers.get("expect") is not None:
        return
    try:
        async with asyncio.timeout(DRAIN_TIME):
            await _discard(request.chunks())
    except TimeoutError:
        return


async def _discard(body: AsyncIterator[bytes]) -> None:
    left = DRAIN_LIMIT
    async for piece in body:
        left -= len(piece)
        if left < 0:
            return
