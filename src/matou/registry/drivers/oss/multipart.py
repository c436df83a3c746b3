"""Multipart uploads: parts of an object that appears when they are completed.

Source: OSS API reference, "Multipart upload".
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import alibabacloud_oss_v2 as oss

from matou.registry.drivers.base import NotFound
from matou.registry.drivers.oss.body import CONTENT_TYPE, Body, content_md5
from matou.registry.drivers.oss.failures import NoSuchUpload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from matou.registry.drivers.oss.connection import Connection

PAGE = 1000  # uploads of a listing at most


class Multipart(NamedTuple):
    """A multipart upload: its key, its id, and when it was begun (seconds since the epoch, UTC)."""

    key: str
    id: str
    begun: float


class Multiparts:
    """The multipart uploads of a bucket. Keys are whole: from the root of the bucket.

    Args:
        connection: to the bucket.
        encryption: arguments of requests that make an object.
        size: returns the bytes of an object.
    """

    def __init__(
        self, connection: Connection, encryption: Mapping[str, str], size: Callable[[str], Awaitable[int]]
    ) -> None:
        self._connection = connection
        self._bucket = connection.bucket
        self._encryption = encryption
        self._size = size

    async def begin(self, key: str) -> str:
        """Begin a multipart upload; return its id."""
        request = oss.InitiateMultipartUploadRequest(
            self._bucket, key, content_type=CONTENT_TYPE, encoding_type="url", **self._encryption
        )
        result = await self._connection.send(
            "InitiateMultipartUpload", key, lambda: self._connection.client.initiate_multipart_upload(request)
        )
        upload: str = result.upload_id
        return upload

    async def put_part(self, key: str, upload: str, number: int, chunks: Sequence[bytes]) -> str:
        """Store a part; return its ETag."""
        size, md5 = sum(map(len, chunks)), await content_md5(chunks)
        result = await self._connection.send(
            "UploadPart",
            key,
            lambda: self._connection.client.upload_part(
                oss.UploadPartRequest(
                    self._bucket,
                    key,
                    part_number=number,
                    upload_id=upload,
                    content_length=size,
                    content_md5=md5,
                    body=Body(chunks),
                )
            ),
        )
        etag: str = result.etag
        return etag

    async def copy_part(
        self, key: str, upload: str, number: int, source: tuple[str, str], span: tuple[int, int] | None
    ) -> str:
        """Make a part of an object, or of bytes of it; return its ETag.

        Args:
            key: of the new object.
            upload: id of its upload.
            number: of the part, from 1.
            source: bucket and key of the object.
            span: first and last byte; None for all of it.

        Raises:
            NotFound: the source does not exist.
        """
        request = oss.UploadPartCopyRequest(
            self._bucket,
            key,
            part_number=number,
            upload_id=upload,
            source_bucket=source[0],
            source_key=source[1],
            source_range=f"bytes={span[0]}-{span[1]}" if span else None,
        )
        result = await self._connection.send(
            "UploadPartCopy", source[1], lambda: self._connection.copying.upload_part_copy(request)
        )
        etag: str = result.etag
        return etag

    async def complete(self, key: str, upload: str, etags: Sequence[str], size: int) -> None:
        """Make an object of parts.

        Args:
            key: of the object.
            upload: id of its upload.
            etags: of the parts, from the first on.
            size: bytes of the object, by which an earlier, lost success is known.
        """
        parts = [oss.UploadPart(part_number=number, etag=etag) for number, etag in enumerate(etags, 1)]
        request = oss.CompleteMultipartUploadRequest(
            self._bucket,
            key,
            upload_id=upload,
            complete_multipart_upload=oss.CompleteMultipartUpload(parts=parts),
            encoding_type="url",
        )
        attempts = 0

        async def call() -> Any:
            nonlocal attempts
            attempts += 1
            return await self._connection.copying.complete_multipart_upload(request)

        try:
            await self._connection.send("CompleteMultipartUpload", key, call)
        except NoSuchUpload:
            if attempts == 1 or await self._size(key) != size:
                raise

    async def abort(self, key: str, upload: str) -> None:
        """Give a multipart upload up; one that is gone is success."""
        request = oss.AbortMultipartUploadRequest(self._bucket, key, upload_id=upload)
        try:
            await self._connection.send(
                "AbortMultipartUpload", key, lambda: self._connection.client.abort_multipart_upload(request)
            )
        except (NotFound, NoSuchUpload):
            return

    async def list(self, prefix: str) -> AsyncIterator[Multipart]:
        """Yield the multipart uploads whose key begins with a prefix."""
        key_marker: str | None = None
        id_marker: str | None = None
        while True:
            request = oss.ListMultipartUploadsRequest(
                self._bucket,
                prefix=prefix or None,
                max_uploads=PAGE,
                key_marker=key_marker,
                upload_id_marker=id_marker,
                encoding_type="url",
            )
            result = await self._connection.send(
                "ListMultipartUploads", prefix, partial(self._connection.client.list_multipart_uploads, request)
            )
            for upload in result.uploads or []:
                yield Multipart(upload.key, upload.upload_id, upload.initiated.timestamp())
            if not result.is_truncated:
                return
            key_marker, id_marker = result.next_key_marker, result.next_upload_id_marker
