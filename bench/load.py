"""Load of many connections: wrk for GET, and a client of our own for HEAD.

wrk waits for the body that a HEAD answer announces and never sends, so it cannot be used there.
"""

from __future__ import annotations

import json
import math
import os
import select
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.client import ProtocolError
from bench.ports import HOST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SCRIPT = Path(__file__).with_name("load.lua")
_MARK = "BENCH "
_END = b"\r\n\r\n"
_OK = (b"HTTP/1.1 200", b"HTTP/1.0 200")


class LoadError(Exception):
    """The load could not be made, or was answered with errors."""


class Load(NamedTuple):
    """What came of a load."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile of values in ascending order."""
    if not ordered:
        raise ValueError("no values: expected at least one")
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def parse_wrk(output: str) -> Load:
    """Read what load.lua printed.

    Raises:
        LoadError: the line is missing, or requests failed.
    """
    lines = [line for line in output.splitlines() if line.startswith(_MARK)]
    if len(lines) != 1:
        raise LoadError(f"wrk printed no result line: {output.strip()[-300:]!r}")
    result = json.loads(lines[0].removeprefix(_MARK))
    failed = {kind: result[kind] for kind in ("status", "connect", "read", "write", "timeout") if result[kind]}
    if failed or not result["requests"]:
        raise LoadError(f"{result['requests']} requests, of them failed: {failed or 'none'}")
    return Load(result["requests"], result["duration_us"] / 1e6, result["p50_us"] / 1e3, result["p99_us"] / 1e3)


def get_load(port: int, target: str, headers: Mapping[str, str], connections: int, seconds: float) -> Load:
    """Ask with GET for some seconds.

    Raises:
        LoadError: wrk is missing or failed, or an answer was not 2xx or 3xx.
    """
    wrk = shutil.which("wrk")
    if not wrk:
        raise LoadError("wrk is not installed; install the package wrk")
    environment = os.environ | {"BENCH_HEADERS": "\n".join(f"{name}: {value}" for name, value in headers.items())}
    command = [wrk, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}", "-s", str(_SCRIPT)]
    finished = subprocess.run(
        [*command, f"http://{HOST}:{port}{target}"], env=environment, capture_output=True, text=True, check=False
    )
    if finished.returncode:
        raise LoadError(f"wrk ended with status {finished.returncode}: {finished.stderr.strip() or finished.stdout}")
    return parse_wrk(finished.stdout)


def head_load(port: int, target: str, headers: Mapping[str, str], connections: int, seconds: float) -> Load:
    """Ask with HEAD for some seconds.

    Raises:
        LoadError: an answer was not 200, or a connection was closed.
    """
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = f"HEAD {target} HTTP/1.1\r\nHost: {HOST}:{port}\r\n{lines}\r\n".encode("latin-1")
    sockets = [socket.create_connection((HOST, port), timeout=10) for _ in range(connections)]
    try:
        for item in sockets:
            item.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _drive(sockets, request, seconds)
    except (OSError, ProtocolError) as error:
        raise LoadError(f"HEAD {target}: {error}") from error
    finally:
        for item in sockets:
            item.close()


def _drive(sockets: list[socket.socket], request: bytes, seconds: float) -> Load:
    by_descriptor = {item.fileno(): item for item in sockets}
    clock = time.perf_counter
    latencies: list[float] = []
    partial: dict[int, bytes] = {}
    with select.epoll() as poller:
        began = clock()
        end = began + seconds
        sent_at = {}
        for descriptor, item in by_descriptor.items():
            poller.register(descriptor, select.EPOLLIN)
            sent_at[descriptor] = clock()
            item.sendall(request)
        now = began
        while now < end:
            for descriptor, _ in poller.poll(1.0):
                item = by_descriptor[descriptor]
                data = item.recv(65536)
                if not data:
                    raise ProtocolError("the server closed a connection")
                if descriptor in partial:
                    data = partial.pop(descriptor) + data
                if not data.endswith(_END):
                    partial[descriptor] = data
                    continue
                if not data.startswith(_OK):
                    raise ProtocolError(f"answered {data[:200]!r} instead of status 200")
                now = clock()
                latencies.append(now - sent_at[descriptor])
                sent_at[descriptor] = now
                item.sendall(request)
            now = clock()
    if not latencies:
        raise ProtocolError("no answer at all")
    latencies.sort()
    return Load(len(latencies), now - began, percentile(latencies, 50) * 1e3, percentile(latencies, 99) * 1e3)
