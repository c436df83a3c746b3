"""What a worker does besides answering: durable links, leftovers of killed processes, abandoned uploads, the journal.

Concurrency: tasks on the worker's event loop. What one worker of a machine is enough for is done by whoever holds the
lock file at the time. Every step can be killed and run again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from typing import TYPE_CHECKING

from matou.registry.drivers.base import StorageError
from matou.registry.files import FileLock
from matou.registry.index import changes
from matou.registry.index.writer import IndexFailed, IndexFull
from matou.registry.reserve import keep_reserve

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from matou.registry.blobs.projector import Projector
    from matou.registry.drivers.base import Driver
    from matou.registry.files import RegistryFiles
    from matou.registry.index.writer import Writer
    from matou.registry.ownership.lease import Lease
    from matou.registry.purging import UploadPurging

log = logging.getLogger("matou.registry")

FAILURES = (StorageError, IndexFull, IndexFailed)  # whose message says all

FLUSH_INTERVAL = 10.0  # seconds between flushes of links
RECOVER_INTERVAL = 60.0  # seconds
RECOVER_AGE = 60.0  # seconds; a living worker flushes long before
SHARED_RECOVER_AGE = 180.0  # seconds; in object storage it looks at links once more after ``projector.SETTLING``
SWEEP_INTERVAL = 60.0  # seconds
SWEEP_AGE = 300.0  # seconds; storing a small file takes far less
SHARED_SWEEP_INTERVAL = 6 * 3600.0  # seconds; object storage is swept by one worker, as requests cost time and money
SHARED_SWEEP_AGE = 2 * 86400.0  # seconds; a large blob may be on its way for hours
TRIM_INTERVAL = 3600.0  # seconds
RESERVE_INTERVAL = 300.0  # seconds
PURGE_INTERVAL = 60.0  # seconds between two looks whether purging is due
FIRST = 20.0  # seconds from the start to the first run of everything, at most
JOURNAL_AGE = 7 * 86400.0  # seconds
TRIM_BATCH = 10_000  # entries a transaction


class Maintenance:
    """The background work of one worker.

    Args:
        driver: the storage.
        writer: of the index.
        projector: of links.
        files: of the registry.
        lease: within which storage is changed; None where nobody else can serve it.
    """

    def __init__(
        self,
        driver: Driver,
        writer: Writer,
        projector: Projector,
        files: RegistryFiles,
        lease: Lease | None = None,
    ) -> None:
        self._driver = driver
        self._writer = writer
        self._projector = projector
        self._files = files
        self._lease = lease
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, loop: asyncio.AbstractEventLoop, purging: UploadPurging | None) -> None:
        """Begin."""
        work: list[tuple[str, float, Callable[[], Awaitable[object]]]] = [
            ("flush links", FLUSH_INTERVAL, self._projector.flush),
            ("recover links", RECOVER_INTERVAL, self._recover),
            ("trim the journal", TRIM_INTERVAL, self._trim),
            ("keep room for a start", RESERVE_INTERVAL, self._keep_reserve),
        ]
        if self._driver.shared:
            work.append(("look at links once more", FLUSH_INTERVAL, self._settle))
            work.append(("delete what was left unfinished", SHARED_SWEEP_INTERVAL, self._sweep_shared))
        else:
            work.append(("delete what was left unfinished", SWEEP_INTERVAL, lambda: self._driver.sweep(SWEEP_AGE)))
        if purging is not None:
            interval = min(purging.interval, PURGE_INTERVAL)
            work.append(("purge uploads", interval, lambda: self._purge_when_due(purging)))
        self._tasks = [loop.create_task(self._repeat(name, interval, step)) for name, interval, step in work]

    async def stop(self) -> None:
        """End the tasks and make durable what is not."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self._projector.flush()
        except FAILURES as error:
            log.error("links could not be made durable: %s; the next start sees to it", error)  # noqa: TRY400 -- the cause is known

    async def _repeat(self, name: str, interval: float, step: Callable[[], Awaitable[object]]) -> None:
        # Not at once, when a start has enough to do, but soon: a registry may be restarted more often than every hour.
        await asyncio.sleep(min(interval, FIRST))
        while True:
            try:
                await step()
            except FAILURES as error:
                log.error("could not %s: %s; trying again in %.0f s", name, error, interval)  # noqa: TRY400 -- as above
            except Exception:
                log.exception("could not %s; trying again in %.0f s", name, interval)
            await asyncio.sleep(interval)

    @property
    def _is_ours(self) -> bool:
        """Whether nobody else can be serving the storage."""
        return self._lease is None or self._lease.is_good

    async def _recover(self) -> None:
        if self._is_ours:
            await self._projector.recover(SHARED_RECOVER_AGE if self._driver.shared else RECOVER_AGE)

    async def _settle(self) -> None:
        if self._is_ours:
            await self._projector.settle()

    async def _trim(self) -> None:
        before = changes.now_us() - int(JOURNAL_AGE * 1_000_000)
        trimmed = TRIM_BATCH
        while trimmed == TRIM_BATCH:
            trimmed = await self._writer.run(lambda connection: changes.trim_journal(connection, before, TRIM_BATCH))

    async def _sweep_shared(self) -> None:
        with contextlib.closing(FileLock(self._files.maintenance_lock)) as lock:
            if lock.try_exclusive() and self._is_ours:
                await self._driver.sweep(SHARED_SWEEP_AGE)

    async def _keep_reserve(self) -> None:
        keep_reserve(self._files.reserve)

    async def _purge_when_due(self, purging: UploadPurging) -> None:
        """Purge when no worker, before or after a restart, has done so for the time of an interval."""
        with contextlib.closing(FileLock(self._files.maintenance_lock)) as lock:
            if lock.try_exclusive() and self._is_ours and _age(self._files.purged) >= purging.interval:
                await purging.run()
                self._files.purged.touch()


def _age(path: Path) -> float:
    """Return the seconds since a file was modified; infinity when there is none."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return math.inf
