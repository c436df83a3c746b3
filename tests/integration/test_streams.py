"""Bodies from object storage through the real server: at the client's pace, and cut where the storage fails."""

from __future__ import annotations

import http.client
import secrets
import socket
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest

from matou.registry.http.message import LARGEST_COLLECTED
from tests.registry_http.client import connected
from tests.registry_http.content import blob
from tests.servers.ports import free_port
from tests.servers.program import environment
from tests.servers.stream_server import PIECE
from tests.servers.waiting import answers, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1 << 20
HUGE = 1 << 40  # bytes that nobody could hold
# Header fields of a request: a connection by which more than a head has come is left to the server.
HIJACKED, BY_PIPE = "", "Transfer-Encoding: chunked\r\n"
WAYS = pytest.mark.parametrize("way", [HIJACKED, BY_PIPE], ids=["hijacked", "by_pipe"])
ON_THE_WAY = 16 * MIB  # bytes that may be in pipe, server and sockets; loopback sockets take about 6 MiB


class StreamServer:
    """A running ``tests.servers.stream_server``."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.servers.stream_server", str(self.port)],
                env=environment(),
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: answers(self.url("state"), 200), process=self.process, log=self.log)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/v2/{path}"

    def state(self) -> dict[str, int]:
        found: dict[str, int] = self.get("state").json()
        return found

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url(path), timeout=60, trust_env=False)

    def connect(self, path: str, way: str = HIJACKED) -> socket.socket:
        """Send a request, and read nothing."""
        # Bound, so that nobody else gets a connection from the same port.
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60, source_address=("127.0.0.1", 0))
        connection.sendall(f"GET /v2/{path} HTTP/1.1\r\nHost: x\r\n{way}\r\n".encode())
        return connection

    def pull(self, path: str, way: str) -> tuple[http.client.HTTPResponse, bytes]:
        """Return an answer and what there is of its body."""
        with self.connect(path, way) as connection:
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            try:
                return answer, answer.read()
            except http.client.IncompleteRead as error:
                return answer, error.partial
            finally:
                answer.close()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StreamServer]:
    server = StreamServer(tmp_path_factory.mktemp("streams"))
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test no stream is open, and no descriptor or task is left."""
    if "server" not in request.fixturenames:
        yield
        return
    server: StreamServer = request.getfixturevalue("server")
    before = server.state()
    yield
    wait_until(lambda: is_like(server.state(), before), log=server.log)


def is_like(state: dict[str, int], before: dict[str, int]) -> bool:
    return state["open"] == 0 and all(state[key] <= before[key] for key in ("descriptors", "tasks"))


def receive(connection: socket.socket, size: int) -> int:
    """Read so many bytes at least."""
    received = 0
    while received < size and (piece := connection.recv(1 << 16)):
        received += len(piece)
    return received


@WAYS
@pytest.mark.parametrize("kind", ["steady", "relayed"])
def test_a_slow_client_sets_the_pace(server: StreamServer, kind: str, way: str) -> None:
    before = server.state()
    with server.connect(f"{kind}/{HUGE}", way) as connection:
        received = receive(connection, MIB)
        # The client reads a little now and then: the server must never be much ahead.
        for _ in range(20):
            received += receive(connection, MIB)
            state = server.state()
            assert state["produced"] - before["produced"] <= received + ON_THE_WAY
            assert state["memory"] <= before["memory"] + ON_THE_WAY


@WAYS
@pytest.mark.parametrize("kind", ["steady", "relayed"])
def test_many_slow_clients(server: StreamServer, kind: str, way: str) -> None:
    before = server.state()
    connections = [server.connect(f"{kind}/{HUGE}", way) for _ in range(20)]
    for connection in connections:
        assert receive(connection, MIB)
    state = server.state()
    assert state["open"] == len(connections)
    # What the kernel holds for sockets and pipes does not count here.
    assert state["memory"] <= before["memory"] + len(connections) * 2 * MIB
    for connection in connections:
        connection.close()


@WAYS
@pytest.mark.parametrize("kind", ["steady", "slow", "relayed"])
@pytest.mark.parametrize("size", [LARGEST_COLLECTED + 1, 3 * MIB + 5])
def test_everything_arrives(kind: str, size: int, way: str, server: StreamServer) -> None:
    answer, body = server.pull(f"{kind}/{size + MIB}", way)
    assert body == (PIECE * 5)[: size + MIB]
    assert (answer.headers["connection"] == "close") == (way == HIJACKED)


