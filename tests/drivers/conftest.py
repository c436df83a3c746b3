"""Servers that several files of tests use; each file has its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.drivers.swift_containers import open_driver, parameters
from tests.servers.gcs import GcsServer, running_gcs
from tests.servers.swift import SwiftContainer, SwiftServer, running_swift

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matou.config.sections.swift import SwiftParameters
    from tests.drivers.conformance import Opening


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


@pytest.fixture(scope="module")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwiftServer]:
    """Yield an OpenStack Swift."""
    with running_swift(tmp_path_factory.mktemp("swift")) as running:
        yield running


@pytest.fixture
def swift_parameters(swift: SwiftServer) -> SwiftParameters:
    """Return the parameters of a new container."""
    return parameters(swift)


@pytest.fixture
def swift_opening(swift_parameters: SwiftParameters) -> Opening:
    return lambda: open_driver(swift_parameters)


@pytest.fixture
def container(swift: SwiftServer, swift_parameters: SwiftParameters) -> Iterator[SwiftContainer]:
    """Yield the container of ``swift_parameters`` without a driver."""
    with swift.container(swift_parameters.container) as found:
        yield found
