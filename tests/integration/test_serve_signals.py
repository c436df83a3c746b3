"""``matou serve`` and its signals: what make, timeout and nohup do with them must not cost a push."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.servers.matou_serve import ROOT_PASSWORD, MatouServe
from tests.servers.program import MATOU

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "team/app"
CONTENT = b"half and half"
PATIENCE = 60.0  # seconds


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MatouServe]:
    made = MatouServe(tmp_path / "home", workers=1)
    yield made
    made.stop()


def token(server: MatouServe) -> str:
    answer = httpx.get(
        f"{server.portal}/jwt/auth",
        params={"service": "container_registry", "scope": f"repository:{NAME}:pull,push"},
        auth=("root", ROOT_PASSWORD),
    )
    return str(answer.json()["token"])


@contextlib.contextmanager
def half_a_push(server: MatouServe) -> Iterator[socket.socket]:
    """Send half of a blob; yield the connection."""
    server.matou("admin", "create-project", NAME, "--visibility", "private")
    bearer = f"Bearer {token(server)}"
    begun = httpx.post(f"http://{server.registry}/v2/{NAME}/blobs/uploads/", headers={"Authorization": bearer})
    assert begun.status_code == 202
    target = begun.headers["location"].partition(server.registry)[2]
    head = f"PATCH {target} HTTP/1.1\r\nHost: {server.registry}\r\nAuthorization: {bearer}\r\n"
    with socket.create_connection(("127.0.0.1", server.registry_port), timeout=PATIENCE) as connection:
        connection.sendall(f"{head}Content-Length: {len(CONTENT)}\r\n\r\n".encode() + CONTENT[:6])
        yield connection


def log_has(server: MatouServe, text: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while text not in server.tail():
        assert time.monotonic() < deadline, server.tail()
        time.sleep(0.02)


def test_a_signal_that_arrives_twice_still_drains(server: MatouServe) -> None:
    server.start()
    process = server.process
    assert process is not None
    with half_a_push(server) as connection:
        process.send_signal(signal.SIGTERM)
        log_has(server, "stopping: SIGTERM")
        process.send_signal(signal.SIGTERM)  # as timeout does, which signals its process group, too
        time.sleep(0.3)
        connection.sendall(CONTENT[6:])
        assert connection.recv(100).startswith(b"HTTP/1.1 202 ")
        assert process.wait(PATIENCE) == 0
    assert "told again" not in server.tail()


def test_told_again_later_it_ends_at_once(server: MatouServe) -> None:
    server.start()
    process = server.process
    assert process is not None
    with half_a_push(server):
        process.send_signal(signal.SIGTERM)
        log_has(server, "stopping: SIGTERM")
        time.sleep(1.2)
        assert process.poll() is None  # it waits for the other half
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    assert "told again" in server.tail()


def test_nohup(server: MatouServe) -> None:
    with server.log.open("ab") as output:
        process = subprocess.Popen(
            ["nohup", MATOU, "serve"], env=server.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    server.process = process
    server.wait_until_ready()
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    assert httpx.get(f"{server.portal}/-/readiness").status_code == 200
    assert server.stop() == 0
