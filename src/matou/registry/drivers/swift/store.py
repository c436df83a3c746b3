"""Objects of one container below one prefix: what ``ObjectDriver`` works with."""

from __future__ import annotations

import asyncio
import hashlib
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

from matou.registry.concurrency import each, for_each
from matou.registry.drivers.base import NotFound, StorageError, Transient
from matou.registry.drivers.object_store import Listing, SegmentRules, StoredObject
from matou.registry.drivers.relaying import pieces_of, relayed
from matou.registry.drivers.requests import RequestLimit, Requests
from matou.registry.drivers.streams import closing
from matou.registry.drivers.swift import naming
from matou.registry.drivers.swift.connection import AT_A_TIME, Connection, Request
from matou.registry.drivers.swift.copying import Copying
from matou.registry.drivers.swift.deletion import Deletion
from matou.registry.drivers.swift.description import NOT_FOUND, SETTLING, describe, described
from matou.registry.drivers.swift.large_objects import CONTENT_TYPE, LargeObjects, is_staged
from matou.registry.drivers.swift.naming import Naming
from matou.registry.drivers.swift.segments import SwiftSegments, is_copied
from matou.registry.drivers.swift.sweeping import Sweep
from matou.registry.drivers.swift.temporary_urls import TemporaryUrls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    import aiohttp

    from matou.config.sections.swift import SwiftParameters
    from matou.registry.drivers.factory import Surroundings
    from matou.registry.drivers.object_store import ObjectStore, Segment
    from matou.registry.drivers.unread import Content, Unread

RETRIES = 5
IN_THREAD = 1 << 17  # bytes from which a thread hashes


