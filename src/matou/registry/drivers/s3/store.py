"""Objects of one bucket of S3.

Concurrency: everything runs on the event loop, but for checksums. Nothing is locked; S3 replaces objects as a whole and
its listings are consistent.

Source: Amazon S3 API reference, 2006-03-01; Distribution's s3-aws driver for keys and for what is sent with writes.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from matou.registry.drivers.base import StorageError, Transient
from matou.registry.drivers.object_store import Listing, Segment, SegmentRules, StoredObject
from matou.registry.drivers.requests import RequestLimit, Requests
from matou.registry.drivers.s3.body import Body, crc32
from matou.registry.drivers.s3.connection import Connection
from matou.registry.drivers.s3.errors import SERVER_ERROR, Failures
from matou.registry.drivers.s3.explanation import FORBIDDEN
from matou.registry.drivers.s3.multipart import MultipartUpload
from matou.registry.drivers.s3.parts import Part, Piece, plan

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from types_aiobotocore_s3 import S3Client

    from matou.config.sections.drivers import S3Parameters
    from matou.registry.drivers.base import ContentWriter
    from matou.registry.drivers.factory import Surroundings
    from matou.registry.drivers.object_store import ObjectStore

T = TypeVar("T")

LONGEST_URL = 7 * 24 * 3600  # seconds, of signature version 4
COPIES = 16  # parts of one object copied at a time, at most


class S3Store:
    """A bucket.

    Args:
        parameters: of the driver.
        surroundings: the limit of requests, and who is told of retries.
    """

    name = "s3"
    keeps_segments = False

    def __init__(self, parameters: S3Parameters, surroundings: Surroundings) -> None:
        self._parameters = parameters
        self._bucket = parameters.bucket
        root = parameters.rootdirectory.strip("/")
        self._root = f"{root}/" if root else ""
        self.segments = SegmentRules(parameters.chunksize)
        self._connection = Connection(parameters)
        self._failures = Failures(parameters)
        self._requests = Requests(
            parameters.maxretries,
            RequestLimit(parameters.maxrequestspersecond, surroundings.request_limit),
            surroundings.observer,
            patience=surroundings.patience,
        )
        self._written = _sent_with_writes(parameters)

    def segment_prefix(self, upload: str) -> str:
        """See ``ObjectStore.segment_prefix``."""
        return f"{upload}/"

    async def send(self, operation: str, where: str, request: Callable[[S3Client], Awaitable[T]]) -> T:
        """Return what a request returns, repeating it as far as that may help.

        Args:
            operation: its name, for messages.
            where: key or prefix that it concerns, for messages.
            request: sends it once.

        Raises:
            StorageError: as ``translated`` has it.
        """

        async def once() -> T:
            with self._failures.translated(operation, where):
                return await request(await self._connection.client())

        return await self._requests.send(once)

    def key(self, key: str) -> str:
        """Return the whole key in the bucket."""
        return self._root + key

    async def get(self, key: str) -> bytes:
        """See ``ObjectStore.get``."""

        async def request(client: S3Client) -> bytes:
            answer = await client.get_object(Bucket=self._bucket, Key=self.key(key))
            async with answer["Body"] as body:
                content: bytes = await body.read()
            if len(content) != answer["ContentLength"]:
                raise Transient(f"{key} came short")
            return content

        return await self.send("GetObject", key, request)

    async def put(self, key: str, chunks: Sequence[bytes]) -> None:
        """See ``ObjectStore.put``."""
        checksum = await crc32(chunks)
        await self.send(
            "PutObject",
            key,
            lambda client: client.put_object(
                Bucket=self._bucket,
                Key=self.key(key),
                Body=Body(chunks),
                ChecksumCRC32=checksum,
                **self._written,
            ),
        )

    async def head(self, key: str) -> StoredObject:
        """See ``ObjectStore.head``."""
        answer = await self.send(
            "HeadObject", key, lambda client: client.head_object(Bucket=self._bucket, Key=self.key(key))
        )
        return StoredObject(key, answer["ContentLength"], answer["LastModified"].timestamp())

    def read(self, key: str, start: int, length: int) -> AsyncIterator[bytes]:
        """See ``ObjectStore.read``."""
        return self._requests.stream(partial(self._read_once, key), start, length)

    async def _read_once(self, key: str, start: int, length: int) -> AsyncIterator[bytes]:
        with self._failures.translated("GetObject", key):
            client = await self._connection.client()
            answer = await client.get_object(
                Bucket=self._bucket, Key=self.key(key), Range=f"bytes={start}-{start + length - 1}"
            )
            async with answer["Body"] as body:
                if not answer.get("ContentRange", "").startswith(f"bytes {start}-"):
                    raise StorageError(f"s3 GetObject of {key}: the service ignores Range")
                async for piece in body.raw_stream.content.iter_any():
                    yield piece

    async def delete(self, keys: Sequence[str]) -> None:
        """See ``ObjectStore.delete``."""
        left = [self.key(key) for key in keys]
        if not left:
            return

        async def request(client: S3Client) -> None:
            nonlocal left
            answer = await client.delete_objects(
                Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in left], "Quiet": True}
            )
            failed = [error for error in answer.get("Errors", ()) if error.get("Code") != "NoSuchKey"]
            if failed:
                left = [error["Key"] for error in failed]
                status = FORBIDDEN if failed[0].get("Code") == "AccessDenied" else SERVER_ERROR
                refusal = {"Error": failed[0], "ResponseMetadata": {"HTTPStatusCode": status}}
                raise self._failures.of_answer(refusal, "DeleteObjects", left[0])

        await self.send("DeleteObjects", keys[0], request)

    async def assemble(self, segments: Sequence[Segment], key: str) -> None:
        """See ``ObjectStore.assemble``."""
        if len(segments) == 1 and segments[0].size <= self._parameters.multipartcopythresholdsize:
            await self._copy(segments[0].key, key)
            return
        upload = await self._begin(key)
        try:
            copying = asyncio.Semaphore(min(COPIES, self._parameters.multipartcopymaxconcurrency))

            async def store(number: int, part: Part) -> None:
                async with copying:
                    await self._store_part(upload, number, part)

            parts = plan(segments, self._parameters.multipartcopychunksize)
            async with asyncio.TaskGroup() as group:
                for number, part in enumerate(parts, 1):
                    group.create_task(store(number, part))
            await upload.complete()
        except BaseExceptionGroup as failures:
            await upload.abort()
            raise failures.exceptions[0] from None
        except BaseException:
            await upload.abort()
            raise

    async def _copy(self, source: str, key: str) -> None:
        await self.send(
            "CopyObject",
            source,
            lambda client: client.copy_object(
                Bucket=self._bucket,
                Key=self.key(key),
                CopySource={"Bucket": self._bucket, "Key": self.key(source)},
                **self._written,
            ),
        )

    async def _begin(self, key: str) -> MultipartUpload:
        return await MultipartUpload.begin(self, self._bucket, key, self._written)

    async def _store_part(self, upload: MultipartUpload, number: int, part: Part) -> None:
        if len(part) == 1:
            await upload.copy(number, {"Bucket": self._bucket, "Key": self.key(part[0].key)}, part[0])
        else:
            await upload.put(number, [chunk for piece in part for chunk in await self._piece(piece)])

    async def _piece(self, piece: Piece) -> list[bytes]:
        return [chunk async for chunk in self.read(piece.key, piece.start, piece.length)]

    async def open(self, key: str) -> ContentWriter | None:  # noqa: ARG002 -- the protocol's argument
        """See ``ObjectStore.open``."""
        return None

    async def url(self, key: str, method: str, seconds: float) -> str | None:
        """See ``ObjectStore.url``."""
        client = await self._connection.client()
        return await client.generate_presigned_url(
            "head_object" if method == "HEAD" else "get_object",
            Params={"Bucket": self._bucket, "Key": self.key(key)},
            ExpiresIn=max(1, min(int(seconds), LONGEST_URL)),
            HttpMethod=method,
        )

    async def copy_from(self, source: ObjectStore, key: str, size: int) -> bool:  # noqa: ARG002 -- the protocol's arguments
        """See ``ObjectStore.copy_from``."""
        return False

    async def sweep(self, age: float) -> int:  # noqa: ARG002 -- the protocol's argument
        """See ``ObjectStore.sweep``."""
        return 0

    async def list(self, prefix: str, *, directories: bool) -> AsyncIterator[Listing]:
        """See ``ObjectStore.list``."""
        whole = self.key(prefix)
        arguments: dict[str, Any] = {"Delimiter": "/"} if directories else {}
        while True:
            page = await self.send(
                "ListObjectsV2",
                prefix,
                lambda client: client.list_objects_v2(Bucket=self._bucket, Prefix=whole, **arguments),
            )
            yield Listing(
                [
                    StoredObject(found["Key"][len(self._root) :], found["Size"], found["LastModified"].timestamp())
                    for found in page.get("Contents", ())
                ],
                [found["Prefix"][len(whole) :].rstrip("/") for found in page.get("CommonPrefixes", ())],
            )
            if not page.get("IsTruncated"):
                return
            arguments["ContinuationToken"] = page["NextContinuationToken"]

    async def close(self) -> None:
        """See ``ObjectStore.close``."""
        await self._connection.close()
        self._requests.close()


def _sent_with_writes(parameters: S3Parameters) -> dict[str, Any]:
    """Return what is sent with each request that makes an object."""
    sent: dict[str, Any] = {"ContentType": "application/octet-stream"}
    if parameters.encrypt:
        sent["ServerSideEncryption"] = "aws:kms" if parameters.keyid else "AES256"
        if parameters.keyid:
            sent["SSEKMSKeyId"] = parameters.keyid
    if parameters.storageclass != "NONE":
        sent["StorageClass"] = parameters.storageclass
    if not parameters.objectownership:
        sent["ACL"] = parameters.objectacl
    return sent
