"""The s3 driver against SeaweedFS."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import pytest

from matou.config.sections.s3 import S3Parameters
from matou.registry.drivers.factory import ALONE
from matou.registry.drivers.object_driver import ObjectDriver
from matou.registry.drivers.s3.store import S3Store
from tests.drivers.conformance import DriverConformance
from tests.servers.seaweedfs import ACCESS_KEY, BUCKET, REGION, SECRET_KEY, SeaweedFS, running_seaweedfs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.drivers.conformance import Opening


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    with running_seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as running:
        yield running


def parameters(server: SeaweedFS, **given: Any) -> S3Parameters:
    """Return the parameters of an empty root directory."""
    return S3Parameters(
        **{
            "accesskey": ACCESS_KEY,
            "secretkey": SECRET_KEY,
            "region": REGION,
            "regionendpoint": server.url,
            "has_path_style": True,
            "bucket": BUCKET,
            "rootdirectory": f"/{secrets.token_hex(8)}",
            **given,
        }
    )


class TestSeaweedFS(DriverConformance):
    @pytest.fixture
    def opening(self, server: SeaweedFS) -> Opening:
        given = parameters(server)
        return lambda: ObjectDriver(S3Store(given, ALONE))
