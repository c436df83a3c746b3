"""From the ``storage`` section to its driver.

The vendors' modules are imported when their driver is configured: each brings a library that takes a while to load.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from matou.registry.drivers.filesystem import FilesystemDriver
from matou.registry.drivers.inmemory import InMemoryDriver
from matou.registry.drivers.object_driver import ObjectDriver
from matou.registry.drivers.requests import PATIENCE, UnobservedRequests

if TYPE_CHECKING:
    from matou.config.distribution import Configuration
    from matou.registry.drivers.base import Driver
    from matou.registry.drivers.requests import RequestObserver


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a driver of object storage shares with others.

    Attributes:
        request_limit: file through which the processes of this machine share a limit of requests; None for one alone.
        observer: is told of retries and waits.
        patience: seconds after which a request that fails is not repeated any more.
    """

    request_limit: Path | None = None
    observer: RequestObserver = field(default_factory=UnobservedRequests)
    patience: float = PATIENCE


ALONE = Surroundings()


def open_driver(  # noqa: PLR0911 -- one for each driver
    configuration: Configuration, surroundings: Surroundings = ALONE
) -> Driver:
    """Return the driver that the configuration names; ``load_configuration`` has refused those that do not exist.

    Raises:
        StorageError: a key file or the like cannot be read; no request has been sent yet.
    """
    storage = configuration.storage
    if storage.driver == "filesystem":
        return FilesystemDriver(Path(storage.filesystem.rootdirectory), storage.filesystem.maxthreads)
    if storage.s3_parameters is not None:
        from matou.registry.drivers.s3.store import S3Store  # noqa: PLC0415 -- loads the vendor's library

        return ObjectDriver(S3Store(storage.s3_parameters, surroundings))
    if storage.oss is not None:
        from matou.registry.drivers.oss.store import OssStore  # noqa: PLC0415 -- loads the vendor's library

        return ObjectDriver(OssStore(storage.oss, surroundings))
    if storage.gcs is not None:
        from matou.registry.drivers.gcs.opening import open_store  # noqa: PLC0415 -- loads the vendor's library

        return ObjectDriver(open_store(storage.gcs, surroundings))
    if storage.azure_parameters is not None:
        from matou.registry.drivers.azure.segments import SegmentBlocks  # noqa: PLC0415 -- as above
        from matou.registry.drivers.azure.store import AzureStore  # noqa: PLC0415 -- as above

        store = AzureStore(storage.azure_parameters, surroundings)
        return ObjectDriver(store, SegmentBlocks(store))
    if storage.swift is not None:
        from matou.registry.drivers.swift.store import SwiftStore  # noqa: PLC0415 -- as above

        container = SwiftStore(storage.swift, surroundings)
        return ObjectDriver(container, container.uploads)
    return InMemoryDriver()
