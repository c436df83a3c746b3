"""Where and how the registry listens: ``http.net``, ``http.h2c``, ``http.http2``."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING

import httpx
import pytest

from matou.system.addresses import any_host
from tests.servers.matou_registry import MatouRegistry, running_registry

if TYPE_CHECKING:
    from pathlib import Path

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = struct.pack(">I", 0)[1:] + bytes([4, 0]) + struct.pack(">I", 0)  # RFC 9113, 6.5: an empty one


def answer_to_preface(port: int) -> bytes:
    """Begin HTTP/2 as a client that knows it beforehand (RFC 9113, 3.3); return the first bytes that come back."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(PREFACE + SETTINGS)
        received = b""
        with contextlib.suppress(ConnectionError):
            while len(received) < 9 and (piece := connection.recv(100)):
                received += piece
        return received


@pytest.mark.parametrize("enabled", [True, False])
def test_http2_without_tls_only_where_it_is_enabled(enabled: bool, tmp_path: Path) -> None:
    with running_registry(tmp_path, {"http": {"h2c": {"enabled": enabled}}}, workers=1) as registry:
        assert httpx.get(f"{registry.url}/v2/", trust_env=False).status_code == 200
        answer = answer_to_preface(registry.port)
        is_settings_frame = len(answer) >= 9 and answer[3] == 4 and not answer.startswith(b"HTTP/")
        assert is_settings_frame is enabled


def test_without_a_host_ipv4_and_ipv6_are_served(tmp_path: Path) -> None:
    registry = MatouRegistry(tmp_path, workers=1)
    registry.sections = {"http": {"addr": f":{registry.port}"}}
    try:
        registry.start()
        hosts = ["127.0.0.1", "[::1]"] if any_host() == "::" else ["127.0.0.1"]
        for host in hosts:
            assert httpx.get(f"http://{host}:{registry.port}/v2/", trust_env=False).status_code == 200
    finally:
        registry.stop()
    log = registry.access_log.read_text()
    assert "127.0.0.1 - - [" in log
    assert "::ffff:" not in log


class UnixRegistry(MatouRegistry):
    """A registry at a Unix socket; it is up when the socket takes connections."""

    @property
    def socket(self) -> Path:
        return self.folder / "registry.sock"

    def get(self, path: str) -> httpx.Response:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(self.socket)), trust_env=False) as client:
            return client.get(f"http://registry.example.com{path}")

    def _is_up(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.socket))
            return True
        return False


def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "registry.sock"
    registry = UnixRegistry(tmp_path, {"http": {"net": "unix", "addr": str(path)}}, workers=2)
    for _ in range(2):  # the second time beside what the first left
        try:
            registry.start()
            assert registry.get("/v2/").json() == {}
        finally:
            registry.stop()


class AnnouncedRegistry(MatouRegistry):
    """A registry that is up when its log says so."""

    def _is_up(self) -> bool:
        return f"listening on {self.address}, workers: {self.workers}" in self.log.read_text()


def test_it_listens_when_the_log_says_so(tmp_path: Path) -> None:
    registry = AnnouncedRegistry(tmp_path)
    try:
        registry.start()
        socket.create_connection(("127.0.0.1", registry.port), timeout=10).close()
    finally:
        registry.stop()
