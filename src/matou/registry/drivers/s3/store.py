"""Objects of one bucket of S3.

Concurrency: everything runs on the event loop, but for checksums. Nothing is locked; S3 replaces objects as a whole and
its listings are consistent.

Source: Amazon S3 API reference, 2006-03-01; Distribution's s3-aws driver for keys and for what is sent with writes.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING

from matou.registry.drivers.base import NotFound, StorageError, Transient
from matou.registry.drivers.object_store import Segment, SegmentRules, StoredObject
from matou.registry.drivers.s3.assembly import Assembly
from matou.registry.drivers.s3.bucket import Bucket
from matou.registry.drivers.s3.errors import SERVER_ERROR
from matou.registry.drivers.s3.explanation import FORBIDDEN
from matou.registry.drivers.s3.listing import multipart_uploads, pages, pages_in_parallel
from matou.registry.drivers.s3.multipart import MultipartUpload
from matou.registry.drivers.s3.writer import MultipartWriter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from types_aiobotocore_s3 import S3Client

    from matou.config.sections.s3 import S3Parameters
    from matou.registry.drivers.base import ContentWriter
    from matou.registry.drivers.factory import Surroundings
    from matou.registry.drivers.object_store import Listing, ObjectStore
    from matou.registry.drivers.s3.parts import Piece

log = logging.getLogger("matou.registry")

LONGEST_URL = 7 * 24 * 3600  # seconds, of signature version 4
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

        async def request(client: S3Client) -> bytes:
            answer = await client.get_object(**self._bucket.object(key))
            async with answer["Body"] as body:
                content: bytes = await body.read()
            if len(content) != answer["ContentLength"]:
                raise Transient(f"{key} came short: {len(content)} bytes of {answer['ContentLength']}")
            return content

        return await self._bucket.send("GetObject", key, request)

    async def put(self, key: str, chunks: Sequence[bytes]) -> None:
        """See ``ObjectStore.put``."""
        sent = await self._bucket.contents.arguments(chunks)
        await self._bucket.send(
            "PutObject",
            key,
            lambda client: client.put_object(**self._bucket.object(key), **sent, **self._bucket.written),
        )

    async def head(self, key: str) -> StoredObject:
        """See ``ObjectStore.head``."""
        answer = await self._bucket.send(
            "HeadObject", key, lambda client: client.head_object(**self._bucket.object(key))
        )
        return StoredObject(key, answer["ContentLength"], answer["LastModified"].timestamp())

    def read(self, key: str, start: int, length: int) -> AsyncIterator[bytes]:
        """See ``ObjectStore.read``."""
        return self._bucket.stream(partial(self._read_once, key), key, start, length)

    async def _read_once(self, key: str, client: S3Client, start: int, length: int) -> AsyncIterator[bytes]:
        last = start + length - 1
        answer = await client.get_object(**self._bucket.object(key), Range=f"bytes={start}-{last}")
        async with answer["Body"] as body:
            given = answer.get("ContentRange", "")
            if not given.startswith(f"bytes {start}-{last}/"):
                # Of an object that is shorter than the index has it, or from a service that sends it all.
                raise StorageError(
                    f"{key}: bytes {start}-{last} were asked for, the storage has {given or 'no ranges'}"
                )
            async for piece in body.raw_stream.content.iter_any():
                yield piece

    async def _piece(self, piece: Piece) -> list[bytes]:
        return [chunk async for chunk in self.read(piece.key, piece.start, piece.length)]

    async def delete(self, keys: Sequence[str]) -> None:
        """See ``ObjectStore.delete``."""
        left = [self._bucket.key(key) for key in keys]

        async def request(client: S3Client) -> None:
            nonlocal left
            answer = await client.delete_objects(
                Bucket=self._bucket.name, Delete={"Objects": [{"Key": key} for key in left], "Quiet": True}
            )
            failed = [error for error in answer.get("Errors", ()) if error.get("Code") != "NoSuchKey"]
            if failed:
                left = [error["Key"] for error in failed]
                status = FORBIDDEN if failed[0].get("Code") == "AccessDenied" else SERVER_ERROR
                refusal = {"Error": failed[0], "ResponseMetadata": {"HTTPStatusCode": status}}
                raise self._bucket.failures.of_answer(refusal, "DeleteObjects", left[0])

        if len(left) == 1:
            await self._delete(keys[0])
        elif left:
            await self._bucket.send("DeleteObjects", keys[0], request)

    async def _delete(self, key: str) -> None:
        try:
            await self._bucket.send(
                "DeleteObject", key, lambda client: client.delete_object(**self._bucket.object(key))
            )
        except NotFound:
            log.debug("%s was deleted already", key)

    async def assemble(self, segments: Sequence[Segment], key: str) -> None:
        """See ``ObjectStore.assemble``."""
        await self._assembly.assemble(segments, key)

    async def open(self, key: str) -> ContentWriter | None:
        """See ``ObjectStore.open``."""
        return MultipartWriter(self._bucket, self.segments, key, self.put)

    async def url(self, key: str, method: str, seconds: float) -> str | None:
        """See ``ObjectStore.url``."""
        operation = "head_object" if method == "HEAD" else "get_object"
        return await self._bucket.signed_url(operation, key, max(1, min(int(seconds), LONGEST_URL)))

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
                if upload["Initiated"].timestamp() < before:
                    key = upload["Key"][len(self._bucket.root) :]
                    await MultipartUpload(self._bucket, key, upload["UploadId"]).abort()
                    aborted += 1
        return aborted

    def list(self, prefix: str, *, directories: bool) -> AsyncIterator[Listing]:
        """See ``ObjectStore.list``."""
        if self._bucket.parameters.parallelwalk and not directories:
            return pages_in_parallel(self._bucket, prefix)
        return pages(self._bucket, prefix, directories=directories)

    async def close(self) -> None:
        """See ``ObjectStore.close``."""
        await self._bucket.close()
