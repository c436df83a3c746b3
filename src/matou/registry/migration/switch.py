"""The switch-over: a moment in which nothing changes, so that the new storage can take over.

Writing ``moved.json`` is that moment. Before it the old storage is in charge, after it the new one, for whoever looks;
a migration that is killed leaves it at that, and the kernel lets the changes that wait go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from matou.registry.drivers.base import StorageError
from matou.registry.files import FileLock
from matou.registry.migration.roster import roster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from matou.registry.files import RegistryFiles
    from matou.registry.migration.roster import Plan, WorkerState

NAP = 0.01  # seconds between two looks at a lock
LOOK = 0.1  # seconds between two looks at the workers


class StillChanging(StorageError):  # noqa: N818 -- what is the matter
    """Changes that were being made did not end in time."""


class WorkersRefuse(StorageError):  # noqa: N818 -- what happened
    """A registry that runs cannot go along."""


class ChangeLocks:
    """The other side of ``WriteGate``.

    Args:
        files: of the storage that is left.
    """

    def __init__(self, files: RegistryFiles) -> None:
        self._turnstile = FileLock(files.turnstile)
        self._changing = FileLock(files.changing)

    @contextlib.asynccontextmanager
    async def paused(self, patience: float) -> AsyncIterator[None]:
        """Let no change begin, and wait until those have ended that had.

        Args:
            patience: seconds that they get.

        Raises:
            StillChanging: they did not.
        """
        deadline = time.monotonic() + patience
        try:
            # Passing the turnstile takes microseconds, so it is free soon.
            await _lock(self._turnstile, deadline)
            await _lock(self._changing, deadline)
            yield
        finally:
            self._changing.release()
            self._turnstile.release()

    def close(self) -> None:
        """Give the files back."""
        self._turnstile.close()
        self._changing.close()


async def _lock(lock: FileLock, deadline: float) -> None:
    while not lock.try_exclusive():
        if time.monotonic() >= deadline:
            raise StillChanging("pushes that were being stored did not end in time")
        await asyncio.sleep(NAP)


async def wait_until_ready(files: RegistryFiles, plan: Plan, patience: float) -> list[WorkerState]:
    """Wait until every worker of the registries that run has said that it can go along; return what they say.

    Raises:
        WorkersRefuse: one cannot, or does not say.
    """
    deadline = time.monotonic() + patience
    while True:
        workers = roster(files)
        asked = [worker for worker in workers if worker.plan != plan.id]
        if not asked:
            break
        if time.monotonic() >= deadline:
            raise WorkersRefuse(f"the registry's process {asked[0].pid} does not answer; restart the registry")
        await asyncio.sleep(LOOK)
    for worker in workers:
        if worker.problem:
            raise WorkersRefuse(
                f"the registry's process {worker.pid} cannot use the new storage: {worker.problem}; it must be able to "
                "read the file of --to and to reach that storage"
            )
    return workers


async def wait_until_left(files: RegistryFiles, patience: float) -> list[WorkerState]:
    """Wait until all workers serve another storage; return those that do not when the time is over (seconds)."""
    deadline = time.monotonic() + patience
    while True:
        workers = roster(files)
        if not workers or time.monotonic() >= deadline:
            return workers
        await asyncio.sleep(LOOK)
