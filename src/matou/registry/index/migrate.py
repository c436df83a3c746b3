"""Brings the index's schema up to date. Runs in one process, before any worker opens the index.

A new index is made from ``schema.sql``, which has what all migrations make. So only an index that lacks some needs
Alembic, whose modules take nearly as long to load as all others of a registry.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

SCHEMA = (Path(__file__).parent / "schema.sql").read_text()
HEAD = SCHEMA.partition("-- Revision ")[2].split(maxsplit=1)[0]


class SchemaError(Exception):
    """The index was written by a version of Matou that this one does not know."""


def upgrade(path: Path) -> None:
    """Make the SQLite database when missing and run the migrations that it lacks, in one transaction each.

    Raises:
        SchemaError: the database is newer than this program.
        sqlite3.Error: it cannot be read or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        is_new = connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None
        found = _revision(connection)
        connection.execute("COMMIT")
        if is_new:
            connection.executescript(f"BEGIN IMMEDIATE;\n{SCHEMA}COMMIT;\n")
    if not is_new and found != HEAD:
        from matou.registry.index.revisions import UnknownRevision, run  # noqa: PLC0415 -- see above

        try:
            run(path)
        except UnknownRevision as error:
            raise SchemaError(
                f"{path} has a schema that this version of Matou does not know (it knows up to {HEAD}): {error}. "
                "Use the newer version again, or rebuild the index with: matou registry reindex CONFIG"
            ) from error


def check_current(path: Path) -> None:
    """Find out whether a database has the schema of this program, without changing it.

    Raises:
        SchemaError: it has another.
        sqlite3.Error: it cannot be read.
    """
    with contextlib.closing(sqlite3.connect(path)) as connection:
        found = _revision(connection)
    if found != HEAD:
        raise SchemaError(
            f"{path} has the schema {found}, this version of Matou has {HEAD}, and another registry runs on the "
            "tree; stop that one, then start this one"
        )


def _revision(connection: sqlite3.Connection) -> str | None:
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone() is None:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else None
