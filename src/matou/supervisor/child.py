"""A child process that is started again when it dies.

Concurrency: owned by the supervisor's only thread.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FIRST_DELAY = 0.2  # seconds before a child that died is started again; doubled with each failure in a row
LONGEST_DELAY = 30.0
STEADY = 20.0  # seconds of life after which earlier failures are forgotten


class Child:
    """One process, and its successors.

    Args:
        name: for the log.
        module: run as ``python -m``; its first argument is our process id.
        arguments: further ones.
        environment: all of it.
    """

    def __init__(self, name: str, module: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        # -P: a directory named matou where we were started must not be imported instead of us.
        self._command = [sys.executable, "-P", "-m", module, str(os.getpid()), *arguments]
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self.failures = 0
        self.start_at: float | None = None

    @property
    def pid(self) -> int | None:
        """Its process id, None while there is no process."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start it in a process group of its own: Ctrl-C is for the supervisor, which ends its children in order."""
        self.start_at = None
        self._started = time.monotonic()
        self._process = subprocess.Popen(  # noqa: S603 -- our own modules
            self._command, stdin=subprocess.DEVNULL, env=self._environment, process_group=0
        )

    def ended(self) -> int | None:
        """Return the status of a process that ended, once; a signal's number is negative."""
        if self._process is None:
            return None
        status = self._process.poll()
        if status is not None:
            # What it left behind must not keep the port; the group's id is taken as long as a member lives.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process = None
        return status

    def schedule(self) -> float:
        """Plan the next start after a failure; return in how many seconds."""
        if time.monotonic() - self._started >= STEADY:
            self.failures = 0
        delay = min(FIRST_DELAY * 2.0**self.failures, LONGEST_DELAY)
        self.failures += 1
        self.start_at = time.monotonic() + delay
        return delay

    def terminate(self) -> None:
        """Ask it to end: SIGTERM."""
        self.start_at = None
        if self._process is not None:
            self._process.terminate()

    def kill(self) -> None:
        """End it and its children at once."""
        self.start_at = None
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
