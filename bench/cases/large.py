"""One blob that is larger than a single copy or request of S3 may be: whether it gets there, and at what memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.client import RECEIVE
from bench.procfs import peak_memory, reset_peak_memory
from bench.registry_calls import push_chunked
from bench.results import BYTES_RATE, PEAK, Case
from bench.run import FAILURES, Run, describe, metered

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.payload import Payload
    from bench.results import Metric
    from bench.servers import Server

NAME = "bench/large"
_MEGA = 1e6


def run(run: Run, auth: str) -> None:
    """Push and pull it once with each server."""
    size = run.settings.large_size
    for candidate in run.candidates:
        with run.only(candidate).servers(auth, [NAME]) as servers:
            for server in servers:
                payload = run.payloads.blob(size)
                actions: dict[str, Callable[[Server, Payload], None]] = {"push": _push, "pull": _pull}
                for action, act in actions.items():
                    case = Case("large", f"{action} {size:,} MiB", auth)
                    run.tell(f"large: {case.name} (auth {auth}), {server.name}")
                    try:
                        run.results.add(case, server.name, _measure(server, payload, act))
                    except FAILURES as error:
                        run.problem(f"large, {case.name}, auth {auth}, {server.name}: {describe(error)}")
                        break


def _measure(server: Server, payload: Payload, act: Callable[[Server, Payload], None]) -> dict[Metric, float]:
    reset_peak_memory(server.pid)
    with metered(server) as usage:
        act(server, payload)
    peak = max(process.peak_mib for process in peak_memory(server.pid))
    return {BYTES_RATE: payload.size / _MEGA / usage.wall, PEAK: peak}


def _push(server: Server, payload: Payload) -> None:
    with server.connect() as connection:
        push_chunked(connection, NAME, payload)


def _pull(server: Server, payload: Payload) -> None:
    with server.connect() as connection:
        connection.download(f"/v2/{NAME}/blobs/{payload.digest}", bytearray(RECEIVE), checked=payload.digest)
