"""Content whose place is known from the start: written there as a multipart upload, or at once when it is small."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from matou.registry.drivers.base import StorageError
from matou.registry.drivers.s3.multipart import MultipartUpload
from matou.registry.drivers.s3.parts import MOST
from matou.registry.drivers.segment_buffer import SegmentBuffer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from matou.registry.drivers.object_store import SegmentRules
    from matou.registry.drivers.s3.bucket import Bucket


class MultipartWriter:
    """A ``ContentWriter``.

    Args:
        bucket: of the object.
        rules: how it is cut into parts.
        key: of the object.
        put: stores an object of which all is in memory.
    """

    def __init__(
        self, bucket: Bucket, rules: SegmentRules, key: str, put: Callable[[str, Sequence[bytes]], Awaitable[None]]
    ) -> None:
        self._bucket = bucket
        self._key = key
        self._put = put
        self._buffer = SegmentBuffer(rules, self._store, "", offset=0)
        self._beginning = asyncio.Lock()
        self._upload: MultipartUpload | None = None

    async def write(self, chunks: Sequence[bytes]) -> None:
        """See ``ContentWriter.write``."""
        await self._buffer.write(chunks)

    async def _store(self, key: str, chunks: Sequence[bytes]) -> None:
        number = next(index for index, segment in enumerate(self._buffer.segments, 1) if segment.key == key)
        if number > MOST:
            raise StorageError(
                f"{self._key} has more than {MOST} parts; set a larger {self._bucket.parameters.section}.chunksize"
            )
        await (await self._begun()).put(number, chunks)

    async def _begun(self) -> MultipartUpload:
        async with self._beginning:
            if self._upload is None:
                self._upload = await MultipartUpload.begin(self._bucket, self._key)
            return self._upload

    async def commit(self) -> None:
        """See ``ContentWriter.commit``."""
        if not self._buffer.segments:
            await self._put(self._key, self._buffer.take())
            return
        await self._buffer.finish()
        await (await self._begun()).complete()
        self._upload = None

    async def discard(self) -> None:
        """See ``ContentWriter.discard``."""
        await self._buffer.abandon()
        upload, self._upload = self._upload, None
        if upload is not None:
            await upload.abort()
