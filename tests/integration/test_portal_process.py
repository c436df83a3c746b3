"""The portal's process alone: how it ends, and what it does where it cannot begin."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.servers.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORM = b"grant_type=password&username=root&password=wharf-and-harbour-92"
HEAD = (
    b"POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: %d\r\n\r\n"
)
PATIENCE = 60.0


def environment(home: Path, address: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MATOU_")}
    return kept | {"MATOU_HOME": str(home), "MATOU_PORTAL_ADDR": address, "MATOU_ROOT_PASSWORD": "wharf-and-harbour-92"}


def command(module: str) -> list[str]:
    return [sys.executable, "-m", f"matou.supervisor.{module}", str(os.getpid())]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("portal") / "home"
    subprocess.run(command("prepare_process"), env=environment(home, "127.0.0.1:1"), check=True)
    return home


class Portal:
    """A running process."""

    def __init__(self, home: Path, host: str = "127.0.0.1") -> None:
        self.port = free_port()
        self.host = host
        self.log = home.parent / f"{self.port}.log"
        address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                command("portal_process"), env=environment(home, address), stdout=output, stderr=output
            )
        deadline = time.monotonic() + PATIENCE
        while not self._answers(f"http://{address}/-/readiness"):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    @staticmethod
    def _answers(url: str) -> bool:
        try:
            return httpx.get(url, timeout=5, trust_env=False).is_success
        except httpx.TransportError:
            return False

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=PATIENCE)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def portal(home: Path) -> Iterator[Portal]:
    started = Portal(home)
    try:
        yield started
    finally:
        started.kill()


def receive(connection: socket.socket) -> bytes:
    answer = b""
    while piece := connection.recv(65536):
        answer += piece
    return answer


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_in_flight_gets_to_end(portal: Portal, number: signal.Signals) -> None:
    with portal.connect() as connection:
        connection.sendall(HEAD % len(FORM) + FORM[:10])
        time.sleep(0.3)  # until it is taken
        portal.process.send_signal(number)
        time.sleep(0.3)
        assert portal.process.poll() is None
        connection.sendall(FORM[10:])
        answer = receive(connection)
    assert answer.startswith(b"HTTP/1.1 200 OK"), answer
    assert b"access_token" in answer
    assert portal.process.wait(PATIENCE) == 0
    assert "msg=stopped" in portal.log.read_text()


def test_idle_connections_hold_nothing_up(portal: Portal) -> None:
    with portal.connect() as silent, portal.connect() as kept:
        kept.sendall(b"GET /-/liveness HTTP/1.1\r\nHost: x\r\n\r\n")
        assert kept.recv(65536).startswith(b"HTTP/1.1 200")
        portal.process.terminate()
        assert portal.process.wait(20) == 0
        assert silent.recv(1) == b""


def test_no_new_requests_after_the_signal(portal: Portal) -> None:
    with portal.connect() as busy:
        busy.sendall(HEAD % len(FORM) + FORM[:10])
        time.sleep(0.3)
        portal.process.terminate()
        time.sleep(0.5)
        assert not Portal._answers(f"http://127.0.0.1:{portal.port}/-/liveness")
    assert portal.process.wait(PATIENCE) == 0


def test_ipv6(home: Path) -> None:
    portal = Portal(home, "::1")
    portal.process.terminate()
    assert portal.process.wait(PATIENCE) == 0


def test_a_port_that_is_taken(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = subprocess.run(
            command("portal_process"),
            env=environment(home, address),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 1
    assert f"matou: the portal cannot listen on {address}: " in done.stderr
    assert "Traceback" not in done.stderr
