"""The endpoint tells the observer of every request, and logs what no handler foresaw."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, BinaryIO

import pytest
from granian.rsgi import ProtocolClosed  # type: ignore[attr-defined]  # documented there, not marked as exported

from matou.registry.auth.base import Identity
from matou.registry.drivers.base import StorageError
from matou.registry.http.message import Response, StreamResponse, json_response
from matou.registry.http.rsgi import RsgiEndpoint
from matou.registry.observe.figures import HANDLERS, MANIFEST, Layout, RequestFigures, places
from matou.registry.observe.observer import Observer
from tests.unit.registry.observe.scopes import FakeScope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from matou.registry.http.message import AnyResponse, Request

CACHED = "/v2/a/manifests/latest"


class FakeProtocol:
    def __init__(self, *, closed: bool = False) -> None:
        self.closed = closed
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self._reading: threading.Thread | None = None

    def response_empty(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.response_bytes(status, headers, b"")

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        if self.closed:
            raise ProtocolClosed("RSGI transport is closed")
        self.status, self.headers, self.body = status, dict(headers), body

    def response_file(self, status: int, headers: list[tuple[str, str]], path: str) -> None:
        self.status, self.headers = status, dict(headers)
        file = Path(path).open("rb")  # noqa: SIM115 -- the thread closes it
        self._reading = threading.Thread(target=self._read, args=(file,))
        self._reading.start()

    def _read(self, file: BinaryIO) -> None:
        with file:
            self.body = file.read()

    async def client_disconnect(self) -> None:
        await asyncio.Event().wait()

    def join(self) -> None:
        """Wait until the body of a file is read."""
        if self._reading is not None:
            self._reading.join()


class Rig:
    """An endpoint over a handler, and what it told."""

    def __init__(
        self,
        handler: Callable[[Request], AnyResponse] | None = None,
        failing: dict[str, str] | None = None,
        figures: RequestFigures | None = None,
    ) -> None:
        self.access: list[tuple[str, str, str, int, int]] = []
        prepared = SimpleNamespace(media_type="x/y", wanted=(), headers=[("etag", "e")], body=b"manifest")

        async def respond(request: Request) -> AnyResponse:
            assert handler is not None
            return handler(request)

        application: Any = SimpleNamespace(
            cache=SimpleNamespace(lookup={CACHED: prepared}.get),
            context=SimpleNamespace(authenticator=SimpleNamespace(authorize_now=lambda *_: Identity(""))),
            common=[],
            respond=respond,
        )
        self.endpoint = RsgiEndpoint(application, Observer(self._log, failing or {}, figures, ""))

    def _log(
        self, _scope: Any, method: str, path: str, request_id: str, status: int, size: int, seconds: float
    ) -> None:
        assert seconds >= 0
        self.access.append((method, path, request_id, status, size))

    def request(
        self, path: str = "/v2/", method: str = "GET", query: str = "", *, closed: bool = False
    ) -> FakeProtocol:
        protocol = FakeProtocol(closed=closed)
        scope = FakeScope({"host": "r.example"}, path=path, method=method, query_string=query)
        asyncio.run(self.endpoint.serve(scope, protocol))
        protocol.join()
        return protocol


def test_every_request_is_told_of() -> None:
    rig = Rig(lambda _: json_response({}, 202))
    protocol = rig.request(method="POST", path="/v2/a/blobs/uploads/")
    assert rig.access == [("POST", "/v2/a/blobs/uploads/", protocol.headers["x-request-id"], 202, 2)]


@pytest.mark.parametrize(("method", "size"), [("GET", 8), ("HEAD", 0)])
def test_cached_manifests_too(method: str, size: int) -> None:
    rig = Rig()
    protocol = rig.request(CACHED, method)
    assert rig.access == [(method, CACHED, protocol.headers["x-request-id"], 200, size)]


@pytest.mark.parametrize("path", ["/v2/", CACHED])
def test_failing_health(path: str) -> None:
    protocol = Rig(failing={"disk": "broken"}).request(path)
    assert protocol.status == 503
    assert json.loads(protocol.body)["errors"][0] == {
        "code": "UNAVAILABLE",
        "message": "service unavailable",
        "detail": "health check failed: please see /debug/health",
    }


def explode(_: Request) -> Response:
    raise RuntimeError("a bug")


def test_a_bug_is_logged_with_the_request(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(explode)
    protocol = rig.request(query="_state=secret")
    request_id = protocol.headers["x-request-id"]
    assert protocol.status == 500
    assert json.loads(protocol.body)["errors"][0]["code"] == "UNKNOWN"
    assert "a bug" not in protocol.body.decode()
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert request_id in record.getMessage()
    assert "secret" not in caplog.text
    assert rig.access == [("GET", "/v2/", request_id, 500, 0)]


def test_a_bug_on_the_hot_path_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    rig.endpoint._lookup = lambda _: 1 / 0  # type: ignore[assignment,return-value]  # the bug
    protocol = rig.request(CACHED)
    assert protocol.status == 500
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("path", ["/v2/", CACHED])
def test_a_client_that_left_is_no_error(path: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "matou.registry")
    Rig(lambda _: json_response({})).request(path, closed=True)
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert "the client closed the connection" in record.getMessage()
    assert record.exc_info is None


def test_a_stream_that_breaks_off(caplog: pytest.LogCaptureFixture) -> None:
    async def rest() -> AsyncIterator[bytes]:
        yield b"abc"
        raise StorageError("the disk is gone")

    rig = Rig(lambda _: StreamResponse(200, [("content-length", "10")], b"xyz", rest(), 10))
    protocol = rig.request("/v2/a/blobs/x")
    assert (protocol.headers["content-length"], protocol.body) == ("10", b"xyzabc")
    assert rig.access[0][3:] == (200, 6)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage() == (
        f"request {protocol.headers['x-request-id']} broke off after 6 bytes: the disk is gone"
    )


def test_a_stream_that_ends_early(caplog: pytest.LogCaptureFixture) -> None:
    async def rest() -> AsyncIterator[bytes]:
        yield b"abc"

    Rig(lambda _: StreamResponse(200, [("content-length", "10")], b"xyz", rest(), 10)).request("/v2/a/blobs/x")
    assert "broke off after 6 bytes: 10 bytes were expected" in caplog.text


@pytest.mark.parametrize(
    ("path", "handler"),
    [
        ("/v2/", "base"),
        ("/v2/a/b/blobs/uploads/", "blob_upload"),
        ("/v2/a/b/blobs/uploads/1", "blob_upload_chunk"),
        ("/v2/a/b/blobs/sha256:0", "blob"),
        ("/v2/a/referrers/sha256:0", "referrers"),
        ("/v2/_catalog", "catalog"),
        ("/v2/a/tags/reference/x", "tag_reference"),
        ("/favicon.ico", "other"),
        (CACHED, "manifest"),
    ],
)
def test_figures(path: str, handler: str) -> None:
    cells = [0] * Layout.size
    rig = Rig(lambda _: json_response({}), figures=RequestFigures(cells, ""))
    rig.request(path)
    requests, _ = places(HANDLERS.index(handler), "GET", 200)
    assert [index for index in range(Layout.requests, Layout.durations) if cells[index]] == [requests]
    assert not any(cells[Layout.in_flight : Layout.in_flight + len(HANDLERS)])
    assert cells[Layout.cache_hits] == int(path == CACHED)


def test_a_request_is_in_flight_while_it_is_answered() -> None:
    cells = [0] * Layout.size
    seen: list[int] = []

    def look(_: Request) -> Response:
        seen.append(cells[Layout.in_flight + MANIFEST])
        return Response(404)

    Rig(look, figures=RequestFigures(cells, "")).request("/v2/a/manifests/other")
    assert seen == [1]
    assert cells[Layout.in_flight + MANIFEST] == 0


def test_a_bug_is_counted_as_500() -> None:
    cells = [0] * Layout.size
    Rig(explode, figures=RequestFigures(cells, "")).request("/v2/")
    assert cells[places(HANDLERS.index("base"), "GET", 500)[0]] == 1
    assert not any(cells[Layout.in_flight : Layout.in_flight + len(HANDLERS)])
