"""Many small images of random content from several pushers at once, each with a connection that it keeps."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bench.registry_calls import ACCEPT, Image, make_image, push_image
from bench.results import IMAGES_PER_CORE, IMAGES_RATE, Case, Metric
from bench.run import Run, let_deletions_rest, metered

if TYPE_CHECKING:
    from bench.client import Connection
    from bench.servers import Server


def run(run: Run, auth: str) -> None:
    """Measure images per second, on the clock and per processor second of the server."""
    names = [f"bench/images-{number}" for number in range(run.settings.pushers)]
    with run.servers(auth, names) as servers:
        let_deletions_rest()
        run.turns(Case("images", "push", auth), servers, lambda server: _push(run, server, names))


def _push(run: Run, server: Server, names: list[str]) -> dict[Metric, float]:
    settings = run.settings
    share = max(1, settings.images // settings.pushers)
    images = {
        name: [make_image(os.urandom, settings.layers, settings.layer_bytes) for _ in range(share)] for name in names
    }
    run.touch_memory(share * len(names) * settings.layers * settings.layer_bytes)
    connections = {name: server.connect() for name in names}
    try:
        with ThreadPoolExecutor(len(names)) as pool, metered(server, writes=True) as usage:
            for done in [pool.submit(_push_all, connections[name], name, images[name]) for name in names]:
                done.result()
        for name in names:
            for image in images[name]:
                answer = connections[name].request("GET", f"/v2/{name}/manifests/{image.digest}", {"Accept": ACCEPT})
                if answer.expect(200).body != image.manifest:
                    raise ValueError(f"{name}@{image.digest}: another manifest than was pushed")
    finally:
        for connection in connections.values():
            connection.close()
    count = share * len(names)
    return {IMAGES_PER_CORE: count / usage.cpu, IMAGES_RATE: count / usage.wall}


def _push_all(connection: Connection, name: str, images: list[Image]) -> None:
    for image in images:
        push_image(connection, name, image.digest[7:19], image)
