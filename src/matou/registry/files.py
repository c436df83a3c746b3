"""The registry's own files, beside the tree: ``<rootdirectory>/matou``, or a temporary directory for ``inmemory``.

Concurrency: ``lock`` is held shared by every server of the tree and exclusively by whoever rebuilds the index.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matou.config.distribution import Configuration


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


@contextlib.contextmanager
def registry_files(configuration: Configuration) -> Iterator[RegistryFiles]:
    """Yield the files of a configuration; those of ``inmemory`` go with the process.

    Raises:
        OSError: the directory cannot be made.
    """
    if configuration.storage.driver == "filesystem":
        directory = Path(configuration.storage.filesystem.rootdirectory) / "matou"
        directory.mkdir(parents=True, exist_ok=True)
        yield RegistryFiles(directory)
        return
    with tempfile.TemporaryDirectory(prefix="matou-") as name:
        yield RegistryFiles(Path(name))


class TreeLock:
    """The lock of a tree, held until closed or the process ends."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def try_exclusive(self) -> bool:
        """Take the lock alone if no server runs on the tree; return whether."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def share(self) -> None:
        """Hold the lock together with other servers; waits for one that rebuilds the index."""
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def close(self) -> None:
        """Release it."""
        os.close(self._descriptor)
