"""A server that several files of tests use; each file has its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.servers.seaweedfs import SeaweedFS, running_seaweedfs

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """Yield an S3 server."""
    with running_seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server
