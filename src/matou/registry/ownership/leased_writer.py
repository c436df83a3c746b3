"""The writer of an index whose changes count only as long as nobody else serves the storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from matou.registry.index.writer import Writer
    from matou.registry.ownership.lease import Lease

T = TypeVar("T")


class RunsChanges(Protocol):
    """What handlers need of a writer."""

    async def run(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """See ``Writer.run``."""
        ...


class LeasedWriter:
    """Asks the lease again before each change: what came before it, such as storing a large blob, may take long.

    Args:
        writer: of the index.
        lease: of the registry.
    """

    def __init__(self, writer: Writer, lease: Lease) -> None:
        self._writer = writer
        self._lease = lease

    async def run(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """See ``Writer.run``.

        Raises:
            RegistryError: UNAVAILABLE: another registry serves the storage, or may do so.
        """
        self._lease.check()
        return await self._writer.run(operation)
