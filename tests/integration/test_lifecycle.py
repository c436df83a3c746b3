"""Stopping gracefully, and what follows when processes die: OPS-5."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.hub import Hub
from tests.registry_http.content import Blob, blob, digest_of
from tests.servers.matou_registry import MatouRegistry, running_registry
from tests.servers.matou_serve import descendants, is_zombie
from tests.servers.program import MATOU
from tests.servers.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "team/app"
PATIENCE = 60.0  # seconds
DRAIN = 300  # seconds: far more than any of these tests may take


class Exchange:
    """A request that is sent, and an answer that is read, as slowly as a test wants.

    Args:
        registry: that is asked.
        head: request line and headers, without the empty line.
    """

    def __init__(self, registry: MatouRegistry, *head: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", registry.port), timeout=PATIENCE)
        self.send("\r\n".join((*head, f"Host: {registry.address}", "", "")).encode())

    def send(self, content: bytes) -> None:
        self._socket.sendall(content)

    def receive(self, size: int) -> bytes:
        """Return so many bytes, or fewer when the other side closes the connection."""
        content = b""
        while len(content) < size:
            piece = self._socket.recv(min(size - len(content), 1 << 16))
            if not piece:
                break
            content += piece
        return content

    def receive_head(self) -> str:
        """Return the status line and the headers."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self._socket.recv(1)
            assert byte, head
            head += byte
        return head.decode()

    def close(self) -> None:
        self._socket.close()


