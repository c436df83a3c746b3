from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from bench.client import Connection, ProtocolError, Response, parse_head, target_of
from bench.payload import PayloadFactory
from bench.registry_calls import make_image, push_chunked, push_image, push_monolithic, with_digest
from bench.settings import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "Bearer abc"


class Registry(ThreadingHTTPServer):
    """So much of a registry that a push can be followed byte for byte."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.uploads: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.calls: list[str] = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Registry

    def log_message(self, *_: object) -> None:
        pass

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"]))
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            assert self.rfile.readline() == b"\r\n"
        assert self.rfile.readline() == b"\r\n"
        return content

    def answer(self, status: int, headers: dict[str, str] | None = None, content: bytes = b"") -> None:
        self.server.calls.append(f"{self.command} {status}")
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        assert self.headers["Authorization"] == TOKEN
        assert self.headers["Content-Length"] == "0"
        name = f"/up/{len(self.server.uploads)}"
        self.server.uploads[name] = b""
        self.answer(202, {"Location": f"http://{self.headers['Host']}{name}?_state=1"})

    def do_PATCH(self) -> None:
        name = self.path.partition("?")[0]
        self.server.uploads[name] += self.body()
        self.answer(202, {"Location": f"{name}?_state=2"})

    def do_PUT(self) -> None:
        if "/manifests/" in self.path:
            self.server.manifests[self.path] = self.body()
            return self.answer(201)
        path, _, query = self.path.partition("?")
        content = self.server.uploads.pop(path) + self.body()
        digest = query.partition("digest=")[2]
        if digest != f"sha256:{hashlib.sha256(content).hexdigest()}":
            return self.answer(400, content=b"DIGEST_INVALID")
        self.server.blobs[digest] = content
        return self.answer(201)

    def do_HEAD(self) -> None:
        self.answer(200 if self.path.rpartition("/")[2] in self.server.blobs else 404)

    def do_GET(self) -> None:
        if self.path == "/chunked":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"5;ext=1\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: x\r\n\r\n")
        else:
            self.answer(200, content=self.server.blobs[self.path.rpartition("/")[2]])


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def connection(registry: Registry) -> Iterator[Connection]:
    with Connection("127.0.0.1", registry.server_port, {"Authorization": TOKEN}) as opened:
        yield opened


@pytest.fixture
def payloads(tmp_path: Path) -> Iterator[PayloadFactory]:
    with PayloadFactory(tmp_path / "payload", 3) as factory:
        yield factory


def test_chunked_push_arrives_whole(connection: Connection, registry: Registry, payloads: PayloadFactory) -> None:
    payload = payloads.blob(3)
    push_chunked(connection, "a/b", payload)
    assert len(registry.blobs[payload.digest]) == 3 * MIB
    assert registry.calls == ["POST 202", "PATCH 202", "PUT 201"]


def test_monolithic_push_and_checked_download(
    connection: Connection, registry: Registry, payloads: PayloadFactory
) -> None:
    payload = payloads.blob(2)
    push_monolithic(connection, "a/b", payload)
    assert registry.calls == ["POST 202", "PUT 201"]
    target = f"/v2/a/b/blobs/{payload.digest}"
    assert connection.download(target, bytearray(1000), checked=payload.digest) == 2 * MIB
    assert connection.download(target, bytearray(1000)) == 2 * MIB
    with pytest.raises(ProtocolError, match="instead of sha256:beef"):
        connection.download(target, bytearray(1000), checked="sha256:beef")


def test_blobs_differ_in_their_tail_alone(payloads: PayloadFactory) -> None:
    first, second = payloads.blob(1), payloads.blob(1)
    assert first.size == second.size == MIB
    assert first.digest != second.digest
    content = first.mapped[: first.file_bytes] + first.tail
    assert first.digest == f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_image_push_makes_every_call_on_one_connection(connection: Connection, registry: Registry) -> None:
    image = make_image(lambda length: bytes([len(registry.calls) % 256]) * length, 1, 5000)
    push_image(connection, "a/b", "latest", image)
    assert registry.manifests == {"/v2/a/b/manifests/latest": image.manifest}
    assert set(registry.blobs) == {image.layers[0].digest, image.config.digest}
    one = ["HEAD 404", "POST 202", "PATCH 202", "PUT 201"]
    assert registry.calls == [*one, *one, "PUT 201"]
    push_image(connection, "a/b", "latest", image)
    assert registry.calls[9:] == ["HEAD 200", "HEAD 200", "PUT 201"]


def test_chunked_answer_with_trailer(connection: Connection) -> None:
    assert connection.request("GET", "/chunked").body == b"hello!"
    assert connection.request("GET", "/chunked").body == b"hello!"


def test_unexpected_status_shows_the_body() -> None:
    with pytest.raises(ProtocolError, match="status 400 instead of 201 or 202: DIGEST_INVALID"):
        Response(400, {}, b"DIGEST_INVALID").expect(201, 202)


def test_head_of_an_answer() -> None:
    assert parse_head(b"HTTP/1.1 404 Not Found\r\nContent-TYPE:  a:b ") == (404, {"content-type": "a:b"})


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("http://127.0.0.1:5000/v2/a?x=1", "/v2/a?x=1"),
        ("https://host/v2/a", "/v2/a"),
        ("/v2/a?next=http://x/", "/v2/a?next=http://x/"),
    ],
)
def test_target_of_a_location(location: str, target: str) -> None:
    assert target_of(location) == target


def test_digest_goes_behind_the_state() -> None:
    assert with_digest("/u?_state=1", "sha256:ab") == "/u?_state=1&digest=sha256:ab"
    assert with_digest("/u", "sha256:ab") == "/u?digest=sha256:ab"
