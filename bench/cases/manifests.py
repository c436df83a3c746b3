"""Manifests by tag and by digest, with GET and HEAD: what every pull and every check for updates begins with."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bench.load import Load, get_load, head_load
from bench.registry_calls import ACCEPT, make_image, push_image
from bench.results import P50, P99, PER_CORE, RATE, Case, Metric
from bench.run import FAILURES, Run, describe, metered

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.servers import Server

NAME = "bench/manifests"
TAG = "latest"
_LAYER_BYTES = 1000
_LOADS = {"GET": get_load, "HEAD": head_load}


def run(run: Run, auth: str) -> None:
    """Measure requests per second and core, and latency, at the settings' number of connections."""
    image = make_image(os.urandom, run.settings.layers, _LAYER_BYTES)
    with run.servers(auth, [NAME]) as servers:
        ready = []
        for server in servers:
            try:
                with server.connect() as connection:
                    push_image(connection, NAME, TAG, image)
                ready.append(server)
            except FAILURES as error:
                run.problem(f"manifests, auth {auth}, {server.name}: the image cannot be pushed: {describe(error)}")
        for method, make_load in _LOADS.items():
            for kind, reference in (("tag", TAG), ("digest", image.digest)):
                target = f"/v2/{NAME}/manifests/{reference}"
                case = Case("manifests", f"{method} by {kind}", auth)

                def measure(
                    server: Server, make_load: Callable[..., Load] = make_load, target: str = target
                ) -> dict[Metric, float]:
                    headers = {**server.headers, "Accept": ACCEPT}
                    with server.connect() as connection:  # correct, and warm
                        answer = connection.request("GET", target, {"Accept": ACCEPT}).expect(200)
                        if answer.body != image.manifest:
                            raise ValueError(f"GET {target} gave another manifest than was pushed")
                    with metered(server) as usage:
                        load = make_load(server.port, target, headers, run.settings.connections, run.settings.seconds)
                    return {
                        PER_CORE: load.requests / usage.cpu,
                        RATE: load.requests / load.seconds,
                        P50: load.p50_ms,
                        P99: load.p99_ms,
                    }

                run.turns(case, ready, measure)
