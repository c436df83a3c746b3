"""The records that registries keep of themselves in the storage: one object each, which nobody else writes."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from matou.registry.drivers.base import NotFound, StorageError

if TYPE_CHECKING:
    from matou.registry.drivers.base import Driver

OWNERS = "matou/owners"
SUFFIX = ".json"
MOST = 1000  # records that are read


class State(StrEnum):
    """What a registry says of itself."""

    LOOKING = "looking"  # whether it may take over; the others take no notice
    CLAIMING = "claiming"  # about to serve the storage, unless somebody else does
    OWNER = "owner"
    RELEASED = "released"  # stopped


@dataclass(frozen=True, slots=True)
class Record:
    """A registry, by its index.

    Attributes:
        id: of the directory that has the index.
        epoch: grows by one with each registry that succeeds another one.
        count: grows with each renewal.
        state: see ``State``.
        host: name of the machine.
        directory: of the index, on that machine.
        modified: by the storage's clock, seconds since the epoch, UTC.
    """

    id: str
    epoch: int
    count: int
    state: State
    host: str = ""
    directory: str = ""
    modified: float = 0.0

    @property
    def path(self) -> str:
        """Where it lies."""
        return f"{OWNERS}/{self.id}{SUFFIX}"

    @property
    def rank(self) -> tuple[int, str]:
        """Which of two that claim at once is to have it: the greater one."""
        return self.epoch, self.id

    def encode(self) -> bytes:
        """Return the object's content."""
        document = dataclasses.asdict(self)
        del document["modified"]
        document["time"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return json.dumps(document, indent=2).encode() + b"\n"

    def __str__(self) -> str:
        """Return it as a person would say it."""
        return f"the registry on {self.host or 'a machine without a name'} (index in {self.directory})"


def decode(path: str, content: bytes, modified: float) -> Record:
    """Read a record.

    Raises:
        StorageError: it is none.
    """
    try:
        document: Any = json.loads(content)
        return Record(
            id=path.removeprefix(f"{OWNERS}/").removesuffix(SUFFIX),
            epoch=int(document["epoch"]),
            count=int(document["count"]),
            state=State(document["state"]),
            host=str(document["host"])[:256],
            directory=str(document["directory"])[:1024],
            modified=modified,
        )
    except (ValueError, TypeError, KeyError) as error:
        raise StorageError(
            f"{path} in the storage, which says what registry serves it, cannot be read; if no other registry serves "
            "the storage, delete the object"
        ) from error


class Records:
    """All records of a storage.

    Args:
        driver: the storage.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def all(self) -> dict[str, Record]:
        """Return the records by id.

        Raises:
            StorageError: they cannot be read.
        """
        found: dict[str, Record] = {}
        async for path, content in self._driver.walk(OWNERS):
            if not path.endswith(SUFFIX) or len(found) == MOST:
                continue
            try:
                record = decode(path, await self._driver.get(path), content.modified)
            except NotFound:
                continue  # withdrawn a moment ago
            found[record.id] = record
        return found

    async def put(self, record: Record) -> None:
        """Write one's own record."""
        await self._driver.put(record.path, record.encode())

    async def time_of(self, record: Record) -> float:
        """Return the storage's time at which one's own record was written."""
        return (await self._driver.stat(record.path)).modified

    async def delete(self, record: Record) -> None:
        """Delete a record: one's own, or that of a registry that was succeeded."""
        await self._driver.delete(record.path)
