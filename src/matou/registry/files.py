"""The registry's own files.

They lie beside the tree in ``<rootdirectory>/matou``, or, when the images are in object storage, in a directory for
each such storage below ``MATOU_REGISTRY_STATE``; in a temporary directory for ``inmemory``.

Concurrency: ``lock`` is held shared by every server of the tree and exclusively by whoever rebuilds the index.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from matou.config.installation import registry_state
from matou.system.files import make_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
    def turnstile(self) -> Path:
        """Passed by every change of what the registry holds; see ``write_gate.py``."""
        return self.directory / "turnstile"

    @property
    def changing(self) -> Path:
        """Held shared while changes are made."""
        return self.directory / "changing"

    @property
    def workers(self) -> Path:
        """Directory with a file for each worker; see ``migration/roster.py``."""
        return self.directory / "workers"

    @property
    def plan(self) -> Path:
        """What a migration of a registry that runs intends; see ``migration/roster.py``."""
        return self.directory / "migration.json"

    @property
    def plan_lock(self) -> Path:
        """Held by such a migration as long as it runs."""
        return self.directory / "migration.lock"

    @property
    def moved(self) -> Path:
        """Says that the images are in another storage now; see ``migration/moved.py``."""
        return self.directory / "moved.json"

    @property
    def arrived(self) -> Path:
        """Says where the images were before; see ``migration/residence.py``."""
        return self.directory / "arrived.json"

    @property
    def owner_id(self) -> Path:
        """Says who the registry is to others; see ``ownership``."""
        return self.directory / "owner_id"

    @property
    def owner_lock(self) -> Path:
        """Held by the worker that renews the registry's claim to its storage."""
        return self.directory / "owner.lock"

    @property
    def lease(self) -> Path:
        """Until when the claim is good."""
        return self.directory / "lease"

    @property
    def purged(self) -> Path:
        """Its time of modification is when uploads were purged last."""
        return self.directory / "purged"

    @property
    def request_limit(self) -> Path:
        """Shared by the workers, to keep ``maxrequestspersecond`` together."""
        return self.directory / "request_limit"

    @property
    def reserve(self) -> Path:
        """Room on the disk; see ``reserve.py``."""
        return self.directory / "reserve"


def directory_of(configuration: Configuration, environ: Mapping[str, str]) -> Path | None:
    """Return where the files of a configuration lie for good; None for ``inmemory``, which has none."""
    storage = configuration.storage
    if storage.driver == "inmemory":
        return None
    if storage.driver == "filesystem":
        return Path(storage.filesystem.rootdirectory) / "matou"
    driver, name, *_ = storage.identity
    digest = hashlib.sha256("\n".join(storage.identity).encode()).hexdigest()
    return registry_state(environ) / f"{driver}-{re.sub('[^A-Za-z0-9._-]', '_', name)[:64]}-{digest[:8]}"


@contextlib.contextmanager
def registry_files(configuration: Configuration, environ: Mapping[str, str] = os.environ) -> Iterator[RegistryFiles]:
    """Yield the files of a configuration, whose directory is made; those of ``inmemory`` go with the process.

    Args:
        configuration: of the registry.
        environ: the environment.

    Raises:
        OSError: the directory cannot be made.
    """
    directory = directory_of(configuration, environ)
    if directory is not None:
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

    def try_share(self) -> bool:
        """Hold the lock together with others unless somebody holds it alone; return whether."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
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
