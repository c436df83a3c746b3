"""A storage driver over the objects of a bucket; what is peculiar to a vendor is in its ``ObjectStore``.

Concurrency: everything runs on the event loop; a store may use threads. Nothing is locked between processes:

- Content is replaced as a whole by the service.
- An upload is a prefix with ``startedat`` (Distribution's name, with the time) and one object for each segment,
  ``data.<offset>-<writer>``. Writers never touch each other's segments. If two have written at the same offset, or into
  each other, the upload is lost: what it holds is not known, and the client begins anew. Segments behind a gap were
  left by a writer that failed, and are deleted.
- A segment is in memory until it is stored, so that its request can be repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import time
from collections import OrderedDict, deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from matou.registry.drivers.base import Conflict, NotFound, Stat, StorageError
from matou.registry.drivers.object_store import Segment
from matou.registry.drivers.segment_buffer import SegmentBuffer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from matou.registry.drivers.base import ContentWriter, Driver
    from matou.registry.drivers.object_store import ObjectStore, StoredObject

READ_PIECE = 1 << 20
DELETED_AT_ONCE = 1000  # keys
KNOWN_UPLOADS = 4096  # whose size is remembered
STAGING = "matou/staging"  # what is written here is not part of the tree yet
SETTLING_PAUSE = 0.5  # seconds between two looks at a listing that may lag behind
STARTED_AT = "startedat"
SEGMENT = re.compile(r"data\.([0-9]{16})-[0-9a-f]{16}")


class UploadContent(NamedTuple):
    """What is stored of an upload.

    Attributes:
        segments: from the first byte on, without a gap.
        size: bytes of them.
        orphans: keys of segments behind a gap.
    """

    segments: list[Segment]
    size: int
    orphans: list[str]


class ObjectDriver:
    """A driver.

    Args:
        store: of the vendor.
    """

    shared = True

    def __init__(self, store: ObjectStore) -> None:
        self.name = store.name
        self.store = store
        self._sizes: OrderedDict[str, int] = OrderedDict()  # of uploads, when this process changed them last
        self._open: set[str] = set()

    async def get(self, path: str) -> bytes:
        """See ``Driver.get``."""
        return await self.store.get(path)

    async def put(self, path: str, content: bytes, *, durable: bool = True) -> None:  # noqa: ARG002 -- all is durable
        """See ``Driver.put``."""
        await self.store.put(path, [content])

    async def flush(self) -> None:
        """See ``Driver.flush``: everything is durable."""

    async def stat(self, path: str) -> Stat:
        """See ``Driver.stat``."""
        try:
            found = await self.store.head(path)
        except NotFound:
            return await self._stat_directory(path)
        return Stat(found.size, found.modified, is_directory=False)

    async def _stat_directory(self, path: str) -> Stat:
        async for page in self.store.list(f"{path}/", directories=False):
            if page.objects:
                return Stat(0, max(item.modified for item in page.objects), is_directory=True)
        raise NotFound(f"{path} does not exist")

    async def read(self, path: str, start: int, length: int) -> AsyncIterator[bytes]:
        """See ``Driver.read``."""
        left = length
        async for piece in self.store.read(path, start, length):
            for first in range(0, len(piece), READ_PIECE):
                yield piece[first : first + READ_PIECE] if len(piece) > READ_PIECE else piece
            left -= len(piece)
        if left:
            raise StorageError(f"{path} ends {left} bytes early")

    def local_path(self, path: str) -> str | None:  # noqa: ARG002 -- the contract's argument
        """See ``Driver.local_path``: there is no file."""
        return None

    async def url(self, path: str, method: str, seconds: float) -> str | None:
        """See ``Driver.url``."""
        return await self.store.url(path, method, seconds)

    async def list(self, path: str) -> list[str]:
        """See ``Driver.list``."""
        prefix = f"{path}/" if path else ""
        names: dict[str, None] = {}
        async for page in self.store.list(prefix, directories=True):
            names.update(dict.fromkeys(page.directories))
            names.update(dict.fromkeys(item.key[len(prefix) :] for item in page.objects))
        names.pop("", None)  # an object that stands for the directory, as some tools make them
        return list(names)

    async def walk(self, path: str) -> AsyncIterator[tuple[str, Stat]]:
        """See ``Driver.walk``."""
        async for page in self.store.list(f"{path}/" if path else "", directories=False):
            for item in page.objects:
                if not item.key.endswith("/"):
                    yield item.key, Stat(item.size, item.modified, is_directory=False)

    async def delete(self, path: str) -> None:
        """See ``Driver.delete``."""
        self._sizes.pop(path, None)
        keys = [path]
        for prefix in dict.fromkeys((f"{path}/", self.store.segment_prefix(path))):
            async for page in self.store.list(prefix, directories=False):
                keys += [item.key for item in page.objects]
        await self._delete_objects(keys)

    async def _delete_objects(self, keys: Sequence[str]) -> None:
        for first in range(0, len(keys), DELETED_AT_ONCE):
            await self.store.delete(keys[first : first + DELETED_AT_ONCE])

    async def upload_begin(self, path: str) -> None:
        """See ``Driver.upload_begin``."""
        started_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        await self.store.put(f"{path}/{STARTED_AT}", [started_at.encode()])
        self._remember(path, 0)

    async def upload_open(self, path: str, offset: int) -> SegmentWriter:
        """See ``Driver.upload_open``."""
        if path in self._open:
            raise Conflict("another request is writing to the upload")
        self._open.add(path)
        try:
            # Whether the upload is as this process left it shows when it is put together.
            if self._sizes.get(path) != offset:
                found = await self._content(path, offset)
                if found.size != offset:
                    raise Conflict(f"the upload has {found.size} bytes, not {offset}")
                await self._delete_objects(found.orphans)
        except BaseException:
            self._open.discard(path)
            raise
        return SegmentWriter(self, path, offset)

    async def upload_size(self, path: str) -> int:
        """See ``Driver.upload_size``."""
        return (await self._content(path)).size

    async def upload_commit(self, path: str, size: int, destination: str) -> None:
        """See ``Driver.upload_commit``."""
        if path in self._open:
            raise Conflict("another request is writing to the upload")
        found = await self._content(path, size)
        if found.size != size:
            raise Conflict(f"the upload has {found.size} bytes, not {size}")
        if found.segments:
            await self.store.assemble(found.segments, destination)
        else:
            await self.store.put(destination, [])
        self._sizes.pop(path, None)
        used = [] if self.store.keeps_segments else [segment.key for segment in found.segments]
        await self._delete_objects([f"{path}/{STARTED_AT}", *used, *found.orphans])

    async def _content(self, path: str, expected: int | None = None) -> UploadContent:
        """Find out what an upload has.

        Args:
            path: of the upload.
            expected: bytes that it should have: where listings lag behind they are waited for.

        Raises:
            NotFound: there is no such upload, or two requests have written into each other.
        """
        deadline = time.monotonic() + self.store.segments.settling
        while True:
            begun, segments = await self._listed(path)
            found = _chain(path, segments)
            if begun and (expected is None or found.size == expected):
                return found
            if time.monotonic() >= deadline:
                break
            await asyncio.sleep(SETTLING_PAUSE)
        if not begun:
            raise NotFound(f"there is no upload {path}")
        return found

    async def _listed(self, path: str) -> tuple[bool, Iterable[StoredObject]]:
        begun = False
        segments: deque[StoredObject] = deque()
        home = f"{path}/"
        elsewhere = self.store.segment_prefix(path)
        for prefix in dict.fromkeys((home, elsewhere)):
            async for page in self.store.list(prefix, directories=False):
                for item in page.objects:
                    if item.key == f"{home}{STARTED_AT}":
                        begun = True
                    elif prefix == elsewhere:
                        segments.append(item)
        return begun, segments

    def _remember(self, path: str, size: int) -> None:
        self._sizes[path] = size
        self._sizes.move_to_end(path)
        if len(self._sizes) > KNOWN_UPLOADS:
            self._sizes.popitem(last=False)

    async def closed(self, path: str, size: int | None, orphans: Iterable[str] = ()) -> None:
        """Release an upload for ``SegmentWriter``.

        Args:
            path: of the upload.
            size: bytes that it has; None when a segment failed.
            orphans: keys of segments that were stored behind one that failed.
        """
        self._open.discard(path)
        if size is not None:
            self._remember(path, size)
            return
        self._sizes.pop(path, None)
        with contextlib.suppress(StorageError):  # whoever opens the upload next deletes them
            await self._delete_objects(list(orphans))

    async def content_open(self, path: str) -> ContentWriter:
        """See ``Driver.content_open``."""
        return await self.store.open(path) or StagedContent(self, path)

    async def copy_from(self, source: Driver, path: str, size: int) -> bool:
        """See ``Driver.copy_from``."""
        return isinstance(source, ObjectDriver) and await self.store.copy_from(source.store, path, size)

    async def sweep(self, age: float) -> int:
        """See ``Driver.sweep``."""
        before = time.time() - age
        stale = [
            item.key
            async for page in self.store.list(f"{STAGING}/", directories=False)
            for item in page.objects
            if item.modified < before
        ]
        await self._delete_objects(stale)
        return len(stale) + await self.store.sweep(age)

    async def close(self) -> None:
        """See ``Driver.close``."""
        await self.store.close()


class SegmentWriter:
    """An open upload."""

    def __init__(self, driver: ObjectDriver, path: str, offset: int) -> None:
        self._driver = driver
        self._path = path
        self._buffer = SegmentBuffer(driver.store, driver.store.segment_prefix(path), offset)
        self._is_open = True

    async def write(self, chunks: Sequence[bytes]) -> None:
        """See ``UploadWriter.write``."""
        await self._buffer.write(chunks)

    async def close(self) -> None:
        """See ``UploadWriter.close``."""
        if not self._is_open:
            return
        self._is_open = False
        size: int | None = None
        try:
            await self._buffer.finish()
            size = self._buffer.size
        finally:
            await self._driver.closed(self._path, size, self._behind_the_gap())

    def _behind_the_gap(self) -> list[str]:
        keys = [segment.key for segment in self._buffer.segments]
        missing = [index for index, key in enumerate(keys) if key not in self._buffer.stored]
        return [key for key in keys[missing[0] :] if key in self._buffer.stored] if missing else []


class StagedContent:
    """Content that is stored in segments which become one object at the end; a small one is stored at once."""

    def __init__(self, driver: ObjectDriver, path: str) -> None:
        self._driver = driver
        self._path = path
        self._buffer = SegmentBuffer(
            driver.store, driver.store.segment_prefix(f"{STAGING}/{secrets.token_hex(16)}"), offset=0
        )

    async def write(self, chunks: Sequence[bytes]) -> None:
        """See ``ContentWriter.write``."""
        await self._buffer.write(chunks)

    async def commit(self) -> None:
        """See ``ContentWriter.commit``."""
        store = self._driver.store
        if not self._buffer.segments:
            await store.put(self._path, self._buffer.take())
            return
        await self._buffer.finish()
        await store.assemble(self._buffer.segments, self._path)
        if store.keeps_segments:
            self._buffer.segments.clear()
        await self.discard()

    async def discard(self) -> None:
        """See ``ContentWriter.discard``."""
        await self._buffer.abandon()
        keys = [segment.key for segment in self._buffer.segments]
        self._buffer.segments.clear()
        if keys:
            await self._driver.store.delete(keys)


def _chain(path: str, stored: Iterable[StoredObject]) -> UploadContent:
    """Put the segments of an upload in order."""
    found: list[tuple[int, StoredObject]] = []
    for item in stored:
        match = SEGMENT.fullmatch(item.key.rsplit("/", 1)[-1])
        if match is not None:
            found.append((int(match[1]), item))
    found.sort()
    segments: list[Segment] = []
    size = 0
    for index, (offset, item) in enumerate(found):
        if offset > size:
            return UploadContent(segments, size, [orphan.key for _, orphan in found[index:]])
        if offset < size:
            raise NotFound(f"two requests have written to the upload {path} at once: begin a new one")
        if item.size:
            segments.append(Segment(item.key, item.size))
        size += item.size
    return UploadContent(segments, size, [])
