"""Blobs of 1 to 1,000 MiB over one connection: pushed as Docker does, pushed in one piece, and pulled."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bench.client import RECEIVE
from bench.registry_calls import push_chunked, push_monolithic
from bench.results import BYTES_PER_CORE, BYTES_RATE, Case, Metric
from bench.run import Run, metered

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.client import Connection
    from bench.payload import Payload
    from bench.run import Usage
    from bench.servers import Server

NAME = "bench/blobs"
_MEGA = 1e6
_PUSHES: dict[str, Callable[[Connection, str, Payload], None]] = {
    "chunked": push_chunked,
    "monolithic": push_monolithic,
}


def run(run: Run, auth: str) -> None:
    """Measure MB/s (of a million bytes), on the clock and per processor second of the server."""
    for size in run.settings.blob_sizes:
        with run.servers(auth, [NAME]) as servers:
            for way, push in _PUSHES.items():
                case = Case("blobs", f"push {size:,} MiB, {way}", auth)
                run.turns(case, servers, partial(_push, run, size, push))
            case = Case("blobs", f"pull {size:,} MiB", auth)
            pulled: dict[str, str] = {}
            run.turns(case, servers, partial(_pull, run, size, pulled))


def _push(run: Run, size: int, push: Callable[[Connection, str, Payload], None], server: Server) -> dict[Metric, float]:
    payloads = [run.payloads.blob(size) for _ in range(run.settings.pushes(size))]
    with server.connect() as connection:
        push(connection, NAME, run.payloads.blob(1))  # warm
        run.touch_memory(sum(payload.size for payload in payloads))
        with metered(server, writes=True) as usage:
            for payload in payloads:
                push(connection, NAME, payload)
    return _figures(sum(payload.size for payload in payloads), usage)


def _pull(run: Run, size: int, pulled: dict[str, str], server: Server) -> dict[Metric, float]:
    buffer = bytearray(RECEIVE)
    with server.connect() as connection:
        if server.name not in pulled:
            payload = run.payloads.blob(size)
            push_monolithic(connection, NAME, payload)
            pulled[server.name] = payload.digest
        digest = pulled[server.name]
        target = f"/v2/{NAME}/blobs/{digest}"
        connection.download(target, buffer, checked=digest)  # correct, and in the page cache
        length = 0
        with metered(server) as usage:
            for _ in range(run.settings.pulls(size)):
                length += connection.download(target, buffer)
    return _figures(length, usage)


def _figures(length: int, usage: Usage) -> dict[Metric, float]:
    return {BYTES_PER_CORE: length / _MEGA / usage.cpu, BYTES_RATE: length / _MEGA / usage.wall}
