"""Waiting for what another process does."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

SECONDS = 60.0
TAIL = 4000  # characters


def wait_until(
    condition: Callable[[], bool],
    seconds: float = SECONDS,
    *,
    process: subprocess.Popen[bytes] | None = None,
    log: Path | None = None,
) -> None:
    """Wait for a condition.

    Args:
        condition: looked at again and again.
        seconds: to wait at most.
        process: must not end meanwhile.
        log: of the process, whose end is shown when the test fails.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if process is not None:
            assert process.poll() is None, f"ended with {process.returncode}:\n{tail(log)}"
        assert time.monotonic() < deadline, f"not in {seconds} s:\n{tail(log)}"
        time.sleep(0.02)


def tail(log: Path | None) -> str:
    """Return the end of a log."""
    return "" if log is None else log.read_text(errors="replace")[-TAIL:]


def answers(url: str, *statuses: int) -> bool:
    """Tell whether a server answers a GET with one of the statuses; one that takes no connections does not."""
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code in statuses
    except httpx.TransportError:
        return False


def accepts(port: int) -> bool:
    """Tell whether something takes connections on a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except OSError:
        return False
    return True
