"""What a migration and the workers of the registries that run tell each other, in files beside the index.

The migration says what it intends in ``migration.json``, which counts as long as it holds ``migration.lock``. Each
worker has a file in ``workers/`` that it holds the lock of as long as it lives, and says in it how far it is.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from matou.registry.files import FileLock
from matou.system.files import make_directory, replace_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matou.registry.files import RegistryFiles

MODE = 0o644
LARGEST = 65536  # bytes of a file that are read
SUFFIX = ".json"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a migration intends.

    Attributes:
        id: tells migrations apart.
        configuration: path of the configuration with the new storage.
        identity: of the new storage.
    """

    id: str
    configuration: str
    identity: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WorkerState:
    """What a worker says.

    Attributes:
        pid: its process id.
        readonly: whether it refuses changes (``storage.maintenance.readonly``).
        plan: id of the plan that it has looked at last, or "".
        problem: why it cannot go along, or "".
        directory: of the registry's own files for the new storage, as this worker sees it.
    """

    pid: int
    readonly: bool
    plan: str = ""
    problem: str = ""
    directory: str = ""


def write_plan(files: RegistryFiles, plan: Plan) -> None:
    """Say what is intended.

    Raises:
        OSError: it cannot be written.
    """
    replace_file(files.plan, json.dumps(asdict(plan)).encode(), MODE)


def read_plan(files: RegistryFiles) -> Plan | None:
    """Return what is intended by a migration that runs; None when there is none."""
    try:
        content = files.plan.read_bytes()
    except FileNotFoundError:
        return None
    with contextlib.closing(FileLock(files.plan_lock)) as lock:
        if lock.try_share():
            return None  # it was killed
    document = _document(content)
    try:
        return Plan(str(document["id"]), str(document["configuration"]), tuple(map(str, document["identity"])))
    except (KeyError, TypeError):
        return None


class RosterEntry:
    """The file of a worker.

    Args:
        files: of the storage that it serves.
        state: what it says at first.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, files: RegistryFiles, state: WorkerState) -> None:
        self.state = state
        make_directory(files.workers)
        self._path = files.workers / f"{state.pid}-{secrets.token_hex(4)}{SUFFIX}"
        begun = self._path.with_suffix(".new")
        self._descriptor = os.open(begun, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            self._write()
            # From now on it is looked at; it is locked already, or it would be taken for one of the dead.
            begun.rename(self._path)
        except BaseException:
            os.close(self._descriptor)
            begun.unlink(missing_ok=True)
            raise

    def update(self, *, plan: str, problem: str, directory: str) -> None:
        """Say something else."""
        self.state = replace(self.state, plan=plan, problem=problem, directory=directory)
        self._write()

    def _write(self) -> None:
        content = json.dumps(asdict(self.state)).encode()
        os.pwrite(self._descriptor, content, 0)
        os.ftruncate(self._descriptor, len(content))

    def close(self) -> None:
        """Leave the roster."""
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def roster(files: RegistryFiles) -> list[WorkerState]:
    """Return what the workers that live say; the files of the dead are deleted."""
    found: list[WorkerState] = []
    try:
        paths = sorted(files.workers.iterdir())
    except OSError:
        return found  # nobody was there, or the directory is out of use
    for path in paths:
        state = _look(path)
        if state is not None and path.suffix == SUFFIX:
            found.append(state)
    return found


def _look(path: Path) -> WorkerState | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _state(os.pread(descriptor, LARGEST, 0))
        if path.suffix == SUFFIX:
            with contextlib.suppress(OSError):
                path.unlink()
        return None
    finally:
        os.close(descriptor)


def _state(content: bytes) -> WorkerState:
    document = _document(content)
    return WorkerState(
        pid=int(document.get("pid", 0)),
        readonly=bool(document.get("readonly")),
        plan=str(document.get("plan", "")),
        problem=str(document.get("problem", "")),
        directory=str(document.get("directory", "")),
    )


def _document(content: bytes) -> Mapping[str, Any]:
    """Return a document; one that is being written at this moment says nothing."""
    try:
        document = json.loads(content)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
