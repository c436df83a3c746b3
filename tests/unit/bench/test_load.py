from __future__ import annotations

import contextlib
import json
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from bench.load import Load, LoadError, head_load, parse_wrk, percentile

if TYPE_CHECKING:
    from collections.abc import Iterator

RESULT = {
    "duration_us": 2_000_000,
    "requests": 3000,
    "bytes": 1,
    "p50_us": 1500,
    "p99_us": 9250,
    "max_us": 20000,
    "status": 0,
    "connect": 0,
    "read": 0,
    "write": 0,
    "timeout": 0,
}


def output(**changed: int) -> str:
    return f"Running 2s test @ http://127.0.0.1:5000/\nRequests/sec: 1\nBENCH {json.dumps(RESULT | changed)}\n"


def test_wrk_output() -> None:
    assert parse_wrk(output()) == Load(3000, 2.0, 1.5, 9.25)


@pytest.mark.parametrize("kind", ["status", "connect", "read", "write", "timeout"])
def test_failed_requests_make_the_figure_void(kind: str) -> None:
    with pytest.raises(LoadError, match=f"'{kind}': 7"):
        parse_wrk(output(**{kind: 7}))


def test_no_request_at_all() -> None:
    with pytest.raises(LoadError, match="0 requests"):
        parse_wrk(output(requests=0))


@pytest.mark.parametrize("text", ["", "unable to connect", output() + output()])
def test_output_without_one_result(text: str) -> None:
    with pytest.raises(LoadError, match="no result line"):
        parse_wrk(text)


@pytest.mark.parametrize(
    ("percent", "value"), [(0, 1.0), (1, 1.0), (50, 5.0), (51, 6.0), (90, 9.0), (99, 10.0), (100, 10.0)]
)
def test_percentile_is_the_nearest_rank(percent: float, value: float) -> None:
    assert percentile([float(number) for number in range(1, 11)], percent) == value


def test_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="expected at least one"):
        percentile([], 50)


CONNECTIONS = 2


class HeadServer:
    """Takes so many connections and answers every request on them; keeps the requests."""

    def __init__(self, answer: list[bytes]) -> None:
        self.requests: list[bytes] = []
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept)
        self._acceptor.start()

    def _accept(self) -> None:
        for _ in range(CONNECTIONS):
            connection, _ = self._listener.accept()
            thread = threading.Thread(target=self._serve, args=(connection,))
            thread.start()
            self._threads.append(thread)

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(ConnectionError):  # the load stops in the middle of requests
            while request := connection.recv(65536):
                self.requests.append(request)
                for part in self._answer:
                    connection.sendall(part)

    def close(self) -> None:
        self._acceptor.join()
        for thread in self._threads:
            thread.join()
        self._listener.close()


@pytest.fixture
def head_server(request: pytest.FixtureRequest) -> Iterator[HeadServer]:
    server = HeadServer(request.param)
    yield server
    server.close()


WHOLE = [b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"]
PIECES = [b"HTTP/1.1 200 OK\r\nContent-", b"Length: 500\r\n\r\n"]


@pytest.mark.parametrize("head_server", [WHOLE, PIECES], indirect=True)
def test_head_load_counts_answers_without_body(head_server: HeadServer) -> None:
    load = head_load(head_server.port, "/v2/a/manifests/b", {"Accept": "x/y"}, CONNECTIONS, 0.1)
    assert load.requests > 2
    assert 0 < load.p50_ms <= load.p99_ms
    expected = f"HEAD /v2/a/manifests/b HTTP/1.1\r\nHost: 127.0.0.1:{head_server.port}\r\nAccept: x/y\r\n\r\n"
    assert set(head_server.requests) == {expected.encode()}


@pytest.mark.parametrize("head_server", [[b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"]], indirect=True)
def test_head_load_refuses_another_status(head_server: HeadServer) -> None:
    with pytest.raises(LoadError, match="401"):
        head_load(head_server.port, "/v2/", {}, CONNECTIONS, 0.1)
