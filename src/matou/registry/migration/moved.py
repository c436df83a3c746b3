"""Where the images of a registry are when ``matou storage migrate --live`` has moved them to another storage.

The registry's files beside the old index get ``moved.json``. Writing it is the moment at which the new storage takes
over, for every process at once; a registry that is started with the old configuration follows it. Object storage gets
the same document at ``matou/moved.json``, so that other machines notice.

Storages may be moved round in circles. Each move has a higher number than those that it undoes, so a document that is
older than the move that led here is of the past, and is deleted.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from matou.config.distribution import ConfigurationError, load_configuration
from matou.registry.drivers.base import NotFound
from matou.registry.drivers.factory import Surroundings, open_driver
from matou.registry.files import RegistryFiles, directory_of
from matou.system.files import replace_file

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from matou.config.distribution import Configuration
    from matou.registry.drivers.base import Driver

T = TypeVar("T")

MARK = "matou/moved.json"  # in the old storage
MODE = 0o644
LONGEST_WAY = 32  # moves that are followed
NOT_MARKED = frozenset(("filesystem", "inmemory"))  # the first one's mark is the file itself
OVERRIDES = "REGISTRY_STORAGE_"


class CannotFollow(Exception):  # noqa: N818 -- what it says
    """The images were moved, and where to cannot be found out; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A move.

    Attributes:
        number: see the module.
        time: when, seconds since the epoch, UTC.
        configuration: path of the configuration with the new storage.
        identity: of the new storage; nothing secret.
    """

    number: int
    time: float
    configuration: str
    identity: tuple[str, ...]

    def encode(self) -> bytes:
        """Return the document."""
        document = dataclasses.asdict(self) | {
            "comment": "The images were moved; the registry is to be started with the configuration named here."
        }
        return json.dumps(document, indent=2).encode() + b"\n"

    @classmethod
    def decode(cls, content: bytes, source: str) -> Moved:
        """Read a document.

        Raises:
            CannotFollow: it is none.
        """
        try:
            document: Any = json.loads(content)
            number, time, configuration = document["number"], document["time"], document["configuration"]
            identity = tuple(document["identity"])
        except (ValueError, TypeError, KeyError) as error:
            raise CannotFollow(
                f"{source} cannot be read ({error!r}); it says where the images were moved to"
            ) from error
        if not (isinstance(number, int) and isinstance(time, int | float) and isinstance(configuration, str)):
            raise CannotFollow(f"{source} holds values of wrong types; it says where the images were moved to")
        return cls(number, time, configuration, tuple(map(str, identity)))

    def __str__(self) -> str:
        moment = datetime.fromtimestamp(self.time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"the images were moved to {' '.join(filter(None, self.identity))} at {moment}"


@dataclass(frozen=True, slots=True)
class Residence:
    """A storage that is in charge.

    Attributes:
        configuration: with its ``storage`` section.
        files: of it.
        moves: that led there, in order.
        previous: configuration with the storage before this one, when uploads may be left there.
        left: files of that.
        since: when this one took its place, seconds since the epoch, UTC.
    """

    configuration: Configuration
    files: RegistryFiles
    moves: tuple[Moved, ...] = ()
    previous: Configuration | None = None
    left: RegistryFiles | None = None
    since: float = 0.0


class Marks(Protocol):
    """The documents in the storages themselves."""

    def read(self, place: Residence) -> Moved | None:
        """Return what a storage says."""
        ...

    def delete(self, place: Residence) -> None:
        """Delete what it says."""
        ...


class StorageMarks:
    """Reads and deletes marks with a driver of its own each time; not for use within an event loop."""

    def read(self, place: Residence) -> Moved | None:
        """See ``Marks.read``. A directory has its mark where the registry's own files are."""
        if place.configuration.storage.driver in NOT_MARKED:
            return None
        return asyncio.run(_with_driver(place, read_mark))

    def delete(self, place: Residence) -> None:
        """See ``Marks.delete``."""
        if place.configuration.storage.driver not in NOT_MARKED:
            asyncio.run(_with_driver(place, delete_mark))


