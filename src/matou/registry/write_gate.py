"""Keeps changes from being made while the storage is exchanged for another one, or another registry may serve it.

Concurrency: two files' locks, shared by all workers of all registries that serve a storage, and released by the kernel
when a process ends. A change passes the turnstile, and holds ``changing`` together with the others of its worker. Who
exchanges the storage holds the turnstile alone, so that no change begins, and then has ``changing`` alone once those
that had begun have ended. Were there one lock only, changes that overlap would keep it for ever.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

from matou.registry.errors import RegistryError
from matou.registry.files import FileLock
from matou.registry.migration.roster import roster

if TYPE_CHECKING:
    from matou.registry.files import RegistryFiles
    from matou.registry.ownership.lease import Lease

NAP = 0.02  # seconds between two looks whether changes may go on
LONGEST_PAUSE = 60.0  # seconds that a request waits
LONGEST_FAREWELL = 20.0  # seconds that other workers get to leave the old storage


class WriteGate:
    """A worker's way to change what is in a storage.

    Args:
        files: of the storage.
        left: files of the storage in whose place it has come, if it has.
        lease: within which changes are made; None where nobody else can serve the storage.
    """

    def __init__(self, files: RegistryFiles, left: RegistryFiles | None = None, lease: Lease | None = None) -> None:
        self._left = left
        self._patience = time.monotonic() + LONGEST_FAREWELL
        self._turnstile = FileLock(files.turnstile)
        self._changing = FileLock(files.changing)
        self._moved = files.moved
        self._lease = lease
        self._count = 0

    def try_enter(self) -> bool:
        """Begin a change unless the storage is being, or has been, exchanged; return whether.

        Raises:
            RegistryError: UNAVAILABLE: another registry serves the storage, or may do so.
        """
        if self._lease is not None and not self._lease.is_pending:
            self._lease.check()
        if (self._left is not None and not self._all_have_left(self._left)) or not self._turnstile.try_share():
            return False
        try:
            if self._moved.exists() or (self._lease is not None and self._lease.is_pending):
                return False
            if self._count == 0 and not self._changing.try_share():
                return False
        finally:
            self._turnstile.release()
        self._count += 1
        return True

    def _all_have_left(self, left: RegistryFiles) -> bool:
        if time.monotonic() < self._patience and roster(left):
            return False
        self._left = None
        return True

    def leave(self) -> None:
        """End a change."""
        self._count -= 1
        if self._count == 0:
            self._changing.release()

    def close(self) -> None:
        """Give the files back, once all changes have ended."""
        self._turnstile.close()
        self._changing.close()


class HasGate(Protocol):
    """What ``Change`` needs of a worker's context: the gate of its present storage."""

    gate: WriteGate


class Change:
    """``async with``: a change, from the first byte that it stores to the last link. Waits while that cannot be.

    Args:
        context: its parts, the gate among them, may be others after waiting.
    """

    __slots__ = ("_context", "_gate")

    def __init__(self, context: HasGate) -> None:
        self._context = context
        self._gate = context.gate

    async def __aenter__(self) -> None:
        self._gate = self._context.gate
        if self._gate.try_enter():
            return
        deadline = time.monotonic() + LONGEST_PAUSE
        while not self._gate.try_enter():
            if time.monotonic() >= deadline:
                raise RegistryError(
                    "UNAVAILABLE",
                    "the registry's storage is being exchanged",
                    detail="nothing was changed; repeat the request in a minute",
                )
            await asyncio.sleep(NAP)
            self._gate = self._context.gate

    async def __aexit__(self, *_: object) -> None:
        self._gate.leave()
