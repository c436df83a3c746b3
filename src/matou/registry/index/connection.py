"""How a SQLite connection of the index is opened."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BUSY_TIMEOUT = 30.0  # seconds; writers queue on a file lock, so only checkpoints and backups are ever waited for
READER_CACHE_KIB = 16 * 1024


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Open a connection in autocommit mode, for use by one thread.

    Args:
        path: the database, migrated.
        read_only: whether statements that write are refused.
    """
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT, isolation_level=None, cached_statements=256, check_same_thread=False
    )
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
        connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB}")
    else:
        # The journal is folded into the database after 16 MiB: rarely enough not to slow pushes down.
        connection.execute("PRAGMA wal_autocheckpoint = 4096")
    return connection
