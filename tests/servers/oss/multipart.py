"""Multipart uploads, by OSS's rules: parts lie as objects in a bucket of their own until the upload is completed.

Source: OSS API reference, "Multipart upload": parts of 100 KiB to 5 GiB, but for the last; at most 10,000.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from tests.servers.oss.errors import OssError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from tests.servers.oss.objects import Objects

SMALLEST = 100 << 10  # bytes
LARGEST = 5 << 30
MOST = 10_000
PARTS = "parts"  # the bucket


class Part(NamedTuple):
    """A part that is stored: its ETag, and its bytes."""

    etag: str
    size: int


@dataclass(slots=True)
class Upload:
    """A multipart upload.

    Attributes:
        id: of it.
        bucket: of the object.
        key: of the object.
        headers: of S3, with which the object is stored.
        begun: seconds since the epoch, UTC.
        parts: by their numbers.
    """

    id: str
    bucket: str
    key: str
    headers: Mapping[str, str]
    begun: float
    parts: dict[int, Part] = field(default_factory=dict)


class Uploads:
    """All multipart uploads of the front; they are forgotten when it ends.

    Args:
        objects: hold the parts.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._uploads: dict[str, Upload] = {}

    def begin(self, bucket: str, key: str, headers: Mapping[str, str]) -> Upload:
        """Begin an upload."""
        upload = Upload(secrets.token_hex(16).upper(), bucket, key, headers, time.time())
        self._uploads[upload.id] = upload
        return upload

    def find(self, bucket: str, key: str, identity: str) -> Upload:
        """Return an upload."""
        upload = self._uploads.get(identity)
        if upload is None or (upload.bucket, upload.key) != (bucket, key):
            raise OssError(
                404,
                "NoSuchUpload",
                "The specified upload does not exist. The upload ID may be invalid.",
                {"UploadId": identity},
            )
        return upload

    async def put(self, upload: Upload, number: str, size: int, body: AsyncIterator[bytes]) -> Part:
        """Store a part."""
        if not number.isdecimal() or not 1 <= int(number) <= MOST:
            raise OssError(400, "InvalidArgument", "PartNumber must be an integer between 1 and 10000.")
        if size > LARGEST:
            raise OssError(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size.")
        part = Part(await self._objects.put(f"{PARTS}/{upload.id}/{number}", size, body, {}), size)
        upload.parts[int(number)] = part
        return part

    async def complete(self, upload: Upload, named: Sequence[tuple[int, str]]) -> str:
        """Make the object of parts; return its ETag.

        Args:
            upload: of them.
            named: their numbers and ETags.
        """
        if [number for number, _ in named] != sorted({number for number, _ in named}):
            raise OssError(400, "InvalidPartOrder", "The list of parts was not in ascending order.")
        for number, etag in named:
            part = upload.parts.get(number)
            if part is None or part.etag.strip('"') != etag.strip('"'):
                raise OssError(400, "InvalidPart", "One or more of the specified parts could not be found.")
        sizes = [upload.parts[number].size for number, _ in named]
        if any(size < SMALLEST for size in sizes[:-1]):
            raise OssError(400, "EntityTooSmall", "Your proposed upload smaller than the minimum allowed size.")
        etag = await self._objects.put(
            f"{upload.bucket}/{upload.key}",
            sum(sizes),
            self._content(upload, [number for number, _ in named]),
            upload.headers,
        )
        await self.abort(upload)
        return f'"{etag.strip(chr(34))}-{len(named)}"'

    async def _content(self, upload: Upload, numbers: Sequence[int]) -> AsyncIterator[bytes]:
        for number in numbers:
            async for piece in self._objects.stream(f"{PARTS}/{upload.id}/{number}"):
                yield piece

    async def abort(self, upload: Upload) -> None:
        """Forget an upload."""
        del self._uploads[upload.id]
        for number in upload.parts:
            async with self._objects.send("DELETE", f"{PARTS}/{upload.id}/{number}"):
                pass

    def all(self, bucket: str, prefix: str) -> list[Upload]:
        """Return the uploads of a bucket to keys with a prefix, in the order in which OSS lists them."""
        found = [one for one in self._uploads.values() if one.bucket == bucket and one.key.startswith(prefix)]
        return sorted(found, key=lambda one: (one.key, one.id))
