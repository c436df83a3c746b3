"""The border between the server and Django: limits, numbers for requests, the access log.

Concurrency: requests are read and answered on the event loop, and worked on by a fixed set of threads, each of which
keeps its connection to the database. Django's own ASGI handler would run synchronous views in a new thread, with a new
connection, for every request; Granian's WSGI tells no path as sent, which ``group%2Fproject`` in the API needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from matou.portal.logging import current_request, log_access, loggable_target

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    Headers = list[tuple[bytes, bytes]]
    Receive = Callable[[], Awaitable[dict[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]

THREADS = 32  # more than callers with passwords can hold, see PasswordLine
LARGEST_BODY = 1 << 20  # bytes; nothing that is sent to the portal is large
LARGEST_DISCARDED_BODY = 64 << 20  # bytes of a refused body that are read, so that the client gets to see the answer
BODY_PATIENCE = 30.0  # seconds
MOST_HEADERS = 100
LONGEST_HEADERS = 32 << 10  # bytes, all of them
LONGEST_TARGET = 16 << 10  # bytes of path and query; a request for many scopes is long


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is ready.

    Attributes:
        status: HTTP's.
        headers: all but those of the border.
        body: all of it.
    """

    status: int
    headers: Headers
    body: bytes


class Endpoint:
    """The ASGI application.

    Args:
        application: a WSGI application.
        threads: requests worked on at a time.
    """

    def __init__(self, application: Callable[..., Iterable[bytes]], threads: int = THREADS) -> None:
        self._application = application
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="request")
        self._prefix = os.urandom(6).hex()
        self._serial = itertools.count(1)
        self._idle = asyncio.Event()
        self._idle.set()
        self._working = 0

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            raise RuntimeError(f"{scope['type']} is not served")
        self._working += 1
        self._idle.clear()
        try:
            await self._serve(scope, receive, send)
        finally:
            self._working -= 1
            if not self._working:
                self._idle.set()

    async def drain(self, seconds: float) -> None:
        """Wait until no request is worked on, but no longer than that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _serve(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        number = f"{self._prefix}-{next(self._serial):x}"
        answer = _refusal(scope)
        if answer is None:
            body = await _read(receive)
            if isinstance(body, HTTPStatus):
                answer = _plain(body)
            else:
                loop = asyncio.get_running_loop()
                answer = await loop.run_in_executor(self._threads, self._work, _environ(scope, body, number), number)
        # HEAD is answered with the headers of GET, Content-Length among them.
        content = b"" if scope["method"] == "HEAD" else answer.body
        headers = [*answer.headers, (b"x-request-id", number.encode("ascii"))]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": content})
        log_access(
            {
                "remote": (scope.get("client") or ("",))[0],
                "method": scope["method"],
                "target": loggable_target(scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")),
                "status": answer.status,
                "size": len(content),
                "duration_ms": f"{(time.perf_counter() - started) * 1000:.1f}",
                "request_id": number,
            }
        )

    def _work(self, environ: dict[str, Any], number: str) -> Answer:
        """Run the WSGI application; in one of the threads."""
        token = current_request.set(number)
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], _error: object = None) -> None:
            started.append((status, headers))

        try:
            chunks = self._application(environ, start_response)
            try:
                body = b"".join(chunks)
            finally:
                if hasattr(chunks, "close"):
                    chunks.close()
        finally:
            current_request.reset(token)
        status, headers = started[-1]
        encoded = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in headers
            if name.lower() != "content-length"
        ]
        code = int(status[:3])
        if code not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            encoded.append((b"content-length", str(len(body)).encode("ascii")))
        return Answer(code, encoded, body)


def _refusal(scope: dict[str, Any]) -> Answer | None:
    """Return the answer to a request that breaks a limit; None if it breaks none."""
    headers = scope["headers"]
    if len(scope["raw_path"]) + len(scope["query_string"]) > LONGEST_TARGET:
        return _plain(HTTPStatus.REQUEST_URI_TOO_LONG)
    if len(headers) > MOST_HEADERS or sum(len(name) + len(value) for name, value in headers) > LONGEST_HEADERS:
        return _plain(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    return None


def _plain(status: HTTPStatus) -> Answer:
    """Return an answer without Django; the connection ends, as part of the request may be unread."""
    body = json.dumps({"message": f"{status.value} {status.phrase}"}).encode("ascii")
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode("ascii")),
        (b"connection", b"close"),
    ]
    return Answer(status.value, headers, body)


async def _read(receive: Receive) -> bytes | HTTPStatus:
    """Return a request's body, or with what status it is refused."""
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_PATIENCE):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return HTTPStatus.BAD_REQUEST
                piece = message.get("body", b"")
                size += len(piece)
                if size <= LARGEST_BODY:
                    pieces.append(piece)
                else:
                    pieces.clear()
                if size > LARGEST_DISCARDED_BODY:
                    break
                if not message.get("more_body"):
                    break
    except TimeoutError:
        return HTTPStatus.REQUEST_TIMEOUT
    return b"".join(pieces) if size <= LARGEST_BODY else HTTPStatus.REQUEST_ENTITY_TOO_LARGE


def _environ(scope: dict[str, Any], body: bytes, number: str) -> dict[str, Any]:
    """Return the WSGI environment of a request.

    Source: PEP 3333. ``REQUEST_URI`` is the target as sent.
    """
    host, port = scope.get("server") or ("", 0)
    client = scope.get("client") or ("", 0)
    raw_path = scope["raw_path"].decode("latin-1")
    query = scope["query_string"].decode("latin-1")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(raw_path).decode("latin-1"),
        "QUERY_STRING": query,
        "REQUEST_URI": f"{raw_path}?{query}" if query else raw_path,
        "SERVER_NAME": str(host),
        "SERVER_PORT": str(port or 0),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": str(client[0]),
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "portal.request_id": number,
    }
    for name, value in scope["headers"]:
        _add_header(environ, name.decode("latin-1"), value.decode("latin-1"))
    return environ


def _add_header(environ: dict[str, Any], name: str, value: str) -> None:
    if "_" in name or name in {"content-length", "transfer-encoding"}:
        return  # a header with an underscore would pass for the one with a dash, which a proxy may have set
    key = name.upper().replace("-", "_")
    if name != "content-type":
        key = f"HTTP_{key}"
    if key in environ:
        value = f"{environ[key]}{'; ' if name == 'cookie' else ','}{value}"
    environ[key] = value
