from __future__ import annotations

import os
import socket
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import httpx
import pytest

from matou.registry.observe import debug_server
from matou.registry.observe.board import Board
from matou.registry.observe.debug_server import DebugAddressError, DebugServer, Endpoints, debug_address
from matou.system.addresses import TcpAddress
from tests.servers.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize("addr", ["127.0.0.1:5001", "localhost:5001", "[::1]:5001", "127.8.9.1:5001"])
def test_loopback(addr: str) -> None:
    assert debug_address(addr, {}).port == 5001


@pytest.mark.parametrize("addr", [":5001", "0.0.0.0:5001", "[::]:5001", "192.0.2.1:5001", "10.1.2.3:5001"])
def test_addresses_that_others_reach_must_be_wanted(addr: str) -> None:
    for environment in ({}, {"MATOU_DEBUG_PUBLIC": ""}, {"MATOU_DEBUG_PUBLIC": "0"}):
        with pytest.raises(DebugAddressError, match="use localhost:5001, or set MATOU_DEBUG_PUBLIC=1"):
            debug_address(addr, environment)
    assert debug_address(addr, {"MATOU_DEBUG_PUBLIC": "1"}).port == 5001


@pytest.mark.parametrize("addr", ["5001", "localhost", "localhost:http", "localhost:99999", "no.such.host.invalid:1"])
def test_no_address(addr: str) -> None:
    with pytest.raises(DebugAddressError, match=r"http\.debug\.addr is"):
        debug_address(addr, {})


class Rig:
    def __init__(self, metrics_path: str = "/metrics") -> None:
        self.board = Board(2)
        self.place = self.board.places[0]
        self.server = DebugServer(TcpAddress("127.0.0.1", 0), Endpoints(self.board, metrics_path, "filesystem"))
        self.server.start()

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        url = f"http://127.0.0.1:{self.server.server_address[1]}{path}"
        return httpx.request(method, url, headers=headers, timeout=30, trust_env=False)

    def run_worker(self) -> None:
        """Do what a worker does, once."""
        self.place.begin(os.getpid())
        self.follow()

    def follow(self) -> None:
        self.place.report({"manual_http_status": "manual Check"} if self.place.is_down() else {})


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.server.stop()


def test_health_without_workers(rig: Rig) -> None:
    answer = rig.ask("GET", "/debug/health")
    assert (answer.status_code, answer.json()) == (503, {"workers": "no worker process runs"})


def test_health(rig: Rig) -> None:
    rig.run_worker()
    answer = rig.ask("GET", "/debug/health")
    assert (answer.status_code, answer.json()) == (200, {})
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    rig.place.report({"disk": "broken"})
    answer = rig.ask("GET", "/debug/health")
    assert (answer.status_code, answer.json()) == (503, {"disk": "broken"})


def test_a_worker_that_hangs(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.run_worker()
    monkeypatch.setattr(debug_server, "LONGEST_SILENCE", 0.01)
    time.sleep(0.02)
    answer = rig.ask("GET", "/debug/health")
    assert answer.status_code == 503
    assert list(answer.json()) == [f"worker {os.getpid()}"]


def is_told(rig: Rig, *, is_down: bool) -> bool:
    return rig.place.is_down() == is_down


def test_down_and_up_wait_for_the_workers(rig: Rig) -> None:
    rig.run_worker()
    answers: list[httpx.Response] = []
    for path, status in (("/debug/health/down", 503), ("/debug/health/up", 200)):
        thread = threading.Thread(target=lambda path=path: answers.append(rig.ask("POST", path)))
        thread.start()
        wait_until(partial(is_told, rig, is_down=status == 503))
        assert thread.is_alive(), "the worker does not know of it yet"
        rig.follow()
        thread.join()
        assert answers[-1].status_code == 200
        assert rig.ask("GET", "/debug/health").status_code == status


def test_a_worker_that_takes_no_note(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debug_server, "DOWN_TIMEOUT", 0.05)
    rig.run_worker()
    assert rig.ask("POST", "/debug/health/down").status_code == 504


def test_web_pages_may_not(rig: Rig) -> None:
    rig.run_worker()
    answer = rig.ask("POST", "/debug/health/down", {"Origin": "http://evil.example"})
    assert answer.status_code == 403
    assert not rig.board.is_down


@pytest.mark.parametrize("path", ["/metrics", "/debug/metrics"])
def test_metrics(rig: Rig, path: str) -> None:
    answer = rig.ask("GET", path)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "registry_http_requests_total" in answer.text
    newer = rig.ask("GET", path, {"Accept": "application/openmetrics-text; version=1.0.0"})
    assert newer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert newer.text.endswith("# EOF\n")


def test_path_of_the_metrics() -> None:
    rig = Rig("/other")
    try:
        assert rig.ask("GET", "/other").status_code == 200
        assert rig.ask("GET", "/metrics").status_code == 404
    finally:
        rig.server.stop()


def test_no_metrics() -> None:
    rig = Rig("")
    try:
        assert {rig.ask("GET", path).status_code for path in ("/metrics", "/debug/metrics")} == {404}
        assert rig.ask("GET", "/debug/health").status_code == 503
    finally:
        rig.server.stop()


def test_other_requests(rig: Rig) -> None:
    assert rig.ask("GET", "/").status_code == 404
    assert rig.ask("GET", "/debug/health/down").status_code == 405
    assert rig.ask("POST", "/debug/health").status_code == 405
    assert not rig.board.is_down
    answer = rig.ask("HEAD", "/debug/vars")
    assert (answer.status_code, answer.content) == (200, b"")


def test_an_address_that_is_taken(rig: Rig) -> None:
    port = int(rig.server.server_address[1])
    with pytest.raises(DebugAddressError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
        DebugServer(TcpAddress("127.0.0.1", port), Endpoints(rig.board, "", "filesystem"))


def test_too_many_connections(rig: Rig) -> None:
    port = rig.server.server_address[1]
    waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(debug_server.CONNECTIONS)]
    try:
        with pytest.raises(httpx.TransportError):
            rig.ask("GET", "/debug/vars")
    finally:
        for connection in waiting:
            connection.close()
    deadline = time.monotonic() + 30
    while True:
        try:
            assert rig.ask("GET", "/debug/vars").status_code == 200
        except httpx.TransportError:
            assert time.monotonic() < deadline
        else:
            return


def test_a_bug_is_logged(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.server.endpoints.routes["GET", "/bug"] = lambda _: 1 / 0  # type: ignore[assignment,return-value]  # the bug
    assert rig.ask("GET", "/bug").status_code == 500
    assert "ZeroDivisionError" in caplog.text
