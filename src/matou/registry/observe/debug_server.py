"""``http.debug.addr``: health, metrics and figures of the registry, on a listener of its own.

Concurrency: threads of the parent process, which serves nothing else. Everything is read from the board that the
workers write to.

Source: Distribution's debug server and ``health/api``; behaviour of docker-registry 2.8.2.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from prometheus_client.exposition import choose_encoder

from matou.registry.observe.exposition import metrics_registry, variables
from matou.system.addresses import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matou.registry.observe.board import Board
    from matou.system.addresses import TcpAddress

log = logging.getLogger("matou.registry")

PUBLIC_VARIABLE = "MATOU_DEBUG_PUBLIC"
CONNECTIONS = 16  # at a time
TIMEOUT = 10.0  # seconds that a client gets to send its request, and to take the answer
POLL_INTERVAL = 0.1  # seconds until a stop is noticed
DOWN_TIMEOUT = 5.0  # seconds that the workers get to take note of up and down
LONGEST_SILENCE = 15.0  # seconds without a sign of life of a worker
NO_WORKER = {"workers": "no worker process runs"}


class DebugAddressError(Exception):
    """The debug server cannot listen; the message says why and what to do."""


def debug_address(addr: str, environment: Mapping[str, str]) -> TcpAddress:
    """Read ``http.debug.addr``.

    Anybody who reaches the debug server can take the registry out of service, so an address that others can reach must
    be wanted: ``MATOU_DEBUG_PUBLIC=1``.

    Raises:
        DebugAddressError: it is no address, or one that others reach.
    """
    try:
        address = resolve(addr)
    except ValueError as error:
        raise DebugAddressError(f"http.debug.addr is {addr!r}; expected host:port, such as localhost:5001") from error
    except OSError as error:
        raise DebugAddressError(f"http.debug.addr is {addr!r}, which cannot be resolved: {error}") from error
    is_loopback = ipaddress.ip_address(address.host.partition("%")[0]).is_loopback
    if not is_loopback and environment.get(PUBLIC_VARIABLE) != "1":
        raise DebugAddressError(
            f"http.debug.addr is {addr!r}: whoever reaches that address could take the registry out of service; "
            f"use localhost:{address.port}, or set {PUBLIC_VARIABLE}=1 where only trusted machines reach it"
        )
    return address


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint answers."""

    status: int
    body: bytes
    content_type: str = "application/json; charset=utf-8"

    @classmethod
    def json(cls, document: Any, status: int = HTTPStatus.OK) -> Answer:
        """Return a JSON document."""
        return cls(status, json.dumps(document, separators=(",", ":")).encode())


class Endpoints:
    """What the debug server serves.

    Args:
        board: of the workers.
        metrics_path: ``http.debug.prometheus.path``; "" for no metrics.
        driver: key of the storage driver in the configuration.

    Attributes:
        routes: method and path to what answers, given the ``Accept`` header.
    """

    def __init__(self, board: Board, metrics_path: str, driver: str) -> None:
        self._board = board
        self.routes: dict[tuple[str, str], Callable[[str], Answer]] = {
            ("GET", "/debug/health"): self._health,
            ("POST", "/debug/health/down"): lambda _: self._set_down(down=True),
            ("POST", "/debug/health/up"): lambda _: self._set_down(down=False),
            ("GET", "/debug/vars"): lambda _: Answer.json(variables(self._board)),
        }
        if metrics_path:
            self._registry = metrics_registry(board, driver)
            # GitLab's documentation names the second.
            for path in (metrics_path, "/debug/metrics"):
                self.routes["GET", path] = self._metrics

    def answer(self, method: str, path: str, accept: str) -> Answer:
        """Answer a request; HEAD as GET."""
        route = self.routes.get(("GET" if method == "HEAD" else method, path))
        if route is not None:
            return route(accept)
        allowed = [known for known, known_path in self.routes if known_path == path]
        if allowed:
            return Answer.json({"error": f"expected {' or '.join(allowed)}"}, HTTPStatus.METHOD_NOT_ALLOWED)
        paths = sorted({known for _, known in self.routes})
        return Answer.json({"error": "there is no such endpoint", "endpoints": paths}, HTTPStatus.NOT_FOUND)

    def _health(self, _accept: str) -> Answer:
        failing: dict[str, str] = {}
        running = False
        for place in self._board.places:
            pid = place.pid
            if pid is not None:
                running = True
                failing |= place.failing
                silence = place.silence
                if silence > LONGEST_SILENCE:
                    failing[f"worker {pid}"] = f"has done nothing for {silence:.0f} s"
        if not running:
            failing = NO_WORKER
        return Answer.json(failing, HTTPStatus.SERVICE_UNAVAILABLE if failing else HTTPStatus.OK)

    def _set_down(self, *, down: bool) -> Answer:
        serial = self._board.set_down(down=down)
        log.warning("the registry was taken %s by way of the debug server", "out of service" if down else "back in")
        deadline = time.monotonic() + DOWN_TIMEOUT
        while any(place.pid is not None and place.seen < serial for place in self._board.places):
            if time.monotonic() > deadline:
                return Answer.json({"error": "not every worker has taken note in time"}, HTTPStatus.GATEWAY_TIMEOUT)
            time.sleep(0.01)
        return Answer.json({})

    def _metrics(self, accept: str) -> Answer:
        encode, content_type = choose_encoder(accept)
        return Answer(HTTPStatus.OK, encode(self._registry), content_type)


class DebugServer(ThreadingHTTPServer):
    """The listener.

    Args:
        address: listened on.
        endpoints: that answer.

    Raises:
        DebugAddressError: the address cannot be listened on.
    """

    daemon_threads = True
    request_queue_size = CONNECTIONS

    def __init__(self, address: TcpAddress, endpoints: Endpoints) -> None:
        self.address_family = address.family
        self.endpoints = endpoints
        self._free = threading.BoundedSemaphore(CONNECTIONS)
        try:
            super().__init__(address, _Handler)
        except OSError as error:
            raise DebugAddressError(
                f"the debug server cannot listen on {address}: {error.strerror}; "
                "stop what uses the port, or change http.debug.addr"
            ) from error
        self._thread = threading.Thread(
            target=self.serve_forever, args=(POLL_INTERVAL,), name="debug server", daemon=True
        )

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()
        log.info("debug server listening on %s:%d", *self.server_address[:2])

    def stop(self) -> None:
        """End."""
        self.shutdown()
        self._thread.join()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, unless there are too many."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 -- the library's
        """Say so when an answer could not be sent: the client left."""
        log.debug("debug server: a request of %s broke off", client_address)


class _Handler(BaseHTTPRequestHandler):
    server: DebugServer
    server_version = "matou"
    sys_version = ""
    timeout = TIMEOUT

    def do_GET(self) -> None:
        if self.command == "POST" and self.headers.get("Origin") is not None:
            # A web page that an administrator looks at must not take the registry out of service.
            answer = Answer.json({"error": "requests of web pages are refused"}, HTTPStatus.FORBIDDEN)
        else:
            try:
                path = self.path.partition("?")[0]
                answer = self.server.endpoints.answer(self.command, path, self.headers.get("Accept", ""))
            except Exception:
                log.exception("debug server: %s %s failed", self.command, self.path)
                answer = Answer.json({"error": "the log says why"}, HTTPStatus.INTERNAL_SERVER_ERROR)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 -- the library's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's
        log.debug("debug server: %s", format % args)
