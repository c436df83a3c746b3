"""Registries for black-box tests: one of each configuration for all the tests of a process."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from tests.registry_http.client import Client
from tests.servers.matou_registry import running_registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.matou_registry import MatouRegistry


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MatouRegistry]:
    """A registry of two workers that lets everybody do everything."""
    with running_registry(tmp_path_factory.mktemp("registry") / "plain") as running:
        yield running
        assert running.tracebacks() == []
    assert running.process is None


@pytest.fixture(scope="session")
def client(registry: MatouRegistry) -> Iterator[Client]:
    connected = Client(registry)
    yield connected
    connected.close()


@pytest.fixture
def name() -> str:
    """The name of a repository that nobody else uses."""
    return f"test/{secrets.token_hex(6)}"
