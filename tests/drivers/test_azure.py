"""The azure driver against Azurite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from matou.config.sections.azure import AzureParameters
from matou.registry.drivers.azure.segments import SegmentBlocks
from matou.registry.drivers.azure.store import AzureStore
from matou.registry.drivers.factory import ALONE
from matou.registry.drivers.object_driver import ObjectDriver
from tests.drivers.conformance import DriverConformance
from tests.servers.azurite import ACCOUNT, KEY, Azurite, running_azurite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.drivers.conformance import Opening


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with running_azurite(tmp_path_factory.mktemp("azurite")) as running:
        yield running


def parameters(server: Azurite, **given: Any) -> AzureParameters:
    """Return the parameters of an empty container."""
    return AzureParameters(
        **{
            "accountname": ACCOUNT,
            "accountkey": KEY,
            "authentication": "shared_key",
            "serviceurl": server.url(),
            "container": given.get("container") or server.new_container(),
            **given,
        }
    )


def open_azure(given: AzureParameters) -> ObjectDriver:
    store = AzureStore(given, ALONE)
    return ObjectDriver(store, SegmentBlocks(store))


class TestAzurite(DriverConformance):
    @pytest.fixture
    def opening(self, server: Azurite) -> Opening:
        given = parameters(server)
        return lambda: open_azure(given)


class TestLegacyRootPrefix(DriverConformance):
    @pytest.fixture
    def opening(self, server: Azurite) -> Opening:
        given = parameters(server, rootdirectory="/azure/virtual/container", legacyrootprefix=True)
        return lambda: open_azure(given)
