"""The way to the switch-over: what has changed is copied, again and again, until little is left.

Where changes come faster than they can be copied there would be no end: then they may begin for a part of the time
only. Those that wait do so for seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from typing import TYPE_CHECKING, Protocol

from matou.registry.files import FileLock
from matou.registry.migration.switch import NAP

if TYPE_CHECKING:
    from matou.registry.files import RegistryFiles
    from matou.registry.migration.report import Observer

FEW = 200  # changes that may be left for the moment in which changes wait
LITTLE = 64 << 20  # bytes that may be left for it
PIECE = 500  # changes that are copied before it is looked how many are left
CHECK = 5.0  # seconds between two looks whether they get fewer
FEWER = 0.95  # of what was left at the look before; if it is more, changes are slowed down, or slowed down more
FIRST_HOLD = 1.0  # seconds for which no change begins; doubled when that does not do
LONGEST_HOLD = 16.0  # seconds
INTERVAL = 0.5  # seconds for which changes may begin in between


class Follower(Protocol):
    """What copies; see ``following.JournalFollower``."""

    changes: int

    async def catch_up(self, most: int) -> int:
        """Copy what has changed since the last time, or so many changes of it."""
        ...

    def behind(self) -> int:
        """Return how many changes wait."""
        ...

    def pending(self, limit: int) -> tuple[int, int]:
        """Return how many changes wait, up to a limit, and the bytes of the content that has to be copied for them."""
        ...


class Approach:
    """See the module.

    Args:
        follower: copies.
        files: of the source's registry.
        observer: is told how it goes on.

    Attributes:
        slowed: seconds for which changes were slowed down.
    """

    def __init__(self, follower: Follower, files: RegistryFiles, observer: Observer) -> None:
        self._follower = follower
        self._files = files
        self._observer = observer
        self.slowed = 0.0

    async def run(self) -> None:
        """Copy until little is left.

        Raises:
            StorageError: something cannot be copied.
        """
        brake = Brake(self._files)
        looked, before = time.monotonic(), math.inf
        try:
            while True:
                await self._follower.catch_up(PIECE)
                self._observer.phase("following the registry", self._follower.changes)
                if self.is_little():
                    return
                now = time.monotonic()
                if now - looked >= CHECK:
                    behind = self._follower.behind()
                    if behind > FEWER * before:
                        brake.tighten()
                    looked, before = now, behind
        finally:
            self.slowed += await brake.release()

    def is_little(self) -> bool:
        """Tell whether what is left can be copied while changes wait."""
        count, size = self._follower.pending(FEW)
        return count < FEW and size <= LITTLE


class Brake:
    """Keeps changes from beginning for most of the time.

    Args:
        files: of the registry.
    """

    def __init__(self, files: RegistryFiles) -> None:
        self._turnstile = FileLock(files.turnstile)
        self._hold = 0.0
        self._began = 0.0
        self._task: asyncio.Task[None] | None = None

    def tighten(self) -> None:
        """Slow changes down, or more than before."""
        self._hold = min(2 * self._hold or FIRST_HOLD, LONGEST_HOLD)
        if self._task is None:
            self._began = time.monotonic()
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while True:
            while not self._turnstile.try_exclusive():  # noqa: ASYNC110 -- a lock of the kernel tells nobody
                await asyncio.sleep(NAP)
            try:
                await asyncio.sleep(self._hold)
            finally:
                self._turnstile.release()
            await asyncio.sleep(INTERVAL)

    async def release(self) -> float:
        """Let all changes begin; return the seconds for which they were slowed down."""
        try:
            if self._task is None:
                return 0.0
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            return time.monotonic() - self._began
        finally:
            self._turnstile.close()
