"""From the ``storage`` section to its driver."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from matou.registry.drivers.filesystem import FilesystemDriver
from matou.registry.drivers.inmemory import InMemoryDriver

if TYPE_CHECKING:
    from matou.config.distribution import Configuration
    from matou.registry.drivers.base import Driver


def open_driver(configuration: Configuration) -> Driver:
    """Return the driver that the configuration names; ``load_configuration`` has refused those that do not exist."""
    storage = configuration.storage
    if storage.driver == "filesystem":
        return FilesystemDriver(Path(storage.filesystem.rootdirectory), storage.filesystem.maxthreads)
    return InMemoryDriver()
