"""The one writer of a worker: a thread that runs changes in groups, one transaction and one fsync a group.

Concurrency: changes are submitted from the event loop and run in the thread, in order. Workers exclude each other with
an advisory lock on a file beside the database, which queues fairly (SQLite's own lock polls) and which a killed
process releases.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import queue
import sqlite3
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from matou.registry.index.connection import connect

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator
    from pathlib import Path

T = TypeVar("T")

GROUP = 256  # changes a transaction at most, so that the first of them does not wait long


class IndexFull(Exception):  # noqa: N818 -- the storage term
    """There is no room for the change (SQLITE_FULL, ENOSPC)."""


class IndexFailed(Exception):  # noqa: N818 -- as IndexFull
    """The database failed; its message says how."""


class _Change(NamedTuple):
    operation: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any]


class Writer:
    """Runs changes.

    Args:
        path: the database, migrated.
        loop: the event loop of the callers.
    """

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop) -> None:
        self._path = path
        self._loop = loop
        self._queue: queue.SimpleQueue[_Change | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="index-writer", daemon=True)
        self._thread.start()

    async def run(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """Run a change in a transaction and return its result once it is durable.

        An exception of the operation takes back that operation alone.

        Raises:
            IndexFull: no room.
            IndexFailed: the database failed.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Change(operation, future))
        return await future

    def close(self) -> None:
        """Finish the changes that were submitted and end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        connection = connect(self._path, read_only=False)
        lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            while group := self._next_group():
                outcomes = _run_group(connection, lock, [change.operation for change in group])
                self._resolve(group, outcomes)
        finally:
            os.close(lock)
            connection.close()

    def _next_group(self) -> list[_Change]:
        first = self._queue.get()
        if first is None:
            return []
        group = [first]
        with contextlib.suppress(queue.Empty):
            while len(group) < GROUP:
                change = self._queue.get_nowait()
                if change is None:
                    self._queue.put(None)  # end after this group
                    break
                group.append(change)
        return group

    def _resolve(self, group: list[_Change], outcomes: list[_Outcome]) -> None:
        def resolve() -> None:
            for change, outcome in zip(group, outcomes, strict=True):
                if change.future.done():
                    continue  # the client went away
                if outcome.error is None:
                    change.future.set_result(outcome.result)
                else:
                    change.future.set_exception(outcome.error)

        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(resolve)


class _Outcome(NamedTuple):
    result: Any
    error: Exception | None


def _run_group(
    connection: sqlite3.Connection, lock: int, operations: list[Callable[[sqlite3.Connection], Any]]
) -> list[_Outcome]:
    outcomes: list[_Outcome] = []
    try:
        with exclusive(lock):
            connection.execute("BEGIN IMMEDIATE")
            try:
                outcomes = [_run_one(connection, operation) for operation in operations]
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
    except (sqlite3.Error, OSError, IndexFull) as error:
        failure = translated(error)
        return [_Outcome(None, outcome.error or failure) for outcome in outcomes] + [
            _Outcome(None, failure) for _ in operations[len(outcomes) :]
        ]
    return outcomes


def _run_one(connection: sqlite3.Connection, operation: Callable[[sqlite3.Connection], Any]) -> _Outcome:
    connection.execute("SAVEPOINT change")
    try:
        result = operation(connection)
    except (sqlite3.OperationalError, sqlite3.DatabaseError) as error:
        if not connection.in_transaction:
            raise  # SQLite itself took everything back (no room, input/output error)
        connection.execute("ROLLBACK TO change")
        connection.execute("RELEASE change")
        return _Outcome(None, translated(error))
    except Exception as error:  # noqa: BLE001 -- it is the caller's, and goes to the caller
        connection.execute("ROLLBACK TO change")
        connection.execute("RELEASE change")
        return _Outcome(None, error)
    connection.execute("RELEASE change")
    return _Outcome(result, None)


@contextlib.contextmanager
def exclusive(lock: int) -> Iterator[None]:
    """Hold the advisory lock of an open file."""
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)


def translated(error: Exception) -> IndexFull | IndexFailed:
    """Return the index's own exception for one of SQLite or of the operating system."""
    if isinstance(error, IndexFull | IndexFailed):
        return error
    no_room = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL or (
        isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    )
    if no_room:
        return IndexFull("no space left for the index")
    return IndexFailed(f"the index failed: {error}")
