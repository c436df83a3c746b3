"""``matou serve`` as a person starts it: a state directory, two ports, a signal at the end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from tests.servers.ports import free_port
from tests.servers.program import MATOU, environment
from tests.servers.waiting import answers, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT_PASSWORD = "wharf-and-harbour-92"
START_SECONDS = 90.0
STOP_SECONDS = 60.0


class MatouServe:
    """An installation that can be started and ended again and again.

    Args:
        home: its state.
        workers: processes of the registry.
    """

    def __init__(self, home: Path, workers: int = 2) -> None:
        self.home = home
        self.portal_port = free_port()
        self.registry_port = free_port()
        while self.registry_port == self.portal_port:
            self.registry_port = free_port()
        self.environment = environment(
            MATOU_HOME=str(home),
            MATOU_PORTAL_ADDR=self.portal_address,
            MATOU_REGISTRY_ADDR=self.registry,
            MATOU_REGISTRY_WORKERS=str(workers),
            MATOU_ROOT_PASSWORD=ROOT_PASSWORD,
            PYTHONUNBUFFERED="1",
        )
        self.log = home.parent / f"{home.name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def portal_address(self) -> str:
        return f"127.0.0.1:{self.portal_port}"

    @property
    def portal(self) -> str:
        return f"http://{self.portal_address}"

    @property
    def registry(self) -> str:
        return f"127.0.0.1:{self.registry_port}"

    def start(self) -> None:
        """Start it and wait until both servers answer."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [MATOU, "serve"], env=self.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        wait_until(
            lambda: answers(f"{self.portal}/-/readiness", 200) and answers(f"http://{self.registry}/v2/", 401),
            START_SECONDS,
            process=self.process,
            log=self.log,
        )

    def tail(self) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace")[-4000:]

    def stop(self) -> int:
        """End it as a person does; return its exit status."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            for pid in self.tree():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()
            raise
        finally:
            self.process = None

    def kill(self) -> None:
        """End all of its processes at once, as a power cut does."""
        assert self.process is not None
        pids = self.tree()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process = None
        wait_until(lambda: all(map(is_zombie, pids)), STOP_SECONDS)

    def tree(self) -> list[int]:
        """Return the ids of all its processes, its own first."""
        assert self.process is not None
        return [self.process.pid, *descendants(self.process.pid)]

    def matou(self, *arguments: str, stdin: str = "") -> str:
        """Run a command of ours on the same state; return what it printed."""
        done = subprocess.run(
            [MATOU, *arguments], env=self.environment, input=stdin, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"matou {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout.strip()


class Administrator:
    """The REST API as root."""

    def __init__(self, server: MatouServe) -> None:
        token = server.matou("admin", "create-token", "root", "--scope", "api")
        self._client = httpx.Client(
            base_url=f"{server.portal}/api/v4", headers={"PRIVATE-TOKEN": token}, timeout=30, trust_env=False
        )

    def close(self) -> None:
        self._client.close()

    def ask(self, method: str, path: str, **values: Any) -> Any:
        """Return the JSON of a request that must succeed."""
        answer = self._client.request(method, path, json=values or None)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.status_code != HTTPStatus.NO_CONTENT else None


def descendants(pid: int) -> list[int]:
    """Return the ids of the processes below one."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *descendants(int(child))]
    return found


def is_zombie(pid: int) -> bool:
    """Tell whether a process has ended and waits for its parent to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in {"Z", "X"}
    except OSError:
        return True


@contextlib.contextmanager
def running(home: Path, workers: int = 2) -> Iterator[MatouServe]:
    """Yield a running installation; end it afterwards."""
    server = MatouServe(home, workers)
    try:
        server.start()
        yield server
    finally:
        server.stop()
