"""The gcs driver as tests open it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matou.config.sections.drivers import GcsParameters
from matou.registry.drivers.gcs.credentials import credential_source
from matou.registry.drivers.gcs.opening import Services, build_store
from matou.registry.drivers.object_driver import ObjectDriver
from matou.registry.drivers.requests import RequestLimit, Requests
from tests.drivers.observed import Observed
from tests.servers.gcs import BUCKET

if TYPE_CHECKING:
    from tests.servers.gcs import GcsServer


def opened(server: GcsServer, observed: Observed | None = None, **given: Any) -> ObjectDriver:
    """Open a driver whose retries come quickly."""
    parameters = GcsParameters(**{"bucket": BUCKET, "keyfile": str(server.key_file), **given})
    requests = Requests(3, RequestLimit(0), observed or Observed(), first_pause=0.01, longest_pause=0.05)
    where = Services(server.url, server.url)
    return ObjectDriver(build_store(parameters, credential_source(parameters), where, requests))
