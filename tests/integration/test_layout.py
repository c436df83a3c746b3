"""One tree, served by Matou and by Debian's docker-registry in turn: STO-1."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from tests.integration.hub import Hub
from tests.integration.population import Population, populate
from tests.servers.docker_registry import running_docker_registry
from tests.servers.matou_registry import running_registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def matou(folder: Path) -> Iterator[Hub]:
    with running_registry(folder) as registry, contextlib.closing(Hub(registry.url)) as hub:
        yield hub
        assert registry.tracebacks() == []


@contextlib.contextmanager
def docker(folder: Path) -> Iterator[Hub]:
    folder.mkdir(exist_ok=True)
    with running_docker_registry(folder, folder / "tree") as registry, contextlib.closing(Hub(registry.url)) as hub:
        yield hub


def picture(hub: Hub, population: Population) -> dict[str, Any]:
    tags = {name: hub.tags(name) for name in population.repositories}
    return {**hub.snapshot(population.paths), **tags}


def compare(hub: Hub, population: Population, expected: dict[str, Any]) -> None:
    found = picture(hub, population)
    assert found == expected
    assert sum(getattr(answer, "status", 0) == 200 for answer in found.values()) > len(found) // 2
    assert sum(getattr(answer, "status", 0) == 404 for answer in found.values()) > 0


def test_a_tree_of_ours_is_served_by_docker_registry(tmp_path: Path) -> None:
    with matou(tmp_path) as hub:
        population = populate(hub)
        hub.push_image("team/tagged", "a", "b")
        hub.delete("/v2/team/tagged/manifests/a")
        population = population.and_then(Population(["/v2/team/tagged/manifests/a", "/v2/team/tagged/manifests/b"], []))
        expected = picture(hub, population)
        assert hub.tags("team/tagged") == ["b"]
    with docker(tmp_path) as hub:
        compare(hub, population, expected)
        assert hub.tags("team/tagged") == ["b"]


def test_a_tree_of_docker_registry_is_served_by_us(tmp_path: Path) -> None:
    with docker(tmp_path) as hub:
        population = populate(hub)
        expected = picture(hub, population)
    with matou(tmp_path) as hub:
        compare(hub, population, expected)
