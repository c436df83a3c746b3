"""What a vendor's module provides: objects under keys, and how the service puts segments together.

``object_driver.ObjectDriver`` makes a storage driver of it. A store sends requests, repeats those that may be repeated,
and translates errors: ``NotFound``, ``Transient`` (once retries are used up) and ``StorageError`` with a message that
names the cause and the setting to look at.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from matou.registry.drivers.base import StorageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from matou.registry.drivers.base import ContentWriter
    from matou.registry.drivers.unread import Unread


class StoredObject(NamedTuple):
    """An object.

    Attributes:
        key: relative to the root directory of the store, without a slash at its start.
        size: in bytes.
        modified: seconds since the epoch, UTC.
    """

    key: str
    size: int
    modified: float


class Listing(NamedTuple):
    """One page of a listing.

    Attributes:
        objects: whose key begins with the prefix.
        directories: what follows the prefix up to and without the next slash; only when asked for.
    """

    objects: list[StoredObject]
    directories: list[str]


class Segment(NamedTuple):
    """A part of an upload, stored.

    Attributes:
        key: of it, relative to the root directory.
        size: in bytes.
    """

    key: str
    size: int


@dataclass(frozen=True, slots=True)
class SegmentRules:
    """How uploads are cut into segments.

    Attributes:
        size: ``chunksize``: bytes of a segment.
        growth: a segment at an offset has at least ``offset / growth`` bytes, so that no blob has too many of them.
        in_flight: segments of one upload that are being stored at once, besides the one that is being filled.
        settling: seconds that listings may lag behind what was stored; 0 where they are consistent.
    """

    size: int
    growth: int = 2000
    in_flight: int = 2
    settling: float = 0.0

    def size_at(self, offset: int) -> int:
        """Return the bytes of the segment that begins at an offset."""
        return max(self.size, offset // self.growth)


class ObjectStore(Protocol):
    """Objects of one bucket (container) below one root directory. Keys are relative to that.

    Attributes:
        name: of the driver.
        segments: how uploads are cut.
        keeps_segments: whether assembled objects consist of their segments, which must stay then (Swift).
    """

    name: str
    segments: SegmentRules
    keeps_segments: bool

    def segment_prefix(self, upload: str) -> str:
        """Return the prefix of the segments of an upload; ends with a slash. ``<upload>/`` where they don't stay."""
        ...

    async def get(self, key: str) -> bytes:
        """Return a small object.

        Raises:
            NotFound: there is none.
        """
        ...

    async def put(self, key: str, chunks: Sequence[bytes]) -> None:
        """Store an object of which all chunks are in memory, in one request."""
        ...

    async def head(self, key: str) -> StoredObject:
        """Describe an object.

        Raises:
            NotFound: there is none.
        """
        ...

    def read(self, key: str, start: int, length: int) -> AsyncIterator[bytes]:
        """Yield bytes of an object as they come in; a connection that breaks is made again where it broke.

        Raises:
            NotFound: there is none.
            StorageError: the object is shorter, or the service does not come back.
        """
        ...

    def relay(self, key: str, start: int, length: int) -> AsyncIterator[bytes | Unread]:
        """See ``Driver.relay``; fails as ``read`` does."""
        ...

    def list(self, prefix: str, *, directories: bool) -> AsyncIterator[Listing]:
        """Yield the pages of a listing.

        Args:
            prefix: that keys begin with: ``""``, or ends with a slash.
            directories: whether what lies deeper is shown as directories instead of objects.
        """
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; those that do not exist are success."""
        ...

    async def assemble(self, segments: Sequence[Segment], key: str) -> None:
        """Make one object of segments, in order, inside the service; replaces what is there. The segments may go.

        Args:
            segments: at least one.
            key: of the new object.

        Raises:
            NotFound: a segment does not exist.
        """
        ...

    async def open(self, key: str) -> ContentWriter | None:
        """Begin an object of unknown size that appears when it is complete; None where segments serve as well."""
        ...

    async def url(self, key: str, method: str, seconds: float) -> str | None:
        """See ``Driver.url``."""
        ...

    async def copy_from(self, source: ObjectStore, key: str, size: int) -> bool:
        """See ``Driver.copy_from``."""
        ...

    async def sweep(self, age: float) -> int:
        """See ``Driver.sweep``: multipart uploads and the like at the vendor."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


class Misplaced(StorageError):  # noqa: N818 -- what a configuration is
    """A configuration does not fit what is stored."""


class SelfChecking(ABC):
    """A store that can tell before a start that its configuration does not fit what is stored."""

    @abstractmethod
    async def check(self, beside: ObjectStore | None) -> None:
        """Look.

        Args:
            beside: what may be stored in the same place, too.

        Raises:
            Misplaced: it does not; the message says what to set.
            StorageError: that cannot be found out.
        """
