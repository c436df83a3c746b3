"""A multipart upload: parts of an object that appears when they are complete."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from matou.registry.drivers.base import NotFound, StorageError
from matou.registry.drivers.s3.connection import COPY_SECONDS, Call
from matou.registry.drivers.s3.documents import Document, completion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matou.registry.drivers.part_plan import Piece
    from matou.registry.drivers.s3.bucket import Bucket

log = logging.getLogger("matou.registry")


class MultipartUpload:
    """One that was begun.

    Args:
        bucket: of the object.
        key: of the object, relative to the root directory.
        identity: that the service gave to it.
    """

    def __init__(self, bucket: Bucket, key: str, identity: str) -> None:
        self._bucket = bucket
        self._key = key
        self._identity = identity
        self._tags: dict[int, str] = {}  # of parts
        self._size = 0

    @classmethod
    async def begin(cls, bucket: Bucket, key: str) -> MultipartUpload:
        """Begin an upload."""
        call = Call("CreateMultipartUpload", "POST", bucket.key(key), query=(("uploads", ""),), headers=bucket.written)
        document = Document.parse((await bucket.call(call, key)).content, "InitiateMultipartUploadResult")
        identity = document.text("UploadId") if document is not None else ""
        if not identity:
            raise bucket.failures.of_stranger(call.operation)
        return cls(bucket, key, identity)

    async def put(self, number: int, chunks: Sequence[bytes]) -> None:
        """Store a part."""
        content = await self._bucket.contents.prepare(chunks)
        call = Call(
            "UploadPart",
            "PUT",
            self._bucket.key(self._key),
            query=self._of_part(number),
            headers=content.headers,
            body=content.body,
        )
        tag = (await self._bucket.call(call, self._key)).headers.get("etag", "")
        self._note(number, tag, sum(map(len, chunks)), call.operation)

    async def copy(self, number: int, source: Bucket, piece: Piece) -> None:
        """Make a part of bytes of another object, which may be in another bucket of the service."""
        headers = source.source(piece.key)
        if not piece.whole:
            headers["x-amz-copy-source-range"] = f"bytes={piece.start}-{piece.start + piece.length - 1}"
        call = Call(
            "UploadPartCopy",
            "PUT",
            self._bucket.key(self._key),
            query=self._of_part(number),
            headers=headers,
            patience=COPY_SECONDS,
        )
        document = Document.parse((await self._bucket.call(call, piece.key)).content, "CopyPartResult")
        self._note(number, document.text("ETag") if document is not None else "", piece.length, call.operation)

    def _of_part(self, number: int) -> tuple[tuple[str, str], ...]:
        return ("partNumber", str(number)), ("uploadId", self._identity)

    def _note(self, number: int, tag: str, size: int, operation: str) -> None:
        if not tag:
            raise self._bucket.failures.of_stranger(operation)
        self._tags[number] = tag
        self._size += size

    async def complete(self) -> None:
        """Make the object.

        Raises:
            StorageError: also when another process has aborted the upload.
        """
        call = Call(
            "CompleteMultipartUpload",
            "POST",
            self._bucket.key(self._key),
            query=(("uploadId", self._identity),),
            headers={"content-type": "application/xml"},
            body=completion(sorted(self._tags.items())),
            patience=COPY_SECONDS,
        )
        try:
            await self._bucket.call(call, self._key)
        except NotFound:
            if not await self._is_complete():
                raise StorageError(f"the multipart upload of {self._key} was aborted by another program") from None

    async def _is_complete(self) -> bool:
        """Tell whether the object is there: the answer to a request that made it may have been lost."""
        try:
            found = await self._bucket.call(Call("HeadObject", "HEAD", self._bucket.key(self._key)), self._key)
        except NotFound:
            return False
        return found.headers.get("content-length") == str(self._size)

    async def abort(self) -> None:
        """Throw the parts away; what cannot be is left for ``sweep``."""
        call = Call(
            "AbortMultipartUpload", "DELETE", self._bucket.key(self._key), query=(("uploadId", self._identity),)
        )
        try:
            with contextlib.suppress(NotFound):
                await self._bucket.call(call, self._key)
        except StorageError as error:
            log.warning("%s; a later sweep deletes its parts", error)
