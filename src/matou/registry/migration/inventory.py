"""What both sides of a migration have, in a temporary database: millions of objects at little memory.

Concurrency: used by one event loop. The database is private to its connection; SQLite keeps it in memory as far as its
cache goes, on disk beyond (``SQLITE_TMPDIR``, ``/var/tmp``), and it is gone with the process, however that ends.
"""

from __future__ import annotations

import hashlib
import sqlite3
from typing import TYPE_CHECKING, NamedTuple

from matou.registry.migration.tree_objects import Stage, TreeObject

if TYPE_CHECKING:
    from collections.abc import Iterator

CACHE_KIB = 64 * 1024
PAGE = 1000  # rows read at a time
KEY_SIZE = 16  # bytes of a hash of a path: two of a billion paths have the same one with a probability of 10^-21

SCHEMA = """
    CREATE TABLE objects (
        key BLOB PRIMARY KEY, size INTEGER, is_deletable INTEGER, at_source INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    CREATE TABLE work (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        stage INTEGER NOT NULL, path BLOB NOT NULL, size INTEGER NOT NULL, existing INTEGER
    );
    CREATE INDEX work_of_stage ON work (stage, id);
"""


class Amount(NamedTuple):
    """How much of something.

    Attributes:
        objects: how many.
        bytes: of them.
    """

    objects: int = 0
    bytes: int = 0

    def plus(self, size: int) -> Amount:
        """Return this and one object more."""
        return Amount(self.objects + 1, self.bytes + size)


class Inventory:
    """The objects of both sides, by a hash of their paths, and the work that is left."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", isolation_level=None)
        self._execute = self._connection.execute
        self._execute("PRAGMA journal_mode = OFF")
        self._execute("PRAGMA synchronous = OFF")
        self._execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._connection.executescript(SCHEMA)
        self._execute("BEGIN")

    def add_existing(self, path: str, size: int, *, is_deletable: bool = True) -> None:
        """Record that the destination has an object, and whether it may be deleted."""
        self._execute(
            "INSERT INTO objects (key, size, is_deletable) VALUES (?, ?, ?) "
            "ON CONFLICT (key) DO UPDATE SET size = excluded.size",
            (_key(path), size, is_deletable),
        )

    def deletable(self) -> int:
        """Return how many objects the destination has that may be deleted, because the source does not have them."""
        query = "SELECT count(*) FROM objects WHERE NOT at_source AND is_deletable AND size IS NOT NULL"
        return int(self._execute(query).fetchone()[0])

    def forget_existing(self, path: str) -> None:
        """Record that the destination no longer has an object."""
        self._execute("UPDATE objects SET size = NULL WHERE key = ?", (_key(path),))

    def existing(self, path: str) -> int | None:
        """Return the bytes that the destination has at a path, or None."""
        row = self._execute("SELECT size FROM objects WHERE key = ?", (_key(path),)).fetchone()
        return None if row is None else row[0]

    def add_wanted(self, path: str) -> int | None:
        """Record that the source has an object; return the bytes that the destination has there, or None."""
        key = _key(path)
        row = self._execute("SELECT size FROM objects WHERE key = ?", (key,)).fetchone()
        self._execute(
            "INSERT INTO objects (key, at_source) VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET at_source = 1", (key,)
        )
        return None if row is None else row[0]

    def is_wanted(self, path: str) -> bool:
        """Tell whether the source has an object."""
        row = self._execute("SELECT at_source FROM objects WHERE key = ?", (_key(path),)).fetchone()
        return row is not None and bool(row[0])

    def add_work(self, item: TreeObject) -> None:
        """Put an object in the line of those that have to be looked at."""
        self._execute(
            "INSERT INTO work (stage, path, size, existing) VALUES (?, ?, ?, ?)",
            (item.stage, _encoded(item.path), item.size, item.existing),
        )

    def take_work(self, stage: Stage) -> Iterator[TreeObject]:
        """Yield the objects of a stage in the order in which they came; they leave the line.

        What is put in the line meanwhile is left there for the next call.
        """
        last = self._execute("SELECT max(id) FROM work WHERE stage = ?", (stage,)).fetchone()[0] or 0
        after = 0
        while True:
            rows = self._execute(
                "SELECT id, path, size, existing FROM work WHERE stage = ? AND id > ? AND id <= ? ORDER BY id LIMIT ?",
                (stage, after, last, PAGE),
            ).fetchall()
            if not rows:
                return
            after = rows[-1][0]
            self._execute("DELETE FROM work WHERE stage = ? AND id <= ?", (stage, after))
            for _, path, size, existing in rows:
                yield TreeObject(_decoded(path), size, stage, existing)

    def clear_work(self) -> None:
        """Empty the line."""
        self._execute("DELETE FROM work")

    def close(self) -> None:
        """Forget everything."""
        self._connection.close()


def _encoded(path: str) -> bytes:
    # A file system may hold names that are no text; they are reported, which they must survive up to here.
    return path.encode("utf-8", "surrogateescape")


def _decoded(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def _key(path: str) -> bytes:
    return hashlib.blake2b(_encoded(path), digest_size=KEY_SIZE).digest()
