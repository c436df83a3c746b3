"""What all cases share: starting the servers, giving each its turn, and metering what it uses."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bench.client import ProtocolError
from bench.load import LoadError
from bench.procfs import cpu_seconds
from bench.results import Case, Metric, Results
from bench.servers import Candidate, Server, ServerError, start, stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from bench.backends import Backend
    from bench.payload import PayloadFactory
    from bench.settings import Settings
    from bench.tokens import TokenSource

SETTLE_SECONDS = 0.05  # for what a server still does after its last answer; an idle server costs nothing meanwhile
SMALLEST_CPU = 0.01  # the clock of /proc
SCRATCH_PIECE = 1 << 20  # bytes
FORGET_SECONDS = 6.0  # ext4 does not give out an inode that was deleted within 5 seconds, and looks at all of them
FAILURES = (ProtocolError, LoadError, ServerError, OSError, ValueError, KeyError)


@dataclass
class Usage:
    """Seconds on the clock and of the processor; filled in when the metered block ends."""

    wall: float = 0.0
    cpu: float = 0.0


@dataclass
class Run:
    """One run of the benchmarks."""

    settings: Settings
    candidates: Sequence[Candidate]
    backend: Backend
    storage: Path  # content of the registries
    work: Path  # configurations, logs, keys
    tokens: TokenSource
    payloads: PayloadFactory
    server_core: int
    tell: Callable[[str], None]
    results: Results = field(default_factory=Results)
    _turn: int = 0

    def problem(self, text: str) -> None:
        """Note what went wrong; the run goes on."""
        self.results.problems.append(text)
        self.tell(f"problem: {text}")

    def touch_memory(self, size: int) -> None:
        """Have the machine give out as much memory as a turn will fill with what it writes.

        Pages that a virtual machine has never used cost it several times what writing into them does, and whoever comes
        first would pay. A file is written and deleted: its pages are the next to be used.

        Args:
            size: bytes.
        """
        scratch = self.storage / "scratch"
        piece = bytes(SCRATCH_PIECE)
        with scratch.open("wb", buffering=0) as file:
            for _ in range(0, size, SCRATCH_PIECE):
                file.write(piece)
        scratch.unlink()

    def only(self, candidate: Candidate) -> Run:
        """Return this run with one candidate; its figures go to the same results."""
        return replace(self, candidates=[candidate])

    @contextlib.contextmanager
    def servers(
        self, auth: str, repositories: Sequence[str], roots: Mapping[str, Path] | None = None
    ) -> Iterator[list[Server]]:
        """Start every candidate and stop them afterwards.

        Args:
            auth: "off" or "token"; candidates that cannot do "token" are left out.
            repositories: what the token is for.
            roots: directory of each candidate's content, kept afterwards; without it new ones, removed afterwards.
        """
        bundle, headers = None, {}
        if auth == "token":
            bundle, headers = self.tokens.bundle, {"Authorization": f"Bearer {self.tokens.token(repositories)}"}
        running: list[Server] = []
        try:
            for candidate in self.candidates:
                if bundle and not candidate.has_auth:
                    continue
                root = roots[candidate.name] if roots else self.storage / f"root-{candidate.name}"
                try:
                    running.append(start(candidate, self.backend, root, self.work, self.server_core, bundle, headers))
                except ServerError as error:
                    self.problem(str(error))
            yield running
        finally:
            for server in running:
                stop(server)
            if roots is None:
                for candidate in self.candidates:
                    shutil.rmtree(self.storage / f"root-{candidate.name}", ignore_errors=True)

    def turns(self, case: Case, servers: list[Server], measure: Callable[[Server], dict[Metric, float]]) -> None:
        """Let each server have its turn in every round, beginning with another one each time.

        A server that fails is noted and left out of the rest of this case.
        """
        self.tell(f"{case.group}: {case.name} (auth {case.auth})")
        taking_part = list(servers)
        for _ in range(self.settings.rounds):
            self._turn += 1
            for server in rotated(taking_part, self._turn):
                try:
                    self.results.add(case, server.name, measure(server))
                except FAILURES as error:
                    self.problem(f"{case.group}, {case.name}, auth {case.auth}, {server.name}: {describe(error)}")
                    taking_part = [item for item in taking_part if item is not server]


def let_deletions_rest() -> None:
    """Wait until deleting what earlier cases left no longer slows down who makes files."""
    time.sleep(FORGET_SECONDS)


def describe(error: Exception) -> str:
    """Return an error in one line, with its kind."""
    return f"{type(error).__name__}: {error}"


def rotated(servers: Sequence[Server], turn: int) -> list[Server]:
    """Return the servers beginning with another one each turn."""
    if not servers:
        return []
    first = turn % len(servers)
    return [*servers[first:], *servers[:first]]


@contextlib.contextmanager
def metered(server: Server, *, writes: bool = False) -> Iterator[Usage]:
    """Meter the block: clock and processor time of the server's whole tree.

    Args:
        server: what is metered.
        writes: the block writes: what earlier turns left to be written to disk is written before, so that nobody pays
            for another's writes.

    Raises:
        ServerError: the server has ended.
    """
    if writes:
        os.sync()
    server.check_alive()
    usage = Usage()
    cpu = cpu_seconds(server.pid)
    began = time.perf_counter()
    yield usage
    usage.wall = time.perf_counter() - began
    time.sleep(SETTLE_SECONDS)
    server.check_alive()
    usage.cpu = max(cpu_seconds(server.pid) - cpu, SMALLEST_CPU)
