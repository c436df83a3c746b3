"""One blob that is larger than a single copy or request of S3 may be: whether it gets there, and at what memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.cases.transfers import push_and_pull
from bench.procfs import peak_memory, reset_peak_memory
from bench.results import BYTES_RATE, PEAK, Metric
from bench.run import Run, metered

if TYPE_CHECKING:
    from bench.cases.transfers import Act
    from bench.payload import Payload
    from bench.servers import Server

_MEGA = 1e6


def run(run: Run, auth: str) -> None:
    """Push and pull it once with each server."""
    push_and_pull(run, "large", auth, run.settings.large_size, 1, _measure, checked=True)


def _measure(server: Server, payloads: list[Payload], act: Act) -> dict[Metric, float]:
    (payload,) = payloads
    reset_peak_memory(server.pid)
    with metered(server) as usage:
        act(server, payload)
    peak = max(process.peak_mib for process in peak_memory(server.pid))
    return {BYTES_RATE: payload.size / _MEGA / usage.wall, PEAK: peak}
