"""Until when the registries of a directory may take it that nobody has succeeded them.

Concurrency: a few numbers in a file that all processes of the machine map. They are written by whoever holds the lock
of renewing; each is aligned and written at once, so readers need no lock. The clock is the system's monotonic one,
which the processes of a machine share; what was written before the machine was restarted does not count.
"""

from __future__ import annotations

import math
import mmap
import os
import struct
import time
import zlib
from typing import TYPE_CHECKING

from matou.registry.errors import RegistryError
from matou.system.boot import boot_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LEASE = 45.0  # seconds from the beginning of a renewal; others wait for ``claim.DEAD``, which is longer
_FIELD = struct.Struct("d")
_UNTIL, _SINCE, _LOST, _BOOT = (index * _FIELD.size for index in range(4))
_SIZE = 4 * _FIELD.size


class Lease:
    """The lease of a directory.

    Args:
        path: of the file; made when missing.
        clock: seconds.

    Raises:
        OSError: the file cannot be used.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.ftruncate(descriptor, _SIZE)
            self._memory = mmap.mmap(descriptor, _SIZE)
        finally:
            os.close(descriptor)
        self._boot = float(zlib.crc32(boot_id().encode()))
        if self._get(_BOOT) != self._boot:
            self.reset()

    def now(self) -> float:
        """Return the time of the clock."""
        return self._clock()

    def _get(self, offset: int) -> float:
        return float(_FIELD.unpack_from(self._memory, offset)[0])

    def _put(self, offset: int, value: float) -> None:
        _FIELD.pack_into(self._memory, offset, value)

    def reset(self) -> None:
        """Begin anew: nothing is granted, and nothing lost."""
        self._put(_UNTIL, 0.0)
        self._put(_SINCE, -math.inf)
        self._put(_LOST, 0.0)
        self._put(_BOOT, self._boot)

    def grant(self, began: float) -> None:
        """Extend it.

        Args:
            began: when the renewal that succeeded was begun.
        """
        self._put(_SINCE, began)
        self._put(_UNTIL, began + LEASE)

    def lose(self) -> None:
        """End it for good: another registry serves the storage."""
        self._put(_LOST, 1.0)
        self._put(_UNTIL, 0.0)

    @property
    def is_lost(self) -> bool:
        """Whether another registry serves the storage."""
        return self._get(_LOST) != 0.0

    @property
    def is_pending(self) -> bool:
        """Whether the storage has come to this registry a moment ago, and is about to be claimed."""
        return self._get(_SINCE) == -math.inf and not self.is_lost

    @property
    def is_good(self) -> bool:
        """Whether nobody can have succeeded this registry."""
        return self._clock() < self._get(_UNTIL)

    @property
    def age(self) -> float:
        """Seconds since it was renewed last."""
        return self._clock() - self._get(_SINCE)

    def check(self) -> None:
        """Refuse a change that another registry would not see.

        Raises:
            RegistryError: UNAVAILABLE.
        """
        if self.is_good:
            return
        if self.is_lost:
            raise RegistryError(
                "UNAVAILABLE",
                "another registry serves this storage now",
                detail="nothing was stored; push to that one. Administrators: the log says which, stop one of the two",
            )
        raise RegistryError(
            "UNAVAILABLE",
            "the registry could not renew its claim to the storage",
            detail="nothing was stored; repeat it in a while. Administrators: the log says why",
        )

    def close(self) -> None:
        """Give the file back."""
        self._memory.close()
