"""The registries under test: their configuration, start on one processor, and stop by process id."""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import signal
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

from bench.client import Connection
from bench.ports import HOST, free_port
from bench.procfs import process_tree
from bench.tokens import ISSUER, SERVICE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.backends import Backend

START_SECONDS = 900  # a registry may index 100,000 tags before it answers
STOP_SECONDS = 20
_OK, _UNAUTHORIZED = 200, 401


class ServerError(Exception):
    """A registry did not start, or ended by itself."""


@dataclass(frozen=True)
class Candidate:
    """A registry that takes part.

    ``command`` is its command line; ``{config}`` stands for a config.yml of Distribution, ``{port}`` for the port and
    ``{root}`` for the directory of its content.
    """

    name: str
    command: str

    @property
    def has_auth(self) -> bool:
        """Whether it can be told, through config.yml, to want tokens."""
        return "{config}" in self.command

    @classmethod
    def parse(cls, text: str) -> Candidate:
        """Read ``NAME=COMMAND``.

        Raises:
            ValueError: the text has another form, or the command neither {config} nor {port}.
        """
        name, separator, command = text.partition("=")
        if not separator or not name.strip() or not command.strip():
            raise ValueError(f"{text!r}: expected NAME=COMMAND, as in 'v3=/opt/registry serve {{config}}'")
        if "{config}" not in command and "{port}" not in command:
            raise ValueError(f"{text!r}: the command has neither {{config}} nor {{port}}, so it cannot be given a port")
        return cls(name.strip(), command.strip())


def render_configuration(backend: Backend, root: Path, port: int, bundle: Path | None) -> str:
    """Return the config.yml that every registry of a run is given; ``bundle`` switches token authentication on."""
    configuration: dict[str, object] = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {
            **backend.section(root),
            "cache": {"blobdescriptor": "inmemory"},
            "delete": {"enabled": True},
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        "http": {"addr": f"{HOST}:{port}", "secret": "bench"},
    }
    if bundle:
        configuration["auth"] = {
            "token": {
                "realm": f"http://{HOST}:1/token",
                "service": SERVICE,
                "issuer": ISSUER,
                "rootcertbundle": str(bundle),
            }
        }
    return yaml.safe_dump(configuration, sort_keys=False)


@dataclass
class Server:
    """A running registry."""

    candidate: Candidate
    root: Path
    port: int
    process: subprocess.Popen[bytes]
    log: Path
    headers: dict[str, str] = field(default_factory=dict)  # every request carries them: the token
    start_seconds: float = 0.0

    @property
    def name(self) -> str:
        """The candidate's name."""
        return self.candidate.name

    @property
    def pid(self) -> int:
        """The process at the root of its tree."""
        return self.process.pid

    def connect(self) -> Connection:
        """Return a new connection whose requests carry the token."""
        return Connection(HOST, self.port, self.headers)

    def check_alive(self) -> None:
        """Raise ``ServerError`` with the end of its log when it has ended."""
        if self.process.poll() is not None:
            raise ServerError(
                f"{self.name} ended with status {self.process.returncode}; its log ends: {_tail(self.log)}"
            )


def _tail(log: Path, lines: int = 5) -> str:
    with contextlib.suppress(OSError):
        return " | ".join(log.read_text(errors="replace").splitlines()[-lines:]) or "(empty)"
    return "(no log)"


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """Let what this thread starts inside the block inherit one processor."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def start(
    candidate: Candidate,
    backend: Backend,
    root: Path,
    work: Path,
    core: int,
    bundle: Path | None,
    headers: dict[str, str],
) -> Server:
    """Start a registry on processor ``core`` and wait until it answers.

    Args:
        candidate: what to start.
        backend: where its content lies.
        root: directory of its content.
        work: directory for its configuration and log.
        core: the processor that all its threads and children run on.
        bundle: certificates of its token issuer, or None for no authentication.
        headers: sent with every request to it.

    Raises:
        ServerError: it cannot be run, ended, or did not answer in time.
    """
    root.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = work / f"{candidate.name}-{port}.yml"
    config.write_text(render_configuration(backend, root, port, bundle))
    places = {"config": str(config), "port": str(port), "root": str(root)}
    command = [word.format_map(places) for word in shlex.split(candidate.command)]
    log = work / f"{candidate.name}-{port}.log"
    # Keys and certificates of whoever runs the benchmarks are not for the servers' storage.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment = inherited | {
        "MATOU_REGISTRY_WORKERS": "1",
        "MATOU_REGISTRY_STATE": str(work / "state"),
        "GOMAXPROCS": "1",
        "OTEL_TRACES_EXPORTER": "none",
    }
    began = time.perf_counter()
    try:
        with log.open("wb") as output, pinned(core):
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, cwd=work
            )
    except OSError as error:
        raise ServerError(f"{candidate.name} cannot be run: {error}") from error
    server = Server(candidate, root, port, process, log, headers)
    try:
        _await_answer(server)
    except BaseException:
        stop(server)
        raise
    server.start_seconds = time.perf_counter() - began
    return server


def _await_answer(server: Server) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        server.check_alive()
        with contextlib.suppress(OSError), server.connect() as connection:
            status = connection.request("GET", "/v2/").status
            if status in {_OK, _UNAUTHORIZED}:
                return
            raise ServerError(f"{server.name} answered {status} to GET /v2/")
        time.sleep(0.02)
    raise ServerError(f"{server.name} did not answer within {START_SECONDS} s; its log ends: {_tail(server.log)}")


def stop(server: Server) -> None:
    """End the registry and every process of its tree, by their ids, and wait until they are gone."""
    descendants = []
    for process in process_tree(server.pid)[1:]:
        with contextlib.suppress(ProcessLookupError):
            descendants.append(os.pidfd_open(process.pid))  # stays with the process, whoever gets its number later
    server.process.terminate()
    try:
        server.process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait()
    for descriptor in descendants:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)  # a worker that outlived its parent
        select.select([descriptor], [], [], STOP_SECONDS)
        os.close(descriptor)
