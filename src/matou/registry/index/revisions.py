"""The migrations of the index, as Alembic runs them, and the schema that they make.

``python -m matou.registry.index.revisions`` prints ``schema.sql``.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection

MIGRATIONS = Path(__file__).parent / "migrations"


class UnknownRevision(Exception):  # noqa: N818 -- it says what was found
    """The database has a revision that is not among the migrations."""


def run(path: Path) -> None:
    """Run the migrations that a SQLite database lacks, in one transaction each.

    Raises:
        UnknownRevision: the database is newer.
        sqlite3.Error: it cannot be read or written.
    """
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool)
    sa.event.listen(engine, "connect", _prepare)
    sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    configuration = Config()
    configuration.set_main_option("script_location", str(MIGRATIONS))
    configuration.set_main_option("path_separator", "os")
    try:
        with engine.connect() as connection:
            configuration.attributes["connection"] = connection
            command.upgrade(configuration, "head")
    except CommandError as error:
        raise UnknownRevision(str(error)) from error
    except sa.exc.DBAPIError as error:
        if isinstance(error.orig, sqlite3.Error):
            raise error.orig from error
        raise
    finally:
        engine.dispose()


def _prepare(connection: DBAPIConnection, _record: Any) -> None:
    # SQLAlchemy's pysqlite begins no transaction before DDL; with autocommit here, our own BEGIN does.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")


def schema() -> str:
    """Return statements that make what all migrations make, the revision included."""
    head = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index.db"
        run(path)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            # What begins with sqlite_ SQLite makes by itself.
            rows = connection.execute(
                "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
                "ORDER BY rowid"
            )
            statements = ["\n".join(line.rstrip() for line in sql.splitlines() if line.strip()) for (sql,) in rows]
    statements.append(f"INSERT INTO alembic_version (version_num) VALUES ('{head}')")  # noqa: S608 -- a revision of ours
    lines = "".join(f"{statement};\n" for statement in statements)
    return f"-- Revision {head} of the index for SQLite, made by make reference.\n{lines}"


if __name__ == "__main__":
    print(schema(), end="")  # noqa: T201 -- what it is for
