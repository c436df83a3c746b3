"""The one writer of a worker: runs changes in groups, one transaction and one fsync a group.

Concurrency: changes are submitted from the event loop and run on it, in order, a few microseconds each; only what
waits for the disk (the commit) or for other workers (the lock) is left to a thread. Running the statements in a
thread, too, costs more than they do: SQLite releases Python's lock around each, and the thread has to win it back from
the loop. Workers exclude each other with an advisory lock on a file beside the database, which queues fairly (SQLite's
own lock polls) and which a killed process releases.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import sqlite3
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from matou.registry.index.connection import BUSY_TIMEOUT, connect
from matou.registry.threads import in_thread

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

T = TypeVar("T")

log = logging.getLogger("matou.registry")

GROUP = 64  # changes a transaction at most, so that neither the first of them nor the loop waits long


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
        self._loop = loop
        self._connection = connect(path, read_only=False)
        self._connection.execute("PRAGMA busy_timeout = 0")  # nothing waits on the loop
        self._lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="index-commit")
        self._pending: deque[_Change] = deque()
        self._task: asyncio.Task[None] | None = None

    async def run(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """Run a change in a transaction and return its result once it is durable.

        An exception of the operation takes back that operation alone.

        Raises:
            IndexFull: no room.
            IndexFailed: the database failed.
        """
        future: asyncio.Future[T] = self._loop.create_future()
        self._pending.append(_Change(operation, future))
        if self._task is None or self._task.done():
            self._task = self._loop.create_task(self._work())
        return await future

    async def close(self) -> None:
        """Finish the changes that were submitted and close the connection."""
        try:
            if self._task is not None:
                await self._task
        finally:
            self._thread.shutdown()
            self._connection.close()
            os.close(self._lock)

    async def _work(self) -> None:
        while self._pending:
            group = [self._pending.popleft() for _ in range(min(GROUP, len(self._pending)))]
            try:
                outcomes = await self._run_group([change.operation for change in group])
            except BaseException as error:
                # Whoever waits must hear of it, whatever it is.
                _settle(group, [_Outcome(None, IndexFailed(f"the change broke off: {error!r}"))] * len(group))
                if not isinstance(error, Exception):
                    raise
                log.exception("a group of %d changes of the index broke off", len(group))
            else:
                _settle(group, outcomes)

    async def _run_group(self, operations: list[Callable[[sqlite3.Connection], Any]]) -> list[_Outcome]:
        connection = self._connection
        outcomes: list[_Outcome] = []
        try:
            async with self._exclusive():
                try:
                    await self._begin()
                    outcomes = [_run_one(connection, operation) for operation in operations]
                    await in_thread(self._thread, connection.execute, "COMMIT")
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

    async def _begin(self) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            # Not a worker: a person's sqlite3 or a backup, or the first to open the index after a kill.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            await in_thread(self._thread, self._begin_patiently)

    def _begin_patiently(self) -> None:
        self._connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT * 1000)}")
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        finally:
            self._connection.execute("PRAGMA busy_timeout = 0")

    @contextlib.asynccontextmanager
    async def _exclusive(self) -> AsyncIterator[None]:
        try:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                await in_thread(self._thread, fcntl.flock, self._lock, fcntl.LOCK_EX)
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)  # also when cancelled while the thread got it


class _Outcome(NamedTuple):
    result: Any
    error: Exception | None


def _settle(group: list[_Change], outcomes: list[_Outcome]) -> None:
    for change, outcome in zip(group, outcomes, strict=True):
        if change.future.done():
            continue  # the client went away
        if outcome.error is None:
            change.future.set_result(outcome.result)
        else:
            change.future.set_exception(outcome.error)


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


def translated(error: Exception) -> IndexFull | IndexFailed:
    """Return the index's own exception for one of SQLite or of the operating system."""
    if isinstance(error, IndexFull | IndexFailed):
        return error
    if is_lack_of_room(error):
        return IndexFull("no space left for the index")
    if is_damage(error):
        return IndexFailed(
            f"the index is damaged: {error}; stop the registry, run 'matou registry reindex CONFIG', and start it again"
        )
    return IndexFailed(f"the index failed: {error}")


def is_lack_of_room(error: Exception) -> bool:
    """Tell whether an exception says that the disk is full."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    code = getattr(error, "sqlite_errorcode", 0)
    # The memory that connections share is a file, too, which SQLite makes before it reads.
    return code & 0xFF == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE


def is_damage(error: Exception) -> bool:
    """Tell whether an exception says that the database is no longer one, which only a new one mends."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
