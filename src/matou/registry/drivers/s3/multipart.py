"""A multipart upload: parts of an object that appears when they are complete."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from matou.registry.drivers.base import NotFound, StorageError
from matou.registry.drivers.s3.body import Body, crc32

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef, CopySourceTypeDef

    from matou.registry.drivers.s3.parts import Piece

T = TypeVar("T")

log = logging.getLogger("matou.registry")


class Sender(Protocol):
    """Sends requests: ``S3Store``."""

    def key(self, key: str) -> str:
        """Return the whole key in the bucket."""
        ...

    async def send(self, operation: str, where: str, request: Callable[[S3Client], Awaitable[T]]) -> T:
        """Return what a request returns, repeating it as far as that may help."""
        ...


class MultipartUpload:
    """One that was begun.

    Args:
        sender: of requests.
        bucket: of the object.
        key: of the object, relative to the root directory.
        identity: that the service gave to it.
    """

    def __init__(self, sender: Sender, bucket: str, key: str, identity: str) -> None:
        self._sender = sender
        self._key = key
        self._place: dict[str, Any] = {"Bucket": bucket, "Key": sender.key(key), "UploadId": identity}
        self._parts: dict[int, CompletedPartTypeDef] = {}

    @classmethod
    async def begin(cls, sender: Sender, bucket: str, key: str, written: Mapping[str, Any]) -> MultipartUpload:
        """Begin an upload.

        Args:
            sender: of requests.
            bucket: of the object.
            key: of the object, relative to the root directory.
            written: what is sent with writes.
        """
        answer = await sender.send(
            "CreateMultipartUpload",
            key,
            lambda client: client.create_multipart_upload(Bucket=bucket, Key=sender.key(key), **written),
        )
        return cls(sender, bucket, key, answer["UploadId"])

    async def put(self, number: int, chunks: Sequence[bytes]) -> None:
        """Store a part."""
        checksum = await crc32(chunks)
        answer = await self._sender.send(
            "UploadPart",
            self._key,
            lambda client: client.upload_part(
                **self._place, PartNumber=number, Body=Body(chunks), ChecksumCRC32=checksum
            ),
        )
        self._parts[number] = {"PartNumber": number, "ETag": answer["ETag"]}

    async def copy(self, number: int, source: CopySourceTypeDef, piece: Piece) -> None:
        """Make a part of bytes of another object."""
        arguments: dict[str, Any] = (
            {} if piece.whole else {"CopySourceRange": f"bytes={piece.start}-{piece.start + piece.length - 1}"}
        )
        answer = await self._sender.send(
            "UploadPartCopy",
            piece.key,
            lambda client: client.upload_part_copy(**self._place, PartNumber=number, CopySource=source, **arguments),
        )
        self._parts[number] = {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}

    async def complete(self) -> None:
        """Make the object."""
        parts = [part for _, part in sorted(self._parts.items())]
        await self._sender.send(
            "CompleteMultipartUpload",
            self._key,
            lambda client: client.complete_multipart_upload(**self._place, MultipartUpload={"Parts": parts}),
        )

    async def abort(self) -> None:
        """Throw the parts away; what cannot be is left for ``sweep``."""
        try:
            with contextlib.suppress(NotFound):
                await self._sender.send(
                    "AbortMultipartUpload", self._key, lambda client: client.abort_multipart_upload(**self._place)
                )
        except StorageError as error:
            log.warning("%s; a later sweep deletes its parts", error)
