"""A new SQLite index built beside the one in use, which it replaces in one step when it is complete.

Concurrency: nobody else uses either meanwhile; the lock of the tree sees to it. Whenever the process is killed, what
bears the index's name is the old index, the new one, or nothing, and never a part of one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from typing import TYPE_CHECKING

from matou.registry.index import queries
from matou.registry.index.connection import connect
from matou.registry.index.migrate import upgrade
from matou.system.files import sync

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger("matou.registry")

COMPANIONS = ("-wal", "-shm", "-journal")  # what SQLite puts beside a database


@contextlib.contextmanager
def replacement(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection to a new, empty index; put it in the place of the old one unless there is an exception.

    The journal goes along: those who follow it must find what they have not read yet.

    Args:
        path: of the index.

    Raises:
        sqlite3.Error: the new index cannot be written.
        OSError: as above.
    """
    building = path.with_name(f"{path.name}.building")
    remove_index(building)
    try:
        upgrade(building)
        connection = connect(building, read_only=False)
        try:
            # Nothing is lost in a crash: the index is only used when it is complete and durable.
            connection.execute("PRAGMA journal_mode = MEMORY")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            yield connection
            _carry_journal(connection, path)
            connection.execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()
        sync(building)
        remove_index(path)
        building.rename(path)
        sync(path.parent)
    except BaseException:
        remove_index(building)
        raise


def set_aside(path: Path) -> Path:
    """Move an index that cannot be used out of the way, for whoever wants to look at it; return where to."""
    target = path.with_name(f"{path.name}.damaged")
    remove_index(target)
    path.rename(target)
    for suffix in COMPANIONS:
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(target.with_name(target.name + suffix))
    return target


def remove_index(path: Path) -> None:
    """Delete an index, if there is one.

    The database goes first: SQLite drops the log of a missing database, but a database without the log that belongs to
    it may be damaged.
    """
    for suffix in ("", *COMPANIONS):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _carry_journal(connection: sqlite3.Connection, old: Path) -> None:
    if not old.exists():
        return
    try:
        connection.execute("ATTACH :path AS old", {"path": os.fspath(old)})
        for statement in queries.CARRY_JOURNAL:
            connection.execute(statement)
    except sqlite3.Error as error:
        log.warning("reindex: the journal of the old index is lost, because it cannot be read: %s", error)
    finally:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("DETACH old")
