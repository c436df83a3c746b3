"""``debug_log``: what the requests of the driver do, in the registry's log. Nothing that authorises is in it."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from matou.registry.drivers.requests import RequestObserver

log = logging.getLogger("matou.registry")

SHOWN = frozenset(("comp", "restype", "prefix", "include"))  # parameters of URLs
ERROR = 400


class DebugLog:
    """Writes the events that were asked for.

    Args:
        events: of ``AzureParameters``.
        observer: of requests, which is told all the same.
    """

    def __init__(self, events: frozenset[str], observer: RequestObserver) -> None:
        self._events = events
        self._observer = observer

    def retried(self, *, throttled: bool) -> None:
        """See ``RequestObserver.retried``."""
        self.write("retry", "a request is repeated%s", " (throttled)" if throttled else "")
        self._observer.retried(throttled=throttled)

    def waited(self, seconds: float) -> None:
        """See ``RequestObserver.waited``."""
        self._observer.waited(seconds)

    def write(self, event: str, text: str, *values: object) -> None:
        """Write a line about an event."""
        if event in self._events:
            log.info(f"azure: {text}", *values)  # noqa: G004 -- the text is a constant of ours

    def trace_configs(self) -> list[aiohttp.TraceConfig]:
        """Return what makes a session of aiohttp tell of requests and responses."""
        if not self._events:
            return []
        config = aiohttp.TraceConfig()
        config.on_request_start.append(self._started)
        config.on_request_end.append(self._ended)
        config.on_request_exception.append(self._failed)
        return [config]

    async def _started(self, _session: object, context: Any, request: aiohttp.TraceRequestStartParams) -> None:
        context.started = time.monotonic()
        shown = {name: value for name, value in request.url.query.items() if name in SHOWN}
        self.write("request", "%s %s", request.method, request.url.with_query(shown))

    async def _ended(self, _session: object, context: Any, request: aiohttp.TraceRequestEndParams) -> None:
        answer = request.response
        event = "responseerror" if answer.status >= ERROR else "response"
        self.write(
            event,
            "%s %s: %d%s in %.0f ms, request id %s",
            request.method,
            request.url.path,
            answer.status,
            f" {answer.headers['x-ms-error-code']}" if "x-ms-error-code" in answer.headers else "",
            (time.monotonic() - context.started) * 1000,
            answer.headers.get("x-ms-request-id", "-"),
        )

    async def _failed(self, _session: object, _context: object, request: aiohttp.TraceRequestExceptionParams) -> None:
        self.write("responseerror", "%s %s: %r", request.method, request.url.path, request.exception)
