"""The indexes of the two storages: what they know goes along, so that the first start on the new one is quick."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from typing import TYPE_CHECKING

from matou.registry.index.connection import connect
from matou.registry.index.migrate import SchemaError, check_current, upgrade
from matou.registry.index.replacement import remove_index
from matou.registry.index.writer import IndexFailed
from matou.registry.ownership.identity import forget
from matou.registry.preparation import recover_links
from matou.registry.reindex import is_complete
from matou.system.files import sync

if TYPE_CHECKING:
    from pathlib import Path

    from matou.registry.drivers.base import Driver
    from matou.registry.files import RegistryFiles
    from matou.registry.ownership.start import Ownership

log = logging.getLogger("matou.registry")


async def bring_up_to_date(driver: Driver, files: RegistryFiles, *, is_alone: bool) -> None:
    """Write the links that an index, if there is one, knows of and its storage does not show yet.

    Args:
        driver: the storage.
        files: of its registry.
        is_alone: whether no registry runs, so that the index may be migrated to this program's schema.

    Raises:
        StorageError: storage cannot be written.
        IndexFull: there is no room for the index.
    """
    if not files.index.exists():
        return
    try:
        if is_alone:
            upgrade(files.index)
        else:
            check_current(files.index)
        await recover_links(driver, files)
    except (sqlite3.DatabaseError, IndexFailed, SchemaError) as error:
        log.warning("the index %s cannot be used, so that all is as storage shows it: %s", files.index, error)


async def give_up_index(driver: Driver, files: RegistryFiles, ownership: Ownership | None) -> None:
    """Delete the index of a storage that is about to change without it, once what it alone knows is in the storage.

    Args:
        driver: the storage.
        files: of its registry.
        ownership: of the storage, where others can have it. What an index that is outdated knows is of the past.

    Raises:
        StorageError: storage cannot be written.
        OSError: the index cannot be deleted.
    """
    if ownership is None or not ownership.outdated:
        await bring_up_to_date(driver, files, is_alone=True)
    remove_index(files.index)


def copy_index(source: Path, target: Path, ownership: Ownership | None) -> bool:
    """Put a copy of an index in place of another one, in one step; the source may be in use.

    Args:
        source: an index; changes that come while it is copied are in the copy or not, each as a whole.
        target: where the copy goes; nobody uses what is there.
        ownership: of the storage that the copy is for.

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
            forget(copy)  # what the source knows of its claim to its storage
            if ownership is not None:
                ownership.tell(copy)
            copy.commit()
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
