"""Copies inside the service: one object of another, or of many segments.

Source: Amazon S3 API reference: CopyObject takes up to 5 GiB, UploadPartCopy a range of an object.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import TYPE_CHECKING

from matou.registry.drivers.object_store import Segment
from matou.registry.drivers.s3 import parts as limits
from matou.registry.drivers.s3.connection import COPY_SECONDS, Call
from matou.registry.drivers.s3.errors import Unsupported
from matou.registry.drivers.s3.multipart import MultipartUpload
from matou.registry.drivers.s3.parts import plan, ranges

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from matou.registry.drivers.part_plan import Part, Piece
    from matou.registry.drivers.s3.bucket import Bucket

log = logging.getLogger("matou.registry")

HALVES = "matou/staging"  # directory of what is put together in two steps


class Assembly:
    """Copies into one bucket.

    Args:
        bucket: the destination.
        read: returns bytes of an object of the bucket.
    """

    def __init__(self, bucket: Bucket, read: Callable[[Piece], Awaitable[list[bytes]]]) -> None:
        self._bucket = bucket
        self._read = read
        self._copies_parts = True  # until the service shows that it cannot

    async def assemble(self, segments: Sequence[Segment], key: str) -> None:
        """Make one object of segments, in order; a single one is copied.

        Raises:
            NotFound: a segment does not exist.
        """
        if len(segments) == 1:
            await self.copy(self._bucket, segments[0], key)
            return
        total = sum(segment.size for segment in segments)
        parts = plan(segments, max(self._bucket.parameters.multipartcopychunksize, -(-total // (limits.MOST // 2))))
        if len(parts) > limits.MOST:
            await self._assemble_in_two_steps(segments, key)
        else:
            await self._assemble_parts(self._bucket, parts, key)

    async def copy(self, source: Bucket, segment: Segment, key: str) -> None:
        """Copy an object, which may be of another bucket.

        Args:
            source: the bucket of the object.
            segment: the object.
            key: of the copy.

        Raises:
            NotFound: the object does not exist.
        """
        bucket = self._bucket
        if segment.size > max(bucket.parameters.multipartcopythresholdsize, limits.SMALLEST):
            pieces = ranges(segment, bucket.parameters.multipartcopychunksize)
            await self._assemble_parts(source, [[piece] for piece in pieces], key)
            return
        async with bucket.copying:
            call = Call(
                "CopyObject",
                "PUT",
                bucket.key(key),
                headers={**bucket.written, **source.source(segment.key)},
                patience=COPY_SECONDS,
            )
            await bucket.call(call, segment.key)

    async def _assemble_in_two_steps(self, segments: Sequence[Segment], key: str) -> None:
        """Make objects of runs of segments, and then one of those."""
        count = -(-len(segments) // limits.MOST) + 1
        bounds = [len(segments) * index // count for index in range(count + 1)]
        home = f"{HALVES}/{secrets.token_hex(16)}"
        made: list[Segment] = []
        try:
            for index in range(count):
                run = segments[bounds[index] : bounds[index + 1]]
                made.append(Segment(f"{home}/{index}", sum(segment.size for segment in run)))
                await self.assemble(run, made[-1].key)
            await self.assemble(made, key)
        finally:
            await self._delete(made)

    async def _delete(self, made: Sequence[Segment]) -> None:
        for segment in made:
            await self._bucket.call(Call("DeleteObject", "DELETE", self._bucket.key(segment.key)), segment.key)

    async def _assemble_parts(self, source: Bucket, parts: Sequence[Part], key: str) -> None:
        upload = await MultipartUpload.begin(self._bucket, key)
        tasks = [
            asyncio.create_task(self._store_part(upload, number, source, part)) for number, part in enumerate(parts, 1)
        ]
        try:
            await asyncio.gather(*tasks)
            await upload.complete()
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await upload.abort()
            raise

    async def _store_part(self, upload: MultipartUpload, number: int, source: Bucket, part: Part) -> None:
        is_foreign = source is not self._bucket
        if len(part) == 1 and (self._copies_parts or is_foreign):
            try:
                async with self._bucket.copying:
                    await upload.copy(number, source, part[0])
            except Unsupported as error:
                if is_foreign:
                    raise
                if self._copies_parts:
                    log.warning("%s; such copies go through this machine", error)
                self._copies_parts = False
            else:
                return
        async with self._bucket.joining:
            chunks: list[bytes] = []
            for piece in part:
                chunks += await self._read(piece)
            await upload.put(number, chunks)