async def _with_driver(place: Residence, work: Callable[[Driver], Awaitable[T]]) -> T:
    driver = open_driver(place.configuration, Surroundings(place.files.request_limit))
    try:
        return await work(driver)
    finally:
        await driver.close()


async def read_mark(driver: Driver) -> Moved | None:
    """Return what an object storage says of itself.

    Raises:
        CannotFollow: its mark cannot be understood.
        StorageError: it cannot be read.
    """
    try:
        return Moved.decode(await driver.get(MARK), f"{MARK} in the storage")
    except NotFound:
        return None


async def delete_mark(driver: Driver) -> None:
    """Make an object storage say nothing of itself."""
    await driver.delete(MARK)


async def forget_move(files: RegistryFiles, driver: Driver) -> None:
    """Make a storage that was moved away from say so no longer.

    Raises:
        OSError: its file cannot be deleted.
        StorageError: its mark cannot be deleted.
    """
    files.moved.unlink(missing_ok=True)
    await delete_mark(driver)


def read_moved(path: Path) -> Moved | None:
    """Return what ``moved.json`` says; None when there is none.

    Raises:
        CannotFollow: it cannot be read.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise CannotFollow(
            f"{path} cannot be read: {error.strerror}; it says where the images were moved to"
        ) from error
    return Moved.decode(content, str(path))


def write_moved(path: Path, moved: Moved) -> None:
    """Say that the images are elsewhere from now on, in one step that survives a loss of power.

    Raises:
        OSError: it cannot be written; nothing has changed.
    """
    replace_file(path, moved.encode(), MODE)


def follow_moves(here: Residence, environ: Mapping[str, str] = os.environ, marks: Marks | None = None) -> Residence:
    """Return the storage that is in charge now, for one who has been working with another.

    The storage that is left tells what led there: at the new one a document of an earlier move may be gone already.

    Args:
        here: where one has been.
        environ: the environment.
        marks: in the storages themselves, which tell what happened on other machines; None for what this one knows.

    Raises:
        CannotFollow: it was moved, and the new configuration cannot be used.
        StorageError: a mark cannot be read.
    """
    begun = len(here.moves)
    while True:
        moved = read_moved(here.files.moved)
        if moved is None and marks is not None:
            moved = marks.read(here)
        if moved is None:
            return here
        if here.moves and moved.number < here.moves[-1].number:
            with contextlib.suppress(OSError):
                here.files.moved.unlink(missing_ok=True)
            if marks is not None:
                marks.delete(here)
            return here
        if len(here.moves) - begun == LONGEST_WAY:
            raise CannotFollow(
                f"{moved}, and from there on and on: {here.files.moved} is one of {LONGEST_WAY} in a row"
            )
        here = _follow(here, moved, environ)


def _follow(here: Residence, moved: Moved, environ: Mapping[str, str]) -> Residence:
    remedy = "start the registry with the configuration of that storage"
    try:
        coming = load_destination(Path(moved.configuration), environ)
    except ConfigurationError as error:
        raise CannotFollow(f"{moved}, but its configuration cannot be used: {error}; {remedy}") from error
    if coming.storage.identity != moved.identity:
        raise CannotFollow(f"{moved}, but {moved.configuration} names another storage now; {remedy}")
    configuration = dataclasses.replace(here.configuration, storage=coming.storage)
    directory = directory_of(configuration, environ)
    if directory is None:
        raise CannotFollow(f"{moved}, which does not last; {remedy}")
    moves = (*here.moves, moved)
    return Residence(configuration, RegistryFiles(directory), moves, here.configuration, here.files, moved.time)


def load_destination(path: Path, environ: Mapping[str, str]) -> Configuration:
    """Read the configuration that images are moved to. Variables that change ``storage`` are meant for the present one.

    Raises:
        ConfigurationError: it cannot be used.
    """
    kept = {name: value for name, value in environ.items() if not f"{name.upper()}_".startswith(OVERRIDES)}
    return load_configuration(path, kept)
