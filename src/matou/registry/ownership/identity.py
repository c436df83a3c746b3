"""Who a registry is, and what its index knows of its own record.

A directory has an id, kept in a file. The index has the epoch and count of the last record that was, or was about to
be, written: an index whose count is lower than the record's is a copy, or was restored from a backup, and does not know
what was pushed since.
"""

from __future__ import annotations

import contextlib
import re
import socket
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matou.registry.index import changes, queries
from matou.registry.index.connection import connect
from matou.system.files import replace_file

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from matou.registry.files import RegistryFiles

EPOCH, COUNT = "owner_epoch", "owner_count"  # names in ``meta``
ID = re.compile(r"[0-9a-f]{32}")
MODE = 0o644


@dataclass(frozen=True, order=True, slots=True)
class Known:
    """What an index knows of its record; see ``records.Record``."""

    epoch: int
    count: int


@dataclass(frozen=True, slots=True)
class Identity:
    """A registry's directory on a machine.

    Attributes:
        id: of the directory.
        host: name of the machine.
        directory: its path.
    """

    id: str
    host: str
    directory: str


def identity_of(files: RegistryFiles) -> Identity:
    """Return who the registry of a directory is; it gets an id when it has none.

    Raises:
        OSError: the file cannot be read or written.
    """
    try:
        found = files.owner_id.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        found = ""
    if not ID.fullmatch(found):
        found = renew_id(files)
    return Identity(found, socket.gethostname(), str(files.directory))


def renew_id(files: RegistryFiles) -> str:
    """Give a directory another id, as it is a copy of one that has its id, too; return it."""
    made = uuid.uuid4().hex
    replace_file(files.owner_id, made.encode() + b"\n", MODE)
    return made


def known_of(connection: sqlite3.Connection) -> Known | None:
    """Return what an index knows; None when it knows of no record.

    Raises:
        sqlite3.Error: the index cannot be read.
    """
    values = [connection.execute(queries.META, {"name": name}).fetchone() for name in (EPOCH, COUNT)]
    if None in values:
        return None
    epoch, count = (int(row[0]) for row in values)
    return Known(epoch, count)


def known_at(index: Path) -> Known | None:
    """Return what the index of a file knows.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    with contextlib.closing(connect(index, read_only=True)) as connection:
        return known_of(connection)


def remember(connection: sqlite3.Connection, known: Known) -> None:
    """Let an index know of a record, before that is written.

    Raises:
        sqlite3.Error: the index cannot be written.
    """
    changes.put_meta(connection, EPOCH, str(known.epoch))
    changes.put_meta(connection, COUNT, str(known.count))


def forget(connection: sqlite3.Connection) -> None:
    """Let an index know of no record, as it is another storage's from now on."""
    for name in (EPOCH, COUNT):
        connection.execute(queries.DELETE_META, {"name": name})
