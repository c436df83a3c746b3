"""What the cases have in common that push and pull blobs once with each server, freshly started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.client import RECEIVE
from bench.registry_calls import push_chunked
from bench.results import Case
from bench.run import FAILURES, Run, describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.payload import Payload
    from bench.results import Metric
    from bench.servers import Server

    Act = Callable[[Server, Payload], None]


def push_and_pull(
    run: Run,
    group: str,
    auth: str,
    size: int,
    count: int,
    measure: Callable[[Server, list[Payload], Act], dict[Metric, float]],
    *,
    checked: bool,
) -> None:
    """Measure a push, and then a pull, of blobs with each server.

    Args:
        run: of the benchmarks.
        group: of the cases.
        auth: "off" or "token".
        size: of a blob in MiB.
        count: of blobs.
        measure: does what it is given with each of the blobs and returns the figures.
        checked: whether the digest of what is pulled is verified.
    """
    name = f"bench/{group}"

    def push(server: Server, payload: Payload) -> None:
        with server.connect() as connection:
            push_chunked(connection, name, payload)

    def pull(server: Server, payload: Payload) -> None:
        with server.connect() as connection:
            target = f"/v2/{name}/blobs/{payload.digest}"
            connection.download(target, bytearray(RECEIVE), checked=payload.digest if checked else None)

    for candidate in run.candidates:
        with run.only(candidate).servers(auth, [name]) as servers:
            for server in servers:
                payloads = [run.payloads.blob(size) for _ in range(count)]
                for action, act in (("push", push), ("pull", pull)):
                    case = Case(group, f"{action} {size:,} MiB", auth)
                    run.tell(f"{group}: {case.name} (auth {auth}), {server.name}")
                    try:
                        run.results.add(case, server.name, measure(server, payloads, act))
                    except FAILURES as error:
                        run.problem(f"{group}, {case.name}, auth {auth}, {server.name}: {describe(error)}")
                        break
