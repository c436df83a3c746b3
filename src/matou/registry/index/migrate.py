"""Brings the index's schema up to date. Runs in one process, before any worker opens the index."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine.interfaces import DBAPIConnection

MIGRATIONS = Path(__file__).parent / "migrations"


class SchemaError(Exception):
    """The index was written by a version of Matou that this one does not know."""


def upgrade(path: Path) -> None:
    """Make the SQLite database when missing and run the migrations that it lacks, in one transaction each.

    Raises:
        SchemaError: the database is newer than this program.
        sqlite3.Error: it cannot be read or written.
    """
    with _alembic(path) as configuration:
        try:
            command.upgrade(configuration, "head")
        except CommandError as error:
            raise SchemaError(
                f"{path} has a schema that this version of Matou does not know (it knows up to {_head()}): {error}. "
                "Use the newer version again, or rebuild the index with: matou registry reindex CONFIG"
            ) from error


def check_current(path: Path) -> None:
    """Find out whether a database has the schema of this program, without changing it.

    Raises:
        SchemaError: it has another.
        sqlite3.Error: it cannot be read.
    """
    with _alembic(path) as configuration:
        found = MigrationContext.configure(configuration.attributes["connection"]).get_current_revision()
    if found != _head():
        raise SchemaError(
            f"{path} has the schema {found}, this version of Matou has {_head()}, and another registry runs on the "
            "tree; stop that one, then start this one"
        )


@contextlib.contextmanager
def _alembic(path: Path) -> Iterator[Config]:
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool)
    sa.event.listen(engine, "connect", _prepare)
    sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    configuration = Config()
    configuration.set_main_option("script_location", str(MIGRATIONS))
    configuration.set_main_option("path_separator", "os")
    try:
        with engine.connect() as connection:
            configuration.attributes["connection"] = connection
            yield configuration
    except sa.exc.DBAPIError as error:
        if isinstance(error.orig, sqlite3.Error):
            raise error.orig from error
        raise
    finally:
        engine.dispose()


def _head() -> str | None:
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


def _prepare(connection: DBAPIConnection, _record: Any) -> None:
    # SQLAlchemy's pysqlite begins no transaction before DDL; with autocommit here, our own BEGIN does.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
