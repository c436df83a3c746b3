from __future__ import annotations

import asyncio
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from matou.registry.drivers.base import Stat, StorageError
from matou.registry.drivers.filesystem import FilesystemDriver
from matou.registry.drivers.inmemory import InMemoryDriver
from matou.registry.observe import checks
from matou.registry.observe.checks import FileCheck, HttpCheck, StorageCheck, TcpCheck, Unhealthy
from tests.servers.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matou.registry.observe.checks import Check


def result(check: Check) -> str:
    """Return why it is unhealthy, "" when it is not."""
    try:
        asyncio.run(check.run())
    except Unhealthy as reason:
        return str(reason)
    return ""


class BrokenDriver(InMemoryDriver):
    def __init__(self, hang: float = 0.0) -> None:
        super().__init__()
        self._hang = hang

    async def stat(self, path: str) -> Stat:
        await asyncio.sleep(self._hang)
        raise StorageError(f"input/output error at {path!r}")


def test_storage(tmp_path: Path) -> None:
    check = StorageCheck(FilesystemDriver(tmp_path), "filesystem")
    assert check.name == "storagedriver_filesystem"
    assert result(check) == ""


def test_storage_that_is_empty_is_well(tmp_path: Path) -> None:
    assert result(StorageCheck(FilesystemDriver(tmp_path / "missing"), "filesystem")) == ""
    assert result(StorageCheck(InMemoryDriver(), "inmemory")) == ""


def test_storage_that_fails() -> None:
    assert "input/output error" in result(StorageCheck(BrokenDriver(), "inmemory"))


def test_storage_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "DEFAULT_TIMEOUT", 0.01)
    assert "did not answer" in result(StorageCheck(BrokenDriver(hang=60), "inmemory"))


def test_file(tmp_path: Path) -> None:
    check = FileCheck(str(tmp_path / "out-of-service"))
    assert result(check) == ""
    (tmp_path / "out-of-service").touch()
    assert result(check) == "file exists"


def test_tcp() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert result(TcpCheck(f"127.0.0.1:{port}", 5)) == ""
    assert result(TcpCheck(f"127.0.0.1:{port}", 5)) == f"connection to 127.0.0.1:{port} failed"


@pytest.mark.parametrize("addr", ["no port", "127.0.0.1:99999999", "no.such.host.invalid:1"])
def test_tcp_addresses_that_cannot_be(addr: str) -> None:
    assert result(TcpCheck(addr, 5)) == f"connection to {addr} failed"


class Web(BaseHTTPRequestHandler):
    asked: list[tuple[str, str, str | None]]

    def do_HEAD(self) -> None:
        self.server.asked.append((self.command, self.path, self.headers.get("X-Probe")))  # type: ignore[attr-defined]
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/status/200")
        elif self.path == "/hang":
            self.server.hang.wait(30)  # type: ignore[attr-defined]
            self.send_response(200)
        else:
            self.send_response(int(self.path.rpartition("/")[2]))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


class WebServer(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Web)
        self.asked: list[tuple[str, str, str | None]] = []
        self.hang = threading.Event()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with WebServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.hang.set()
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("path", "wanted", "expected"),
    [
        ("/status/200", 0, ""),
        ("/status/204", 204, ""),
        ("/status/503", 503, ""),
        ("/moved", 200, ""),
        ("/status/204", 0, "downstream service returned unexpected status: 204"),
        ("/status/503", 200, "downstream service returned unexpected status: 503"),
    ],
)
def test_http(web: WebServer, path: str, wanted: int, expected: str) -> None:
    check = HttpCheck(web.url(path), wanted, {"X-Probe": ("a", "b")}, 10)
    assert result(check) == expected
    assert {(method, probe) for method, _, probe in web.asked} == {("HEAD", "a, b")}


def test_http_that_hangs(web: WebServer) -> None:
    assert "timed out" in result(HttpCheck(web.url("/hang"), 200, {}, 0.05))


def test_http_that_is_not_there() -> None:
    reason = result(HttpCheck(f"http://user:hunter2@127.0.0.1:{free_port()}/", 200, {}, 5))
    assert reason
    assert "hunter2" not in reason


def test_http_name_keeps_no_password() -> None:
    assert HttpCheck("https://user:hunter2@x.example/", 200, {}, 1).name == "https://user:REDACTED@x.example/"


def test_http_schemes() -> None:
    with pytest.raises(ValueError, match="expected http://"):
        HttpCheck("file:///etc/passwd", 200, {}, 1)
