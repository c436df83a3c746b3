from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

from matou.registry.index import migrate
from matou.registry.index.revisions import run, schema

if TYPE_CHECKING:
    from pathlib import Path

STARTS = """
import sys
from pathlib import Path
import matou.registry.server
from matou.registry.index.migrate import check_current, upgrade
for _ in range(2):
    upgrade(Path(sys.argv[1]))
check_current(Path(sys.argv[1]))
assert not {"alembic", "sqlalchemy"} & set(sys.modules)
"""


def described(path: Path) -> tuple[list[tuple[str, ...]], list[tuple[str]], str]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name").fetchall()
        revisions = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    return [(*others, " ".join((sql or "").split())) for *others, sql in rows], revisions, mode


def test_the_schema_of_a_new_index_is_what_the_migrations_make(tmp_path: Path) -> None:
    assert schema() == migrate.SCHEMA
    migrate.upgrade(tmp_path / "new" / "index.db")
    run(tmp_path / "migrated.db")
    assert described(tmp_path / "new" / "index.db") == described(tmp_path / "migrated.db")


def test_an_index_without_a_revision_gets_all_migrations(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    migrate.upgrade(path)
    migrate.check_current(path)


def test_an_index_that_is_new_or_up_to_date_needs_no_alembic(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", STARTS, tmp_path / "index.db"], check=True)
