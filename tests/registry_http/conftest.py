"""Registries for black-box tests: one of each configuration for all the tests of a process."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from tests.registry_http.client import connected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.registry_http.client import Client
    from tests.servers.matou_registry import MatouRegistry


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a registry of two workers that lets everybody do everything."""
    with connected(tmp_path_factory.mktemp("registry") / "plain", workers=2) as client:
        yield client


@pytest.fixture(scope="session")
def registry(client: Client) -> MatouRegistry:
    """The same registry."""
    return client.registry


@pytest.fixture
def name() -> str:
    """The name of a repository that nobody else uses."""
    return f"test/{secrets.token_hex(6)}"
