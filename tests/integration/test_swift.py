"""The registry on OpenStack Swift: its end and return, and a container that docker-registry serves in turn with us."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration import turns
from tests.integration.hub import Hub
from tests.integration.population import Population, populate
from tests.integration.turns import compare, docker, matou
from tests.registry_http.content import blob
from tests.servers.matou_registry import running_registry
from tests.servers.swift import SwiftServer, running_swift, section

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "team/app"
MIB = 1 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwiftServer]:
    with running_swift(tmp_path_factory.mktemp("swift")) as running:
        yield running


def picture(hub: Hub, population: Population) -> dict[str, Any]:
    # In object storage Distribution takes a repository whose tags are gone for one that never was.
    return turns.picture(hub, population, lambda hub, name: hub.tags(name) or None)


def test_a_container_of_docker_registry_is_served_by_us_and_the_other_way_round(
    server: SwiftServer, tmp_path: Path
) -> None:
    # Distribution takes slashes from the start only, and does not look at rootdirectory.
    swift = section(server, prefix="/a/b/", rootdirectory="/elsewhere")
    storage = {"swift": swift, "redirect": {"disable": True}}
    with docker(tmp_path / "1", storage) as hub:
        theirs = populate(hub, "theirs", empty=False)
        large = hub.push_blob("theirs/large", blob(4 * MIB + 3), chunk=2 * MIB)
        expected = picture(hub, theirs)
    with matou(tmp_path / "2", storage) as hub:
        compare(picture(hub, theirs), expected)
        image = hub.push_image("ours/app", "v1", layers=2)
        mine = hub.push_blob("ours/large", blob(4 * MIB + 5), chunk=2 * MIB)
        assert hub.ask("GET", f"/v2/theirs/large/blobs/{large.digest}").content == large.content
        both = theirs.and_then(Population(image.paths("v1"), ["ours/app"]))
        expected = picture(hub, both)
    with docker(tmp_path / "3", storage) as hub:
        compare(picture(hub, both), expected)
        assert hub.ask("GET", f"/v2/ours/large/blobs/{mine.digest}").content == mine.content
    with server.container(swift["container"]) as found:
        heads = [found.ask("HEAD", name) for name in found.names("a/b//files/docker/registry/v2/blobs/")]
        assert sum("x-object-manifest" in head.headers for head in heads) > 3
        assert sum("x-static-large-object" in head.headers for head in heads) == 1
        assert all(name.startswith(("a/b//files/", "a/b//segments/")) for name in found.names())


def test_a_swift_that_dies_and_comes_back(server: SwiftServer, tmp_path: Path) -> None:
    swift = section(server)
    variables = {"MATOU_REGISTRY_STATE": str(tmp_path / "state")}
    with contextlib.ExitStack() as stack:
        registries = [
            stack.enter_context(
                running_registry(
                    tmp_path / name, {"storage": {"swift": swift, "redirect": {"disable": disable}}}, 1, variables
                )
            )
            for name, disable in (("redirecting", False), ("streaming", True))
        ]
        hubs = [stack.enter_context(contextlib.closing(Hub(registry.url))) for registry in registries]
        stored = hubs[0].push_blob(NAME, blob(3 * MIB))
        path = f"/v2/{NAME}/blobs/{stored.digest}"
        server.kill()
        try:
            with ThreadPoolExecutor() as threads:  # each request is repeated for a while
                pull = threads.submit(hubs[1].ask, "GET", path)
                for begun in threads.map(lambda hub: hub.ask("POST", f"/v2/{NAME}/blobs/uploads/"), hubs):
                    assert begun.status_code == 503
                    assert "127.0.0.1" not in begun.text
            assert pull.result().status_code == 503
        finally:
            server.start()  # its tokens are gone, too
        for hub in hubs:
            assert hub.ask("GET", path, follow_redirects=True).content == stored.content
            again = hub.push_blob(NAME, blob(3 * MIB))
            assert hub.ask("GET", f"/v2/{NAME}/blobs/{again.digest}", follow_redirects=True).content == again.content
        assert [registry.tracebacks() for registry in registries] == [[], []]