def slow_push(registry: MatouRegistry, content: Blob, upload: str) -> Exchange:
    """Send the first half of a blob."""
    exchange = Exchange(registry, f"PATCH {upload} HTTP/1.1", f"Content-Length: {len(content.content)}")
    exchange.send(content.content[: len(content.content) // 2])
    return exchange


def is_refused(registry: MatouRegistry) -> bool:
    try:
        socket.create_connection(("127.0.0.1", registry.port), timeout=PATIENCE).close()
    except ConnectionRefusedError:
        return True
    return False


def begun(hub: Hub) -> str:
    """Begin an upload and return its path."""
    answer = hub.ask("POST", f"/v2/{NAME}/blobs/uploads/")
    assert answer.status_code == 202
    return str(answer.headers["location"]).removeprefix(hub.url)


@contextlib.contextmanager
def running(folder: Path, drain: int = DRAIN) -> Iterator[tuple[MatouRegistry, Hub]]:
    sections: dict[str, Any] = {"http": {"draintimeout": f"{drain}s"}}
    with running_registry(folder, sections) as registry, contextlib.closing(Hub(registry.url)) as hub:
        yield registry, hub


def wait_for_exit(process: subprocess.Popen[bytes]) -> int:
    return process.wait(PATIENCE)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_requests_in_flight_end_and_new_ones_are_refused(number: signal.Signals, tmp_path: Path) -> None:
    with running(tmp_path) as (registry, hub):
        large = hub.push_blob(NAME, blob(20_000_000))
        pushed = blob(5_000_000)
        assert hub.ask("GET", "/v2/").status_code == 200  # and the connection stays open, idle
        push = slow_push(registry, pushed, begun(hub))
        pull = Exchange(registry, f"GET /v2/{NAME}/blobs/{large.digest} HTTP/1.1")
        assert pull.receive_head().startswith("HTTP/1.1 200 ")
        received = pull.receive(100_000)
        process = registry.process
        assert process is not None
        process.send_signal(number)
        wait_until(lambda: is_refused(registry))
        assert process.poll() is None
        push.send(pushed.content[len(pushed.content) // 2 :])
        head = push.receive_head()
        assert head.startswith("HTTP/1.1 202 "), head
        received += pull.receive(len(large.content))
        assert digest_of(received) == large.digest
        pull.close()
        push.close()
        assert wait_for_exit(process) == 0
        registry.process = None
        assert registry.tracebacks() == []
        # What was pushed is there, and is finished after the restart.
        registry.start()
        location = next(line for line in head.splitlines() if line.lower().startswith("location:")).split(": ", 1)[1]
        answer = hub.ask("PUT", f"{location}&digest={pushed.digest}")
        assert answer.status_code == 201, answer.text
        assert hub.get(f"/v2/{NAME}/blobs/{pushed.digest}").body == pushed.content


def test_the_second_signal_ends_everything_at_once(tmp_path: Path) -> None:
    with running(tmp_path) as (registry, hub):
        push = slow_push(registry, blob(1_000_000), begun(hub))
        process = registry.process
        assert process is not None
        pids = descendants(process.pid)
        process.terminate()
        wait_until(lambda: is_refused(registry))
        assert process.poll() is None
        process.terminate()
        assert wait_for_exit(process) == 0
        push.close()
        registry.process = None
        wait_until(lambda: all(is_zombie(pid) for pid in pids))


def test_the_drain_time_ends(tmp_path: Path) -> None:
    with running(tmp_path, drain=1) as (registry, hub):
        push = slow_push(registry, blob(1_000_000), begun(hub))
        process = registry.process
        assert process is not None
        process.terminate()
        assert wait_for_exit(process) == 0
        push.close()
        registry.process = None


def test_ctrl_c_reaches_all_processes_of_a_terminal_and_is_no_failure(tmp_path: Path) -> None:
    with running(tmp_path) as (registry, _hub):
        process = registry.process
        assert process is not None
        for pid in (*registry.worker_pids(), process.pid):
            os.kill(pid, signal.SIGINT)
        assert wait_for_exit(process) == 0
        registry.process = None
        assert registry.tracebacks() == []


def test_a_worker_that_dies_is_replaced_again_and_again(tmp_path: Path) -> None:
    with running(tmp_path) as (registry, hub):
        image = hub.push_image(NAME, "t")
        for _ in range(4):
            wait_until(lambda: len(registry.worker_pids()) == 2)
            before = set(registry.worker_pids())
            os.kill(min(before), signal.SIGKILL)
            wait_until(lambda before=before: len(set(registry.worker_pids()) - before) == 1)  # type: ignore[misc] # early binding
            wait_until(lambda: len(registry.worker_pids()) == 2)
        answers = []
        for _ in range(20):  # new connections, to both
            with contextlib.closing(Hub(registry.url)) as other:
                answers += [answer.status for answer in other.snapshot(image.paths("t")).values()]
        assert set(answers) == {200}
        assert registry.log.read_text().count("was ended by SIGKILL; replacing it") == 4


def test_no_worker_outlives_the_parent(tmp_path: Path) -> None:
    with running(tmp_path) as (registry, hub):
        image = hub.push_image(NAME, "t")
        registry.kill(parent_only=True)
        assert is_refused(registry)
        registry.start()
        assert {answer.status for answer in hub.snapshot(image.paths("t")).values()} == {200}


STARTING_WORKER = """
import asyncio, os, signal, sys
from pathlib import Path
import uvloop
from matou.config.distribution import load_configuration
from matou.registry.files import registry_files
from matou.registry.worker import Worker

configuration = load_configuration(Path(sys.argv[1]), {})
with registry_files(configuration) as files:
    # As Granian does it, with a signal in between.
    worker = Worker(configuration, files, os.getppid())
    loop, stop = uvloop.new_event_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    os.kill(os.getpid(), signal.SIGTERM)
    worker.__rsgi_init__(loop)
    loop.run_until_complete(asyncio.wait_for(stop.wait(), 30))
    worker.__rsgi_del__(loop)
print("heard")
"""


def test_a_signal_during_the_start_of_a_worker_is_not_forgotten(tmp_path: Path) -> None:
    configuration = tmp_path / "config.yml"
    configuration.write_text(
        f"{{version: 0.1, storage: {{filesystem: {{rootdirectory: {tmp_path}}}}}, http: {{addr: '127.0.0.1:1'}}}}"
    )
    subprocess.run([MATOU, "registry", "reindex", configuration], check=True, capture_output=True)
    done = subprocess.run(
        [sys.executable, "-c", STARTING_WORKER, configuration], capture_output=True, text=True, check=False
    )
    assert done.stdout.endswith("heard\n"), done.stderr
