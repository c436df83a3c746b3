"""Objects of one bucket of S3.

Concurrency: everything runs on the event loop, but for checksums. Nothing is locked; S3 replaces objects as a whole and
its listings are consistent.

Source: Amazon S3 API reference, 2006-03-01; Distribution's s3-aws driver for keys and for what is sent with writes.
"""

from __future__ import annotations

import contextlib
import logging
import time
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING

from matou.registry.drivers.base import NotFound, StorageError, Transient
from matou.registry.drivers.object_store import Segment, SegmentRules, StoredObject
from matou.registry.drivers.paged_listing import list_in_parallel, list_in_turn
from matou.registry.drivers.part_plan import direct
from matou.registry.drivers.relaying import pieces_of, relayed
from matou.registry.drivers.s3.assembly import Assembly
from matou.registry.drivers.s3.body import content_md5
from matou.registry.drivers.s3.bucket import Bucket
from matou.registry.drivers.s3.connection import Call
from matou.registry.drivers.s3.documents import Document, deletion
from matou.registry.drivers.s3.errors import SERVER_ERROR
from matou.registry.drivers.s3.explanation import FORBIDDEN
from matou.registry.drivers.s3.listing import multipart_uploads, page
from matou.registry.drivers.s3.multipart import MultipartUpload
from matou.registry.drivers.s3.writer import MultipartWriter
from matou.registry.drivers.streams import closing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    import aiohttp

    from matou.config.sections.s3 import S3Parameters
    from matou.registry.drivers.base import ContentWriter
    from matou.registry.drivers.factory import Surroundings
    from matou.registry.drivers.object_store import Listing, ObjectStore
    from matou.registry.drivers.part_plan import Piece
    from matou.registry.drivers.s3.connection import Connection
    from matou.registry.drivers.unread import Content, Unread

log = logging.getLogger("matou.registry")

LONGEST_URL = 7 * 24 * 3600  # seconds, of signature version 4
TELL_LENGTH = ("content-length", "transfer-encoding")  # a connection that breaks shows with either
SWEPT = ("docker/registry/v2/", "matou/")  # the bucket may hold more than a registry


