from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from matou.portal import asgi
from matou.portal.asgi import LARGEST_BODY, Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


def echo(environ: dict[str, Any], start_response: Callable[..., None]) -> Iterable[bytes]:
    """Answer with what arrived."""
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "application/json"), ("X-Thing", "1")])
    told = {name: value for name, value in environ.items() if isinstance(value, str)}
    return [json.dumps(told | {"body": body.decode("latin-1")}).encode()]


class Answer:
    def __init__(self, messages: list[dict[str, Any]]) -> None:
        start, body = messages
        self.status: int = start["status"]
        self.headers = {name.decode(): value.decode() for name, value in start["headers"]}
        self.body: bytes = body["body"]

    @property
    def environ(self) -> dict[str, str]:
        return dict(json.loads(self.body))


def scope_of(target: str, method: str = "GET", headers: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "method": method,
        "http_version": "1.1",
        "scheme": "http",
        "raw_path": path.encode(),
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
        "client": ("192.0.2.9", 1234),
        "server": ("127.0.0.1", 8080),
    }


def ask(
    target: str = "/",
    *,
    method: str = "GET",
    headers: Sequence[tuple[str, str]] = (),
    pieces: Sequence[bytes] = (),
    application: Callable[..., Iterable[bytes]] = echo,
) -> Answer:
    scope = scope_of(target, method, headers)
    arriving = [
        {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
        for number, piece in enumerate(pieces, 1)
    ] or [{"type": "http.request", "body": b"", "more_body": False}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not arriving:
            await asyncio.sleep(60)
        return arriving.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def serve() -> None:
        endpoint = Endpoint(application, threads=1)
        await endpoint(scope, receive, send)
        await endpoint.drain(1)

    asyncio.run(serve())
    return Answer(sent)


def test_the_environment() -> None:
    answer = ask("/api/v4/projects/a%2Fb/%E7%A0%81?x=%2F&y=1", headers=[("accept", "a"), ("accept", "b")])
    assert answer.status == 200
    environ = answer.environ
    assert environ["REQUEST_URI"] == "/api/v4/projects/a%2Fb/%E7%A0%81?x=%2F&y=1"
    assert environ["PATH_INFO"].encode("latin-1").decode() == "/api/v4/projects/a/b/码"
    assert environ["QUERY_STRING"] == "x=%2F&y=1"
    assert environ["REMOTE_ADDR"] == "192.0.2.9"
    assert environ["HTTP_ACCEPT"] == "a,b"
    assert environ["CONTENT_LENGTH"] == "0"
    assert environ["portal.request_id"] == answer.headers["x-request-id"]
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.headers["x-thing"] == "1"


def test_headers_that_would_pass_for_others_are_dropped() -> None:
    environ = ask(
        headers=[
            ("x_forwarded_for", "198.51.100.1"),
            ("x-forwarded-for", "203.0.113.1"),
            ("content-length", "99"),
            ("transfer-encoding", "chunked"),
            ("content-type", "text/plain"),
            ("cookie", "a=1"),
            ("cookie", "b=2"),
        ]
    ).environ
    assert environ["HTTP_X_FORWARDED_FOR"] == "203.0.113.1"
    assert environ["CONTENT_LENGTH"] == "0"
    assert environ["CONTENT_TYPE"] == "text/plain"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    assert "HTTP_TRANSFER_ENCODING" not in environ
    assert "HTTP_CONTENT_LENGTH" not in environ


def test_a_body_in_pieces() -> None:
    environ = ask(method="POST", pieces=[b"ab", b"", b"c"]).environ
    assert (environ["body"], environ["CONTENT_LENGTH"]) == ("abc", "3")


def test_the_largest_body() -> None:
    assert len(ask(method="POST", pieces=[b"x" * LARGEST_BODY]).environ["body"]) == LARGEST_BODY


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"method": "POST", "pieces": [b"x" * LARGEST_BODY, b"x"]}, 413),
        ({"target": "/" + "x" * 20_000}, 414),
        ({"target": "/?" + "x" * 20_000}, 414),
        ({"headers": [("x", "y" * 40_000)]}, 431),
        ({"headers": [("x", "y")] * 101}, 431),
    ],
)
def test_limits(values: dict[str, Any], status: int) -> None:
    answer = ask(**values)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["connection"] == "close"
    assert json.loads(answer.body)["message"].startswith(str(status))


def test_a_body_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi, "LARGEST_DISCARDED_BODY", 2 * LARGEST_BODY)
    assert ask(method="POST", pieces=[b"x" * LARGEST_BODY] * 100).status == 413


def test_a_body_that_does_not_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi, "BODY_PATIENCE", 0.02)

    async def never() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    status = asyncio.run(asgi._read(never))
    assert status == 408


def test_a_client_that_went_away() -> None:
    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    assert asyncio.run(asgi._read(gone)) == 400


def test_head_has_the_headers_of_get() -> None:
    answer = ask(method="HEAD")
    assert answer.body == b""
    assert int(answer.headers["content-length"]) > 100


def test_answers_without_a_body_have_no_length() -> None:
    def nothing(_environ: dict[str, Any], start_response: Callable[..., None]) -> Iterable[bytes]:
        start_response("204 No Content", [("Content-Length", "0")])
        return []

    answer = ask(application=nothing)
    assert answer.status == 204
    assert "content-length" not in answer.headers


def test_requests_in_flight_are_waited_for() -> None:
    working, leave = threading.Event(), threading.Event()
    sent: list[dict[str, Any]] = []

    def slow(environ: dict[str, Any], start_response: Callable[..., None]) -> Iterable[bytes]:
        working.set()
        assert leave.wait(20)
        return echo(environ, start_response)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def scenario() -> None:
        endpoint = Endpoint(slow, threads=1)
        task = asyncio.create_task(endpoint(scope_of("/"), receive, send))
        await asyncio.to_thread(working.wait, 20)
        draining = asyncio.create_task(endpoint.drain(20))
        await asyncio.sleep(0.02)
        assert not draining.done()
        leave.set()
        await draining
        assert sent
        await task

    asyncio.run(scenario())
    assert Answer(sent).status == 200


def test_websockets_are_not_served() -> None:
    async def scenario() -> None:
        await Endpoint(echo, threads=1)({"type": "websocket"}, None, None)  # type: ignore[arg-type] # never used

    with pytest.raises(RuntimeError, match="websocket is not served"):
        asyncio.run(scenario())
