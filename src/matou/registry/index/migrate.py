"""Brings the index's schema up to date. Runs in one process, before any worker opens the index."""

from __future__ import annotations

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


class SchemaError(Exception):
    """The index was written by a version of Matou that this one does not know."""


def upgrade(path: Path) -> None:
    """Make the SQLite database when missing and run the migrations that it lacks, in one transaction each.

    Raises:
        SchemaError: the database is newer than this program.
    """
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
            command.upgrade(configuration, "head")
    except CommandError as error:
        head = ScriptDirectory.from_config(configuration).get_current_head()
        raise SchemaError(
            f"{path} has a schema that this version of Matou does not know (it knows up to {head}): {error}. "
            "Use the newer version again, or rebuild the index with: matou registry reindex CONFIG"
        ) from error
    finally:
        engine.dispose()


def _prepare(connection: DBAPIConnection, _record: Any) -> None:
    # SQLAlchemy's pysqlite begins no transaction before DDL; with autocommit here, our own BEGIN does.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
