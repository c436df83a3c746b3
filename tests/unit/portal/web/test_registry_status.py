from __future__ import annotations

import http.server
import threading
from typing import TYPE_CHECKING

import pytest

from matou.portal.web import registry_status
from matou.portal.web.registry_status import FRESH, RegistryStatus, State, ask
from tests.servers.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator


class Registry(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        is_ours = self.path == "/v2/" and self.headers["Authorization"].startswith("Bearer ey")
        self.send_response(self.server.status if is_ours else 404)  # type: ignore[attr-defined] # ours
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class names it so
        del format, args


@pytest.fixture
def registry() -> Iterator[http.server.HTTPServer]:
    with http.server.HTTPServer(("127.0.0.1", 0), Registry) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "state"),
    [(200, State.RUNNING), (401, State.DISTRUSTFUL), (500, State.UNREACHABLE), (404, State.UNREACHABLE)],
)
def test_what_the_registry_says(registry: http.server.HTTPServer, status: int, state: State) -> None:
    registry.status = status  # type: ignore[attr-defined] # read by the handler
    assert ask(f"127.0.0.1:{registry.server_port}") == state
    assert ask(f"0.0.0.0:{registry.server_port}") == state


@pytest.mark.parametrize("address", ["127.0.0.1:{free}", "[::1]:{free}", "no-such-host.invalid:5000"])
def test_a_registry_that_is_not_there(address: str) -> None:
    assert ask(address.format(free=free_port())) == State.UNREACHABLE


def test_it_is_asked_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([State.UNREACHABLE, State.RUNNING])
    monkeypatch.setattr(registry_status, "ask", lambda _address: next(answers))
    now = [100.0]
    status = RegistryStatus("127.0.0.1:1", clock=lambda: now[0])
    assert [status.get(), status.get()] == [State.UNREACHABLE, State.UNREACHABLE]
    now[0] += FRESH
    assert [status.get(), status.get()] == [State.RUNNING, State.RUNNING]


def test_while_one_asks_others_get_the_last_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    asking, answer = threading.Event(), threading.Event()

    def ask_slowly(_address: str) -> State:
        asking.set()
        assert answer.wait(20)
        return State.UNREACHABLE

    now = [100.0]
    status = RegistryStatus("127.0.0.1:1", clock=lambda: now[0])
    monkeypatch.setattr(registry_status, "ask", lambda _address: State.RUNNING)
    status.get()
    now[0] += FRESH
    monkeypatch.setattr(registry_status, "ask", ask_slowly)
    thread = threading.Thread(target=status.get)
    thread.start()
    assert asking.wait(20)
    assert status.get() == State.RUNNING
    answer.set()
    thread.join()
    assert status.get() == State.UNREACHABLE
