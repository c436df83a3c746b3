"""Peak memory of each process while large blobs are pushed and pulled, some at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bench.cases.transfers import push_and_pull
from bench.procfs import peak_memory, reset_peak_memory
from bench.results import PEAK, PEAK_TREE, Metric

if TYPE_CHECKING:
    from bench.cases.transfers import Act
    from bench.payload import Payload
    from bench.run import Run
    from bench.servers import Server


def run(run: Run, auth: str) -> None:
    """Measure once for each server, freshly started: peaks do not scatter as times do."""
    settings = run.settings
    push_and_pull(run, "memory", auth, settings.memory_size, settings.memory_streams, _peaks, checked=False)


def _peaks(server: Server, payloads: list[Payload], act: Act) -> dict[Metric, float]:
    reset_peak_memory(server.pid)
    with ThreadPoolExecutor(len(payloads)) as pool:
        for done in [pool.submit(act, server, payload) for payload in payloads]:
            done.result()
    server.check_alive()
    peaks = [process.peak_mib for process in peak_memory(server.pid)]
    return {PEAK: max(peaks), PEAK_TREE: sum(peaks)}
