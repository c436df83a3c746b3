"""A multipart upload: parts of an object that appears when they are complete."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any

from matou.registry.drivers.base import NotFound, StorageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

    from matou.registry.drivers.s3.bucket import Bucket
    from matou.registry.drivers.s3.parts import Piece

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
        self._place: dict[str, Any] = {**bucket.object(key), "UploadId": identity}
        self._parts: dict[int, CompletedPartTypeDef] = {}
        self._size = 0

    @classmethod
    async def begin(cls, bucket: Bucket, key: str) -> MultipartUpload:
        """Begin an upload."""
        answer = await bucket.send(
            "CreateMultipartUpload",
            key,
            lambda client: client.create_multipart_upload(**bucket.object(key), **bucket.written),
        )
        return cls(bucket, key, answer["UploadId"])

    async def put(self, number: int, chunks: Sequence[bytes]) -> None:
        """Store a part."""
        sent = await self._bucket.contents.arguments(chunks)
        answer = await self._bucket.send(
            "UploadPart",
            self._key,
            lambda client: client.upload_part(**self._place, PartNumber=number, **sent),
        )
        self._parts[number] = {"PartNumber": number, "ETag": answer["ETag"]}
        self._size += sum(map(len, chunks))

    async def copy(self, number: int, source: Bucket, piece: Piece) -> None:
        """Make a part of bytes of another object, which may be in another bucket of the service."""
        arguments: dict[str, Any] = {}
        if not piece.whole:
            arguments["CopySourceRange"] = f"bytes={piece.start}-{piece.start + piece.length - 1}"
        answer = await self._bucket.send(
            "UploadPartCopy",
            piece.key,
            lambda client: client.upload_part_copy(
                **self._place,
                PartNumber=number,
                CopySource={"Bucket": source.name, "Key": source.key(piece.key)},
                **arguments,
            ),
        )
        self._parts[number] = {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}
        self._size += piece.length

    async def complete(self) -> None:
        """Make the object.

        Raises:
            StorageError: also when another process has aborted the upload.
        """
        parts = [part for _, part in sorted(self._parts.items())]
        try:
            await self._bucket.send(
                "CompleteMultipartUpload",
                self._key,
                lambda client: client.complete_multipart_upload(**self._place, MultipartUpload={"Parts": parts}),
            )
        except NotFound:
            if not await self._is_complete():
                raise StorageError(f"the multipart upload of {self._key} was aborted by another program") from None

    async def _is_complete(self) -> bool:
        """Tell whether the object is there: the answer to a request that made it may have been lost."""
        try:
            found = await self._bucket.send(
                "HeadObject", self._key, lambda client: client.head_object(**self._bucket.object(self._key))
            )
        except NotFound:
            return False
        return found["ContentLength"] == self._size

    async def abort(self) -> None:
        """Throw the parts away; what cannot be is left for ``sweep``."""
        try:
            with contextlib.suppress(NotFound):
                await self._bucket.send(
                    "AbortMultipartUpload", self._key, lambda client: client.abort_multipart_upload(**self._place)
                )
        except StorageError as error:
            log.warning("%s; a later sweep deletes its parts", error)
