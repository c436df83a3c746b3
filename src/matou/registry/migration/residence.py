"""Where a registry that starts finds its images, and the uploads that were begun before they were moved.

A registry that follows ``moved.json`` knows the storage that was left. One that is started with the new configuration
learns of it from ``arrived.json`` among its own files, as long as the old storage says that its images came here.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from matou.config.distribution import ConfigurationError
from matou.registry.drivers.succession import FOLLOWED
from matou.registry.files import RegistryFiles, directory_of
from matou.registry.migration.moved import MODE, CannotFollow, Residence, follow_moves, load_destination, read_moved
from matou.system.files import replace_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matou.config.distribution import Configuration
    from matou.registry.migration.moved import Marks

log = logging.getLogger("matou.registry")


def residence(
    configuration: Configuration,
    files: RegistryFiles,
    environ: Mapping[str, str] = os.environ,
    marks: Marks | None = None,
) -> Residence:
    """Return the storage that is in charge of a registry: the configured one, or the one that it was moved to.

    Args:
        configuration: of the registry.
        files: of it.
        environ: the environment.
        marks: in the storages themselves, which tell what happened on other machines; None for what this one knows.

    Raises:
        CannotFollow: it was moved, and the new configuration cannot be used.
        StorageError: a mark cannot be read.
    """
    here = follow_moves(Residence(configuration, files), environ, marks)
    return here if here.moves else _with_previous(here, environ)


def write_arrival(files: RegistryFiles, path: Path) -> None:
    """Let a storage that images are moved to know where they come from.

    Args:
        files: of the new storage.
        path: of the configuration with the old one.

    Raises:
        OSError: it cannot be written.
    """
    replace_file(files.arrived, json.dumps({"configuration": str(path.absolute())}).encode() + b"\n", MODE)


def _with_previous(here: Residence, environ: Mapping[str, str]) -> Residence:
    """Add the storage that was left for this one, where uploads may have been begun, if that is known."""
    try:
        content = here.files.arrived.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return here
    except OSError as error:
        log.warning("uploads that were begun on the storage before this one cannot be finished: %s", error)
        return here
    try:
        left = load_destination(Path(json.loads(content)["configuration"]), environ)
        directory = directory_of(left, environ)
        moved = None if directory is None else read_moved(RegistryFiles(directory).moved)
    except (ConfigurationError, CannotFollow, ValueError, TypeError, KeyError) as error:
        log.warning(
            "uploads that were begun on the storage before this one cannot be finished: %s says where they are, but %s",
            here.files.arrived,
            error,
        )
        return here
    if directory is None or moved is None or moved.identity != here.configuration.storage.identity:
        return here  # the old storage is gone, or has been moved to elsewhere since
    if time.time() >= moved.time + FOLLOWED:
        return here
    return dataclasses.replace(here, previous=left, left=RegistryFiles(directory), since=moved.time)
