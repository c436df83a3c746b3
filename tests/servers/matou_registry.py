"""``matou registry serve`` as an administrator starts it: a config.yml, a port, a signal at the end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.servers.matou_serve import descendants, is_zombie
from tests.servers.ports import free_port
from tests.servers.program import MATOU, environment
from tests.servers.waiting import answers, tail, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NO_DRIVERS = {"maintenance", "cache", "delete", "redirect", "tag"}  # keys of the section storage
START_SECONDS = 60.0
STOP_SECONDS = 40.0


class MatouRegistry:
    """A registry that can be started and ended again and again.

    Args:
        folder: of its tree, configuration, log (standard error) and access log (standard output).
        sections: of config.yml; what is missing in them is added.
        workers: processes.
        variables: of its environment.
    """

    def __init__(
        self,
        folder: Path,
        sections: dict[str, Any] | None = None,
        workers: int = 2,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.workers = workers
        self.tree = folder / "tree"
        self.log = folder / "log"
        self.access_log = folder / "access_log"
        self.sections = sections or {}
        self.variables = {
            "MATOU_REGISTRY_WORKERS": str(workers),
            "MATOU_REGISTRY_STATE": str(folder / "state"),
            "PYTHONUNBUFFERED": "1",
            **(variables or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def prefix(self) -> str:
        """What comes before ``/v2``."""
        return str(self.sections.get("http", {}).get("prefix", "")).rstrip("/")

    def start(self) -> None:
        """Start it and wait until it answers."""
        configuration = self.write_configuration()
        with self.log.open("ab") as log, self.access_log.open("ab") as access_log:
            self.process = subprocess.Popen(
                [MATOU, "registry", "serve", configuration],
                env=environment(**self.variables),
                stdin=subprocess.DEVNULL,
                stdout=access_log,
                stderr=log,
            )
        wait_until(self._is_up, START_SECONDS, process=self.process, log=self.log)

    def write_configuration(self) -> Path:
        """Write its config.yml and return where."""
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = self.folder / "config.yml"
        configuration.write_text(yaml.safe_dump(self._document()))
        return configuration

    def _document(self) -> dict[str, Any]:
        document: dict[str, Any] = {"version": 0.1, "storage": {}, "http": {}} | self.sections
        storage = dict(document["storage"])
        if not set(storage) - NO_DRIVERS:
            storage["filesystem"] = {"rootdirectory": str(self.tree)}
        storage.setdefault("delete", {"enabled": True})
        http = {"addr": self.address, "secret": "of-the-tests"} | document["http"]
        return document | {"storage": storage, "http": http}

    def _is_up(self) -> bool:
        return answers(f"{self.url}/", 200)

    def tail(self) -> str:
        """Return the end of its log."""
        return tail(self.log)

    def tracebacks(self) -> list[str]:
        """Return what its log has of errors that nobody foresaw."""
        text = self.log.read_text(errors="replace")
        return [text[found.start() : found.start() + 3000] for found in re.finditer("Traceback|panicked at", text)]

    def worker_pids(self) -> list[int]:
        """Return the ids of its processes that answer requests."""
        assert self.process is not None
        return [pid for pid in descendants(self.process.pid) if _has_threads(pid)]

    def memory(self) -> int:
        """Return the resident bytes of all its workers."""
        return sum(_resident(pid) for pid in self.worker_pids())

    def stop(self) -> int:
        """End it as a person does; return its exit status."""
        if self.process is None:
            return 0
        process, self.process = self.process, None
        pids = [process.pid, *descendants(process.pid)]
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()
            raise

    def kill(self, *, parent_only: bool = False) -> None:
        """End it with SIGKILL, its parent process or all at once, and wait until none of it is left."""
        assert self.process is not None
        pids = [self.process.pid, *descendants(self.process.pid)]
        for pid in pids[:1] if parent_only else pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process = None
        wait_until(lambda: all(map(is_zombie, pids)), STOP_SECONDS)


def _has_threads(pid: int) -> bool:
    # multiprocessing's resource tracker has one.
    try:
        return not is_zombie(pid) and len(list(Path(f"/proc/{pid}/task").iterdir())) > 1
    except OSError:
        return False


def _resident(pid: int) -> int:
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


@contextlib.contextmanager
def running_registry(
    folder: Path,
    sections: dict[str, Any] | None = None,
    workers: int = 2,
    variables: Mapping[str, str] | None = None,
) -> Iterator[MatouRegistry]:
    """Yield a running registry; end it afterwards."""
    registry = MatouRegistry(folder, sections, workers, variables)
    try:
        registry.start()
        yield registry
    finally:
        registry.stop()
