"""What a migration asks before it begins: that it can be meant, and that nobody is in its way.

Concurrency: the locks of both storages are held meanwhile, so that no registry of this machine is started on either.
Registries of other machines cannot be seen.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from matou.registry.drivers.base import NotFound, StorageError
from matou.registry.drivers.object_driver import ObjectDriver
from matou.registry.drivers.object_store import Misplaced
from matou.registry.files import FileLock, directory_of
from matou.registry.migration.moved import CannotFollow, read_mark, read_moved
from matou.registry.migration.roster import roster
from matou.registry.migration.tree_objects import TREE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matou.config.distribution import Configuration
    from matou.registry.drivers.base import Driver
    from matou.registry.files import RegistryFiles
    from matou.registry.migration.moved import Moved

PROBE = "matou/migration-probe"


class MigrationRefused(Exception):  # noqa: N818 -- what happened
    """The migration is not begun; the message says why and what to do."""


def check_sides(source: Configuration, destination: Configuration) -> None:
    """Refuse what cannot be meant.

    Raises:
        MigrationRefused: the two are the same storage, or one is none that lasts.
        StorageError: the directory of the source does not exist.
    """
    for option, configuration in (("--from", source), ("--to", destination)):
        if configuration.storage.driver == "inmemory":
            raise MigrationRefused(
                f"{option} has the inmemory driver, whose content is gone when its registry stops; name another storage"
            )
    if source.storage.driver == "filesystem":
        root = Path(source.storage.filesystem.rootdirectory)
        if not root.is_dir():
            raise StorageError(f"the source has no directory {root}; check storage.filesystem.rootdirectory of --from")
        if destination.storage.driver == "filesystem":
            _check_directories(root.resolve(), Path(destination.storage.filesystem.rootdirectory).resolve())
    ours, theirs = source.storage.identity, destination.storage.identity
    if ours == theirs:
        raise same_storage()
    if ours[:-1] == theirs[:-1] and source.storage.driver != "filesystem":
        for inner, outer in ((ours[-1], theirs[-1]), (theirs[-1], ours[-1])):
            if f"{inner}/".startswith(f"{outer}/{TREE}/".lstrip("/")):
                raise MigrationRefused(
                    f"{inner} lies inside the images of the other side; choose root directories beside each other"
                )


def _check_directories(source: Path, destination: Path) -> None:
    if source == destination:
        raise same_storage()
    for inner, outer in ((source, destination), (destination, source)):
        if inner.is_relative_to(outer / TREE):
            raise MigrationRefused(f"{inner} lies inside the images of {outer}; choose directories beside each other")


def same_storage() -> MigrationRefused:
    """Return the refusal of one storage that is meant to be both."""
    return MigrationRefused(
        "--from and --to are the same storage; give the configuration of another one (variables REGISTRY_STORAGE_* of "
        "the environment count for --from only)"
    )


def check_in_charge(files: RegistryFiles) -> None:
    """Refuse a source whose images are elsewhere since.

    Raises:
        MigrationRefused: they are.
    """
    try:
        moved = read_moved(files.moved)
    except CannotFollow as error:
        raise MigrationRefused(str(error)) from error
    if moved is not None:
        raise not_in_charge(moved)


async def check_mark(source: Driver) -> None:
    """Refuse a source that says itself that its images are elsewhere since.

    Raises:
        MigrationRefused: it does.
        StorageError: it cannot be read.
    """
    try:
        moved = await read_mark(source)
    except CannotFollow as error:
        raise MigrationRefused(str(error)) from error
    if moved is not None:
        raise not_in_charge(moved)


def not_in_charge(moved: Moved) -> MigrationRefused:
    """Return the refusal of a source that has been moved."""
    return MigrationRefused(f"{moved}; give {moved.configuration} as --from")


def lasting_directory(configuration: Configuration) -> Path:
    """Return the directory of a registry's own files, which need not be there yet; ``check_sides`` comes first."""
    directory = directory_of(configuration, os.environ)
    assert directory is not None  # noqa: S101 -- only inmemory has none
    return directory


def check_user(source: Configuration, files: RegistryFiles, coming: Path) -> None:
    """Refuse to work as root for a registry of somebody else, who could not use what root makes.

    Args:
        source: of the registry.
        files: of it.
        coming: directory of its files at the destination.

    Raises:
        MigrationRefused: its index, its images, or where its new index goes, are somebody else's.
    """
    if os.geteuid() != 0:
        return
    # The index tells who the registry is; without one, the directories do.
    places = [files.index]
    if not files.index.exists():
        places.append(next(path for path in (coming, *coming.parents) if path.exists()))
        if source.storage.driver == "filesystem":
            places.append(Path(source.storage.filesystem.rootdirectory) / TREE)
    for place in places:
        with contextlib.suppress(FileNotFoundError):
            owner = place.stat().st_uid
            if owner != 0:
                raise MigrationRefused(
                    f"{place} belongs to {_user_name(owner)}, as whom the registry seems to run, and who could not use "
                    f"what root makes; run the command as that user: sudo -u {_user_name(owner)} ..."
                )


def _user_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"#{number}"


@contextlib.contextmanager
def source_held(configuration: Configuration, files: RegistryFiles) -> Iterator[bool]:
    """Keep the source as it is; yield whether no registry runs on it.

    Raises:
        MigrationRefused: one does, and is not read-only.
    """
    with contextlib.closing(FileLock(files.lock)) as lock:
        if lock.try_exclusive():
            yield True
            return
        if not configuration.storage.maintenance.readonly.enabled:
            raise MigrationRefused(
                "a registry runs on the source, and pushes to it would be lost; use --live, which follows them, or set "
                "storage.maintenance.readonly.enabled: true in --from and restart it, or stop it"
            )
        if any(not worker.readonly for worker in roster(files)):
            raise MigrationRefused(
                "the registry that runs on the source was started before it was made read-only; restart it with --from"
            )
        lock.share("another process is working on the source alone")
        yield False


@contextlib.contextmanager
def destination_held(files: RegistryFiles) -> Iterator[FileLock]:
    """Keep others from the destination; yield its lock.

    Raises:
        MigrationRefused: somebody is at work there.
    """
    with contextlib.closing(FileLock(files.lock)) as lock:
        if not lock.try_exclusive():
            raise MigrationRefused(
                "a registry, or another migration, is at work on the destination; stop it first, and start it again "
                "when this is done"
            )
        yield lock


async def check_places(source: Driver, destination: Driver) -> None:
    """Find out whether both configurations point where the data is, or is to be, as far as the drivers can tell.

    Raises:
        MigrationRefused: one does not.
        StorageError: one of the two cannot be listed.
    """
    for option, driver, other in (("--from", source, destination), ("--to", destination, source)):
        if not isinstance(driver, ObjectDriver):
            continue
        try:
            await driver.check(other.store if isinstance(other, ObjectDriver) else None)
        except Misplaced as error:
            raise MigrationRefused(f"{option}: {error}") from error


async def check_distinct(source: Driver, destination: Driver) -> None:
    """Find out whether two drivers work on one storage, and whether the destination can be written.

    Raises:
        MigrationRefused: what is written to one shows in the other.
        StorageError: the destination cannot be written.
    """
    probe = f"{PROBE}-{secrets.token_hex(8)}"
    await destination.put(probe, b"Written by 'matou storage migrate' to tell its two sides apart.\n")
    try:
        await source.stat(probe)
    except NotFound:
        return
    finally:
        await destination.delete(probe)
    raise same_storage()
