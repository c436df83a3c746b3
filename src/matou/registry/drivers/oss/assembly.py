"""One object of many: parts of a multipart upload that are copied inside OSS, in parallel.

Source: OSS API reference: CopyObject takes objects of up to 1 GiB; parts have 100 KiB to 5 GiB, the last one may be
smaller, and there are at most 10,000.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from matou.registry.concurrency import each, for_each
from matou.registry.drivers.base import StorageError
from matou.registry.drivers.part_plan import PartRules, plan_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matou.registry.drivers.object_store import Segment
    from matou.registry.drivers.oss.bucket import Bucket
    from matou.registry.drivers.part_plan import Part

MIB = 1 << 20
LARGEST_COPY = 1 << 30  # bytes of a CopyObject
# The documents do not agree whether a part may have exactly 100 KiB.
PARTS = PartRules(smallest=128 << 10, preferred=256 * MIB)
COPIES_AT_ONCE = 10  # of one object, as in Distribution
JOINS_AT_ONCE = 2  # parts in memory


async def make_object(bucket: Bucket, key: str, source: str, segments: Sequence[Segment]) -> None:
    """Make one object of segments.

    Args:
        bucket: of the object.
        key: of it.
        source: bucket of the segments.
        segments: in order, none empty; at least one.

    Raises:
        NotFound: a segment does not exist.
        StorageError: the object is not there; nothing of it is left, as far as that could be done.
    """
    if len(segments) == 1 and segments[0].size <= LARGEST_COPY:
        await bucket.copy(source, segments[0].key, key)
        return
    upload = await bucket.multiparts.begin(key)
    try:
        etags = await _Parts(bucket, key, upload, source).store(plan_parts(segments, PARTS))
        await bucket.multiparts.complete(key, upload, etags, sum(segment.size for segment in segments))
    except BaseException:
        with contextlib.suppress(StorageError):  # a sweep aborts it later
            await bucket.multiparts.abort(key, upload)
        raise


class _Parts:
    """Stores the parts of one multipart upload, some at a time."""

    def __init__(self, bucket: Bucket, key: str, upload: str, source: str) -> None:
        self._bucket = bucket
        self._key = key
        self._upload = upload
        self._source = source
        self._joining = asyncio.Semaphore(JOINS_AT_ONCE)
        self._etags: dict[int, str] = {}

    async def store(self, parts: Sequence[Part]) -> list[str]:
        """Return the ETags of the parts. The first failure ends it."""

        async def store(numbered: tuple[int, Part]) -> None:
            number, part = numbered
            self._etags[number] = await self._store(number, part)

        await for_each(each(enumerate(parts, 1)), store, COPIES_AT_ONCE)
        return [self._etags[number] for number in range(1, len(parts) + 1)]

    async def _store(self, number: int, part: Part) -> str:
        if len(part) == 1:
            piece = part[0]
            span = None if piece.whole else (piece.start, piece.start + piece.length - 1)
            return await self._bucket.multiparts.copy_part(
                self._key, self._upload, number, (self._source, piece.key), span
            )
        async with self._joining:
            chunks = [
                chunk for piece in part async for chunk in self._bucket.read(piece.key, piece.start, piece.length)
            ]
            return await self._bucket.multiparts.put_part(self._key, self._upload, number, chunks)
