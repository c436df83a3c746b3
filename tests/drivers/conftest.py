"""Servers that several files of tests use; each file has its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.servers.gcs import GcsServer, running_gcs

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def gcs_of_the_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcsServer]:
    """Yield a Google Cloud Storage."""
    with running_gcs(tmp_path_factory.mktemp("gcs")) as server:
        yield server


@pytest.fixture
def gcs(gcs_of_the_file: GcsServer) -> GcsServer:
    """Return it as it was at its start, but for its objects."""
    gcs_of_the_file.front.reset()
    return gcs_of_the_file
