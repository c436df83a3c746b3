"""Redis on this machine: one server, a node of a cluster, or a Sentinel."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import redis

from tests.servers.ports import free_port
from tests.servers.program import end
from tests.servers.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STOP_SECONDS = 30.0


class RedisServer:
    """A server that keeps nothing on disk, and can be started and ended again and again.

    Args:
        folder: of its log.
        options: further lines of its configuration.
        sentinel: whether it is a Sentinel.
        connection: how the tests themselves connect to it.
    """

    def __init__(
        self, folder: Path, options: list[str] | None = None, *, sentinel: bool = False, **connection: Any
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.log = folder / f"redis-{self.port}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._configuration = folder / f"redis-{self.port}.conf"
        # What is given by somebody else replaces this line: "port 0" for TLS alone.
        self._options = [f"port {self.port}", *(options or [])]
        self._arguments = ["--sentinel"] if sentinel else []
        self._connection = connection

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def client(self) -> redis.Redis:
        """Return a client of the tests."""
        return redis.Redis(host="127.0.0.1", port=self.port, decode_responses=True, **self._connection)

    def command(self, *arguments: str) -> Any:
        """Send a command."""
        with self.client() as client:
            return client.execute_command(*arguments)

    def keys(self) -> list[str]:
        """Return all keys."""
        return sorted(self.command("KEYS", "*"))

    def start(self) -> None:
        """Start it and wait until it answers."""
        program = shutil.which("redis-server")
        assert program is not None, "redis-server is missing: run .ci/packages tests"
        lines = ["bind 127.0.0.1", "save ''", "appendonly no", f"dir {self.folder}"]
        self._configuration.write_text("\n".join((lines[:1] if self._arguments else lines) + self._options) + "\n")
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [program, self._configuration, *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        wait_until(self._answers, process=self.process, log=self.log)

    def _answers(self) -> bool:
        try:
            self.command("PING")
        except redis.ConnectionError:
            return False
        return True

    def pause(self) -> None:
        """Have it take connections and answer nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Have it answer again."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            process, self.process = self.process, None
            process.send_signal(signal.SIGCONT)
            end(process, STOP_SECONDS)


@contextlib.contextmanager
def running_redis(folder: Path, options: list[str] | None = None, **arguments: Any) -> Iterator[RedisServer]:
    """Yield a running server; end it afterwards."""
    server = RedisServer(folder, options, **arguments)
    try:
        server.start()
        yield server
    finally:
        server.stop()