def test_streams_do_not_wait_for_each_other(server: StreamServer) -> None:
    size = 20 * MIB

    def pull(number: int) -> int:
        return len(server.get(f"{('steady', 'relayed')[number % 2]}/{size}").content)

    with server.connect(f"steady/{HUGE}") as stalled, ThreadPoolExecutor(8) as pool:
        receive(stalled, 1)
        assert list(pool.map(pull, range(16))) == [size] * 16


@WAYS
@pytest.mark.parametrize(("kind", "size"), [("broken", 2 * MIB), ("short", 3), ("relayed_short", 2 * MIB)])
def test_a_storage_that_fails_cuts_the_connection(kind: str, size: int, way: str, server: StreamServer) -> None:
    answer, body = server.pull(f"{kind}/{4 * MIB}", way)
    assert (answer.status, answer.headers["content-length"]) == (200, str(4 * MIB))
    assert len(body) <= size
    assert (b"few" if kind == "short" else PIECE * 2).startswith(body)


@pytest.mark.parametrize(
    ("kind", "status"), [("steady", 0), ("relayed", 0), ("broken", 1), ("short", 1), ("relayed_short", 1)]
)
def test_http2(kind: str, status: int, server: StreamServer, tmp_path: Path) -> None:
    body = tmp_path / "body"
    curl: list[str | Path] = [
        "curl",
        "-sS",
        "--http2-prior-knowledge",
        "--max-time",
        "60",
        "-o",
        body,
        "-w",
        "%{http_version} %{http_code}",
    ]
    done = subprocess.run([*curl, server.url(f"{kind}/{4 * MIB}")], capture_output=True, text=True, check=False)
    # A stream that is reset may take the beginning of its answer with it.
    assert done.stdout in (("2 200", "2 000") if status else ("2 200",))
    assert (done.returncode != 0) == bool(status), done.stderr
    content = body.read_bytes() if body.exists() else b""
    assert (PIECE * 4).startswith(content) or content == b"few"
    assert (len(content) == 4 * MIB) == (status == 0)


@WAYS
@pytest.mark.parametrize("kind", ["steady", "slow", "relayed"])
def test_a_client_that_leaves_frees_the_storage(kind: str, way: str, server: StreamServer) -> None:
    for _ in range(5):
        with server.connect(f"{kind}/{HUGE}", way) as connection:
            receive(connection, 1)
        with server.connect(f"{kind}/{HUGE}", way):
            pass  # gone before it could read anything


def test_nobody_gets_what_one_before_at_the_same_address_asked_for(server: StreamServer) -> None:
    """As may happen behind a gateway that translates addresses."""
    first = server.connect(f"late/{4 * MIB}")
    address = first.getsockname()
    wait_until(lambda: server.state()["open"] == 0)  # it is among the server's connections
    first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, so that the port is free
    first.close()
    with socket.socket() as second:
        second.bind(address)
        second.connect(("127.0.0.1", server.port))
        second.settimeout(2)
        with pytest.raises(TimeoutError):
            second.recv(1)


@WAYS
@pytest.mark.parametrize("kind", ["steady", "relayed"])
def test_a_server_that_is_ended_sends_what_it_has_begun(kind: str, way: str, tmp_path: Path) -> None:
    size = 40 * MIB
    server = StreamServer(tmp_path)
    with server.connect(f"{kind}/{size}", way) as connection:
        received = receive(connection, MIB)
        server.process.terminate()
        wait_until(lambda: is_closed(server.port), log=server.log)
        assert server.process.poll() is None
        received += receive(connection, size - received)
    assert received >= size
    assert server.process.wait(30) == 0


def is_closed(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_registry_that_streams(tmp_path: Path) -> None:
    """Pulls through the whole registry, from the one driver with neither files nor URLs that every machine has."""
    content = blob(secrets.token_bytes(3 * MIB))
    with connected(tmp_path, {"storage": {"inmemory": {}}}) as client:
        client.push_blob("a/b", content)
        path = f"/a/b/blobs/{content.digest}"
        whole = client.ask("GET", path)
        assert (whole.status_code, whole.content) == (200, content.content)
        assert client.ask("HEAD", path).headers["content-length"] == str(3 * MIB)
        for first, last in ((0, 9), (5, 2 * MIB), (MIB, 3 * MIB - 1)):
            part = client.ask("GET", path, headers={"Range": f"bytes={first}-{last}"})
            assert (part.status_code, part.content) == (206, content.content[first : last + 1])
            assert part.headers["content-range"] == f"bytes {first}-{last}/{3 * MIB}"