class SwiftStore:
    """A container.

    Args:
        parameters: of the driver.
        surroundings: who is told of retries, and how long to go on.

    Attributes:
        uploads: where the segments of uploads are.
    """

    name = "swift"
    keeps_segments = True

    def __init__(self, parameters: SwiftParameters, surroundings: Surroundings) -> None:
        self.segments = SegmentRules(parameters.chunksize, settling=SETTLING)
        self._names = Naming(parameters.container, parameters.prefix)
        self._requests = Requests(RETRIES, RequestLimit(0), surroundings.observer, patience=surroundings.patience)
        self._connection = Connection(parameters, self._requests)
        self._large = LargeObjects(self._connection, self._names)
        self._deletion = Deletion(self._connection, self._names, self._large)
        self._urls = TemporaryUrls(self._connection)
        self.uploads = SwiftSegments(self, self._names, self._large, self._deletion)

    def segment_prefix(self, upload: str) -> str:
        """See ``ObjectStore.segment_prefix``."""
        return naming.segment_prefix(upload)

    async def get(self, key: str) -> bytes:
        """See ``ObjectStore.get``."""
        answer = await self._connection.send("GET", self._names.name(key))
        if not answer.body and described(answer.headers).manifest is not None:
            size = (await self.head(key)).size
            return b"".join([piece async for piece in self.read(key, 0, size)])
        return answer.body

    async def put(self, key: str, chunks: Sequence[bytes]) -> None:
        """See ``ObjectStore.put``. Swift stores nothing that has another digest than it was told."""
        size = sum(map(len, chunks))
        digest = await asyncio.to_thread(_md5, chunks) if size > IN_THREAD else _md5(chunks)
        headers = {"ETag": digest, "Content-Type": CONTENT_TYPE}
        name = self._names.name(key)
        answer = await self._connection.send("PUT", name, headers=headers, body=chunks)
        stored = answer.headers.get("Etag", digest).strip('"')
        if stored != digest:
            raise StorageError(f"Swift stored other bytes of {name} than it was sent: MD5 {stored}, not {digest}")

    async def head(self, key: str) -> StoredObject:
        """See ``ObjectStore.head``."""
        found = await describe(self._connection, self._names.name(key))
        return StoredObject(key, found.size, found.modified)

    def read(self, key: str, start: int, length: int) -> AsyncIterator[bytes]:
        """See ``ObjectStore.read``."""
        return self._requests.stream(partial(self._read_once, self._names.name(key), pieces_of), start, length)

    def relay(self, key: str, start: int, length: int) -> AsyncIterator[bytes | Unread]:
        """See ``ObjectStore.relay``."""
        return self._requests.stream(partial(self._read_once, self._names.name(key), relayed), start, length)

    async def _read_once(
        self, name: str, body: Callable[[aiohttp.ClientResponse], AsyncIterator[Content]], start: int, length: int
    ) -> AsyncIterator[Content]:
        request = Request("GET", name, headers={"Range": f"bytes={start}-{start + length - 1}"})
        async with self._connection.response(request, [HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE]) as response:
            if response.status != HTTPStatus.PARTIAL_CONTENT or not _reaches(
                response.headers.get("Content-Range", ""), start + length
            ):
                # A dynamic large object may become longer as its listing catches up.
                is_dynamic = described(response.headers).manifest is not None
                raise (Transient if is_dynamic else StorageError)(f"{name} has fewer than {start + length} bytes")
            async with closing(body(response)) as pieces:
                async for piece in pieces:
                    yield piece

    async def list(self, prefix: str, *, directories: bool) -> AsyncIterator[Listing]:
        """See ``ObjectStore.list``."""
        start = self._names.name(prefix)
        async for page in self._connection.pages(start, directories=directories):
            objects = {
                item.name: StoredObject(prefix + item.name[len(start) :], item.size, item.modified)
                for item in page.objects
            }
            if not prefix.startswith(naming.ALL_SEGMENTS) and not directories:
                await self._find_sizes(objects)
            yield Listing(list(objects.values()), [name[len(start) :].rstrip("/") for name in page.directories])

    async def _find_sizes(self, objects: dict[str, StoredObject]) -> None:
        """Ask for the sizes of what may be dynamic large objects, which listings show as empty."""

        async def look(name: str) -> None:
            try:
                found = await describe(self._connection, name)
            except NotFound:
                del objects[name]
            else:
                objects[name] = objects[name]._replace(size=found.size)

        await for_each(each([name for name, item in objects.items() if not item.size]), look, AT_A_TIME)

    async def delete(self, keys: Sequence[str]) -> None:
        """See ``ObjectStore.delete``."""
        await self._deletion.delete(keys)

    async def assemble(self, segments: Sequence[Segment], key: str) -> None:
        """See ``ObjectStore.assemble``. A small blob is copied, so that it is read with one request."""
        if not is_copied(segments):
            await self._large.make(segments, key)
            return
        name = self._names.name(segments[0].key)
        headers = {"X-Copy-From": f"/{quote(self._names.container)}/{quote(name)}"}
        copied = await self._connection.send("PUT", self._names.name(key), headers=headers, permitted=[NOT_FOUND])
        if copied.status == NOT_FOUND:
            raise NotFound(f"the segment {name} does not exist")
        if is_staged(naming.upload_of(segments[0].key)):
            await self._deletion.delete_objects([name])

    async def open(self, key: str) -> None:
        """See ``ObjectStore.open``: segments serve as well."""

    async def url(self, key: str, method: str, seconds: float) -> str | None:
        """See ``ObjectStore.url``."""
        return await self._urls.url(self._names.name(key), seconds) if method in ("GET", "HEAD") else None

    async def copy_from(self, source: ObjectStore, key: str, size: int) -> bool:
        """See ``ObjectStore.copy_from``."""
        if not isinstance(source, SwiftStore):
            return False
        copying = Copying(self._connection, self._names, self._large, self._deletion)
        return await copying.copy(source._connection, source._names.name(key), key, size)  # noqa: SLF001 -- of its own kind

    async def sweep(self, age: float) -> int:
        """See ``ObjectStore.sweep``."""
        return await Sweep(self._connection, self._names, self._large, self._deletion, age).run()

    async def close(self) -> None:
        """See ``ObjectStore.close``."""
        await self._connection.close()


def _md5(chunks: Sequence[bytes]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def _reaches(content_range: str, end: int) -> bool:
    """Tell whether an object, by a header such as ``bytes 0-4/5``, has so many bytes."""
    total = content_range.rpartition("/")[2]
    return total.isdecimal() and int(total) >= end
