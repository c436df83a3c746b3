"""The registry's own files, beside the tree: ``<rootdirectory>/matou``, or a temporary directory for ``inmemory``.

Concurrency: ``lock`` is held shared by every server of the tree and exclusively by whoever rebuilds the index.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from matou.system.files import make_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matou.config.distribution import Configuration


log = logging.getLogger("matou.registry")


class TreeInUse(Exception):  # noqa: N818 -- what is wrong
    """A server runs on the tree, so its index cannot be rebuilt."""


@dataclass(frozen=True, slots=True)
class RegistryFiles:
    """Paths; picklable, because workers get it.

    Attributes:
        directory: holds all of them; made when missing.
    """

    directory: Path

    @property
    def index(self) -> Path:
        """The SQLite database."""
        return self.directory / "index.db"

    @property
    def lock(self) -> Path:
        """See the module."""
        return self.directory / "lock"

    @property
    def maintenance_lock(self) -> Path:
        """Held by the worker that does what one worker is enough for."""
        return self.directory / "maintenance.lock"

    @property
    def purged(self) -> Path:
        """Its time of modification is when uploads were purged last."""
        return self.directory / "purged"

    @property
    def reserve(self) -> Path:
        """Room on the disk; see ``reserve.py``."""
        return self.directory / "reserve"


@contextlib.contextmanager
def registry_files(configuration: Configuration) -> Iterator[RegistryFiles]:
    """Yield the files of a configuration; those of ``inmemory`` go with the process.

    Raises:
        OSError: the directory cannot be made.
    """
    if configuration.storage.driver == "filesystem":
        directory = Path(configuration.storage.filesystem.rootdirectory) / "matou"
        make_directory(directory)
        yield RegistryFiles(directory)
        return
    with tempfile.TemporaryDirectory(prefix="matou-") as name:
        yield RegistryFiles(Path(name))


class FileLock:
    """An advisory lock on a file, held until closed or the process ends, however it ends.

    Args:
        path: of the file; made when missing.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def try_exclusive(self) -> bool:
        """Take the lock alone if nobody else holds it; return whether."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def share(self, reason_to_wait: str) -> None:
        """Hold the lock together with others; waits, and logs why, for a process that holds it alone."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            log.warning("waiting: %s", reason_to_wait)
            fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def release(self) -> None:
        """Let others have it."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Release it for good."""
        os.close(self._descriptor)
