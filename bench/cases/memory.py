"""Peak memory of each process while large blobs are pushed and pulled, some at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bench.client import RECEIVE
from bench.procfs import peak_memory, reset_peak_memory
from bench.registry_calls import push_chunked
from bench.results import PEAK, PEAK_TREE, Case, Metric
from bench.run import FAILURES, Run, describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.payload import Payload
    from bench.servers import Server

NAME = "bench/memory"


def run(run: Run, auth: str) -> None:
    """Measure once for each server, freshly started: peaks do not scatter as times do."""
    size = run.settings.memory_size
    for candidate in run.candidates:
        with run.only(candidate).servers(auth, [NAME]) as servers:
            for server in servers:
                payloads = [run.payloads.blob(size) for _ in range(run.settings.memory_streams)]
                actions: dict[str, Callable[[Server, Payload], None]] = {"push": _push, "pull": _pull}
                for action, act in actions.items():
                    case = Case("memory", f"{action} {size:,} MiB", auth)
                    run.tell(f"memory: {case.name} (auth {auth}), {server.name}")
                    try:
                        run.results.add(case, server.name, _peaks(server, payloads, act))
                    except FAILURES as error:
                        run.problem(f"memory, {case.name}, auth {auth}, {server.name}: {describe(error)}")
                        break


def _peaks(server: Server, payloads: list[Payload], act: Callable[[Server, Payload], None]) -> dict[Metric, float]:
    reset_peak_memory(server.pid)
    with ThreadPoolExecutor(len(payloads)) as pool:
        for done in [pool.submit(act, server, payload) for payload in payloads]:
            done.result()
    server.check_alive()
    peaks = [process.peak_mib for process in peak_memory(server.pid)]
    return {PEAK: max(peaks), PEAK_TREE: sum(peaks)}


def _push(server: Server, payload: Payload) -> None:
    with server.connect() as connection:
        push_chunked(connection, NAME, payload)


def _pull(server: Server, payload: Payload) -> None:
    with server.connect() as connection:
        connection.download(f"/v2/{NAME}/blobs/{payload.digest}", bytearray(RECEIVE))