class S3Store:
    """A bucket.

    Args:
        parameters: of the driver.
        surroundings: the limit of requests, and who is told of retries.
    """

    name = "s3"
    keeps_segments = False

    def __init__(self, parameters: S3Parameters, surroundings: Surroundings) -> None:
        self._bucket = Bucket(parameters, surroundings)
        self.segments = SegmentRules(parameters.chunksize)
        self._assembly = Assembly(self._bucket, self._piece)
        self._unreadable: set[Bucket] = set()  # other buckets that this one's key may not read

    def segment_prefix(self, upload: str) -> str:
        """See ``ObjectStore.segment_prefix``."""
        return f"{upload}/"

    async def get(self, key: str) -> bytes:
        """See ``ObjectStore.get``."""

        async def request(connection: Connection) -> bytes:
            reply = await connection.send(Call("GetObject", "GET", self._bucket.key(key)))
            if not any(name in reply.headers for name in TELL_LENGTH):  # it might have been cut off
                raise Transient(f"{key}: the storage did not tell how long it is")
            return reply.content

        return await self._bucket.send("GetObject", key, request)

    async def put(self, key: str, chunks: Sequence[bytes]) -> None:
        """See ``ObjectStore.put``."""
        content = await self._bucket.contents.prepare(chunks)
        headers = {**self._bucket.written, **content.headers}
        await self._bucket.call(
            Call("PutObject", "PUT", self._bucket.key(key), headers=headers, body=content.body), key
        )

    async def head(self, key: str) -> StoredObject:
        """See ``ObjectStore.head``."""
        headers = (await self._bucket.call(Call("HeadObject", "HEAD", self._bucket.key(key)), key)).headers
        try:
            modified = parsedate_to_datetime(headers["last-modified"]).timestamp()
            return StoredObject(key, int(headers["content-length"]), modified)
        except (KeyError, ValueError):
            raise self._bucket.failures.of_stranger("HeadObject") from None

    def read(self, key: str, start: int, length: int) -> AsyncIterator[bytes]:
        """See ``ObjectStore.read``."""
        return self._bucket.stream(partial(self._read_once, key, pieces_of), key, start, length)

    def relay(self, key: str, start: int, length: int) -> AsyncIterator[bytes | Unread]:
        """See ``ObjectStore.relay``."""
        return self._bucket.stream(partial(self._read_once, key, relayed), key, start, length)

    async def _read_once(
        self,
        key: str,
        body: Callable[[aiohttp.ClientResponse], AsyncIterator[Content]],
        connection: Connection,
        start: int,
        length: int,
    ) -> AsyncIterator[Content]:
        last = start + length - 1
        call = Call("GetObject", "GET", self._bucket.key(key), headers={"range": f"bytes={start}-{last}"})
        async with connection.stream(call) as answer:
            given = answer.headers.get("content-range", "")
            if not given.startswith(f"bytes {start}-{last}/"):
                # Of an object that is shorter than the index has it, or from a service that sends it all.
                raise StorageError(
                    f"{key}: bytes {start}-{last} were asked for, the storage has {given or 'no ranges'}"
                )
            async with closing(body(answer)) as pieces:
                async for piece in pieces:
                    yield piece

    async def _piece(self, piece: Piece) -> list[bytes]:
        return [chunk async for chunk in self.read(piece.key, piece.start, piece.length)]

    async def delete(self, keys: Sequence[str]) -> None:
        """See ``ObjectStore.delete``."""
        left = [self._bucket.key(key) for key in keys]

        async def request(connection: Connection) -> None:
            nonlocal left
            body = deletion(left)
            headers = {"content-md5": content_md5(body), "content-type": "application/xml"}
            call = Call("DeleteObjects", "POST", query=(("delete", ""),), headers=headers, body=body)
            document = Document.parse((await connection.send(call)).content, "DeleteResult")
            if document is None:
                raise self._bucket.failures.of_stranger(call.operation)
            errors = [error.fields() for error in document.children("Error")]
            failed = [error for error in errors if error.get("Code") != "NoSuchKey"]
            if failed:
                left = [error["Key"] for error in failed]
                status = FORBIDDEN if failed[0].get("Code") == "AccessDenied" else SERVER_ERROR
                refusal = {"Error": failed[0], "ResponseMetadata": {"HTTPStatusCode": status}}
                raise self._bucket.failures.of_answer(refusal, call.operation, left[0])

        if len(left) == 1:
            with contextlib.suppress(NotFound):
                await self._bucket.call(Call("DeleteObject", "DELETE", left[0]), keys[0])
        elif left:
            await self._bucket.send("DeleteObjects", keys[0], request)

    async def assemble(self, segments: Sequence[Segment], key: str) -> None:
        """See ``ObjectStore.assemble``."""
        await self._assembly.assemble(segments, key)

    async def open(self, key: str) -> ContentWriter | None:
        """See ``ObjectStore.open``."""
        return MultipartWriter(self._bucket, direct(self.segments), key, self.put)

    async def url(self, key: str, method: str, seconds: float) -> str | None:
        """See ``ObjectStore.url``."""
        return await self._bucket.signed_url(method, key, max(1, min(int(seconds), LONGEST_URL)))

    async def copy_from(self, source: ObjectStore, key: str, size: int) -> bool:
        """See ``ObjectStore.copy_from``: this bucket's key may have to read the other bucket."""
        if not isinstance(source, S3Store) or source._bucket.endpoint != self._bucket.endpoint:  # noqa: SLF001 -- of this class
            return False
        other = source._bucket  # noqa: SLF001 -- of this class
        if other in self._unreadable:
            return False
        try:
            await self._assembly.copy(other, Segment(key, size), key)
        except (NotFound, Transient):
            raise
        except StorageError as error:
            log.info("%s; copies from the bucket %s go through this machine", error, other.name)
            self._unreadable.add(other)
            return False
        return True

    async def sweep(self, age: float) -> int:
        """See ``ObjectStore.sweep``: aborts multipart uploads, of Distribution, too."""
        before = time.time() - age
        aborted = 0
        for prefix in SWEPT:
            async for upload in multipart_uploads(self._bucket, prefix):
                if upload.initiated < before:
                    await MultipartUpload(self._bucket, upload.key, upload.identity).abort()
                    aborted += 1
        return aborted

    def list(self, prefix: str, *, directories: bool) -> AsyncIterator[Listing]:
        """See ``ObjectStore.list``."""
        if self._bucket.parameters.parallelwalk and not directories:
            return list_in_parallel(partial(page, self._bucket), prefix)
        return list_in_turn(partial(page, self._bucket), prefix, directories=directories)

    async def close(self) -> None:
        """See ``ObjectStore.close``."""
        await self._bucket.close()
