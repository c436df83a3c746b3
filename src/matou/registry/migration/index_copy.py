"""The index at a migration: what it knows goes along, so that the first start on the new storage is quick."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from typing import TYPE_CHECKING

from matou.registry.index.connection import connect
from matou.registry.index.replacement import remove_index
from matou.registry.reindex import is_complete
from matou.system.files import sync

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger("matou.registry")


def copy_index(source: Path, target: Path) -> bool:
    """Put a copy of an index in place of another one, in one step; the source may be in use.

    Args:
        source: an index; changes that come while it is copied are in the copy or not, each as a whole.
        target: where the copy goes; nobody uses what is there.

    Returns:
        False, with nothing at the target, when the source is missing, damaged or not complete.

    Raises:
        sqlite3.Error: the copy cannot be written.
        OSError: as above.
    """
    remove_index(target)
    try:
        if not source.exists() or not is_complete(source):
            return False
    except sqlite3.DatabaseError as error:
        log.warning("the index %s cannot be read, so that the new one is built from storage: %s", source, error)
        return False
    building = target.with_name(f"{target.name}.building")
    remove_index(building)
    try:
        with (
            contextlib.closing(connect(source, read_only=True)) as origin,
            contextlib.closing(sqlite3.connect(building)) as copy,
        ):
            origin.backup(copy)
            # The log is folded in, and what is left is one file.
            copy.execute("PRAGMA journal_mode = DELETE")
            copy.execute("PRAGMA journal_mode = WAL")
        sync(building)
        building.rename(target)
        sync(target.parent)
    except BaseException:
        remove_index(building)
        raise
    return True
