"""A storage driver over the objects of a bucket; what is peculiar to a vendor is in its ``ObjectStore``.

Concurrency: everything runs on the event loop; a store may use threads. Nothing is locked between processes:

- Content is replaced as a whole by the service.
- An upload is a prefix with ``startedat`` (Distribution's name, with the time) and one segment after another,
  ``data.<offset>-<writer>``: objects, unless the vendor has other ``UploadSegments``. Writers never touch each other's
  segments. If two have written at the same offset, or into each other, the upload is lost: what it holds is not known,
  and the client begins anew. Segments behind a gap were left by a writer that failed, and are deleted.
- A segment is in memory until it is stored, so that its request can be repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import time
from collections import OrderedDict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from matou.registry.drivers.base import Conflict, NotFound, Stat, StorageError
from matou.registry.drivers.object_store import Segment, SelfChecking
from matou.registry.drivers.segment_buffer import SegmentBuffer
from matou.registry.drivers.streams import closing
from matou.registry.drivers.unread import passed
from matou.registry.drivers.upload_segments import STARTED_AT, SegmentObjects, delete_objects, keys_below

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from matou.registry.drivers.base import ContentWriter, Driver
    from matou.registry.drivers.object_store import ObjectStore, StoredObject
    from matou.registry.drivers.unread import Unread
    from matou.registry.drivers.upload_segments import UploadSegments

READ_PIECE = 1 << 20
KNOWN_UPLOADS = 4096  # whose size is remembered
STAGING = "matou/staging"  # what is written here is not part of the tree yet
SETTLING_PAUSE = 0.5  # seconds between two looks at a listing that may lag behind
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
        segments: where the segments of uploads are, if they are not objects of the store.
    """

    shared = True

    def __init__(self, store: ObjectStore, segments: UploadSegments | None = None) -> None:
        self.name = store.name
        self.store = store
        self.segments = segments or SegmentObjects(store)
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
        if not path:  # no object has an empty key
            return await self._stat_directory("")
        try:
            found = await self.store.head(path)
        except NotFound:
            return await self._stat_directory(f"{path}/")
        return Stat(found.size, found.modified, is_directory=False)

    async def _stat_directory(self, prefix: str) -> Stat:
        # Of the whole storage, which health checks ask for again and again, one line says that it is there.
        async with closing(self.store.list(prefix, directories=not prefix)) as pages:
            async for page in pages:
                if page.objects or page.directories:
                    modified = max((item.modified for item in page.objects), default=0.0)
                    return Stat(0, modified, is_directory=True)
        raise NotFound(f"{prefix.removesuffix('/')} does not exist")

    async def read(self, path: str, start: int, length: int) -> AsyncIterator[bytes]:
        """See ``Driver.read``."""
        left = length
        async with closing(self.store.read(path, start, length)) as pieces:
            async for piece in pieces:
                for first in range(0, len(piece), READ_PIECE):
                    yield piece[first : first + READ_PIECE] if len(piece) > READ_PIECE else piece
                left -= len(piece)
        if left:
            raise StorageError(f"{path} ends {left} bytes early")

    async def relay(self, path: str, start: int, length: int) -> AsyncIterator[bytes | Unread]:
        """See ``Driver.relay``."""
        left = length
        async with closing(self.store.relay(path, start, length)) as pieces:
            async for piece in pieces:
                yield piece
                left -= passed(piece)
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
        await delete_objects(self.store, [path, *await keys_below(self.store, f"{path}/")])
        await self.segments.discard(path)

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
                if found.orphans:
                    await self.segments.drop(path, found.segments, found.orphans)
        except BaseException:
            self._open.discard(path)
            raise
        return SegmentWriter(self, path, offset)

    async def upload_size(self, path: str) -> int:
        """See ``Driver.upload_size``."""
        return (await self._content(path)).size

    async def upload_read(self, path: str, size: int) -> AsyncIterator[bytes]:
        """See ``Driver.upload_read``."""
        found = await self._content(path, size)
        if found.size != size:
            raise Conflict(f"the upload has {found.size} bytes, not {size}")
        async with closing(self.segments.read(path, found.segments)) as pieces:
            async for piece in pieces:
                for first in range(0, len(piece), READ_PIECE):
                    yield piece[first : first + READ_PIECE]
                size -= len(piece)
        if size:
            raise StorageError(f"the upload {path} ends {size} bytes early")

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
        await self.segments.finish(path, found.segments, found.orphans)

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
            begun, segments = await self.segments.find(path)
            found = _chain(path, segments)
            # A listing that shows too much is not one that lags.
            if begun and (expected is None or found.size >= expected):
                return found
            if time.monotonic() >= deadline:
                break
            await asyncio.sleep(SETTLING_PAUSE)
        if not begun:
            raise NotFound(f"there is no upload {path}")
        return found

    def _remember(self, path: str, size: int) -> None:
        self._sizes[path] = size
        self._sizes.move_to_end(path)
        if len(self._sizes) > KNOWN_UPLOADS:
            self._sizes.popitem(last=False)

    async def closed(self, path: str, size: int | None) -> None:
        """Release an upload for ``SegmentWriter``.

        Args:
            path: of the upload.
            size: bytes that it has; None when a segment failed, behind which others may have been stored.
        """
        try:
            if size is not None:
                self._remember(path, size)
                return
            self._sizes.pop(path, None)
            with contextlib.suppress(StorageError):  # whoever opens the upload next deletes them
                found = await self._content(path)
                if found.orphans:
                    await self.segments.drop(path, found.segments, found.orphans)
        finally:
            self._open.discard(path)

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
        await delete_objects(self.store, stale)
        return len(stale) + await self.store.sweep(age)

    async def check(self, beside: ObjectStore | None = None) -> None:
        """Find out before a start whether the configuration fits what is stored; see ``SelfChecking.check``.

        Raises:
            Misplaced: it does not; the message says what to set.
            StorageError: that cannot be found out.
        """
        if isinstance(self.store, SelfChecking):
            await self.store.check(beside)

    async def close(self) -> None:
        """See ``Driver.close``."""
        await self.store.close()


class SegmentWriter:
    """An open upload."""

    def __init__(self, driver: ObjectDriver, path: str, offset: int) -> None:
        self._driver = driver
        self._path = path
        store = driver.store
        self._buffer = SegmentBuffer(store.segments, driver.segments.put, store.segment_prefix(path), offset)
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
            await self._driver.closed(self._path, size)


class StagedContent:
    """Content that is stored in segments which become one object at the end; a small one is stored at once."""

    def __init__(self, driver: ObjectDriver, path: str) -> None:
        self._driver = driver
        self._path = path
        store = driver.store
        prefix = store.segment_prefix(f"{STAGING}/{secrets.token_hex(16)}")
        self._buffer = SegmentBuffer(store.segments, store.put, prefix, offset=0)

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
