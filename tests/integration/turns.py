"""Matou and Debian's docker-registry in turn on one storage, and what a client sees of either."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from tests.integration.hub import Hub
from tests.servers.docker_registry import DOCUMENT, running_docker_registry
from tests.servers.matou_registry import running_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.integration.population import Population


@contextlib.contextmanager
def matou(folder: Path, storage: Mapping[str, Any]) -> Iterator[Hub]:
    """Serve a storage with Matou, whose index, where it is not in the storage, is in the folder."""
    with (
        running_registry(folder, {"storage": dict(storage)}, 1) as registry,
        contextlib.closing(Hub(registry.url)) as hub,
    ):
        yield hub
        assert registry.tracebacks() == []


@contextlib.contextmanager
def docker(folder: Path, storage: Mapping[str, Any]) -> Iterator[Hub]:
    """Serve it with docker-registry."""
    folder.mkdir(exist_ok=True)
    document = {**DOCUMENT, "storage": {**DOCUMENT["storage"], **storage}}
    with (
        running_docker_registry(folder, None, document) as registry,
        contextlib.closing(Hub(registry.url)) as hub,
    ):
        yield hub


def picture(
    hub: Hub, population: Population, tags: Callable[[Hub, str], list[str] | None] = Hub.tags
) -> dict[str, Any]:
    """Return what a client sees of a population.

    Args:
        hub: that it asks.
        population: what was pushed.
        tags: of a repository, where they cannot be compared as they are.
    """
    return {**hub.snapshot(population.paths), **{name: tags(hub, name) for name in population.repositories}}


def compare(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Check that a picture shows what another one has shown, of what is there and of what was deleted."""
    assert found == expected
    assert sum(getattr(answer, "status", 0) == 200 for answer in found.values()) > len(found) // 2
    assert sum(getattr(answer, "status", 0) == 404 for answer in found.values()) > 0
