"""Content whose place is known from the start: a multipart upload there, completed when all of it has come.

Concurrency: parts are stored by tasks on the event loop, a few at a time, while the next one is filled.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from matou.registry.drivers.base import StorageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matou.registry.drivers.object_store import SegmentRules
    from matou.registry.drivers.oss.bucket import Bucket


class MultipartContent:
    """A ``ContentWriter``. Content that fits into one part is stored in one request.

    Args:
        bucket: gets it.
        key: where.
        rules: how large parts are, and how many are being stored at once.
    """

    def __init__(self, bucket: Bucket, key: str, rules: SegmentRules) -> None:
        self._bucket = bucket
        self._key = key
        self._rules = rules
        self._upload: str | None = None
        self._chunks: list[bytes] = []
        self._buffered = 0
        self._offset = 0  # of the first byte that is buffered
        self._count = 0  # of parts that were begun
        self._etags: dict[int, str] = {}
        self._storing: list[asyncio.Task[None]] = []
        self._failure: BaseException | None = None  # of a part

    async def write(self, chunks: Sequence[bytes]) -> None:
        """See ``ContentWriter.write``."""
        for chunk in chunks:
            self._chunks.append(chunk)
            self._buffered += len(chunk)
            if self._buffered >= self._rules.size_at(self._offset):
                await self._store_part()

    async def _store_part(self) -> None:
        if self._upload is None:
            self._upload = await self._bucket.multiparts.begin(self._key)
        await self._settle(self._rules.in_flight - 1)
        chunks, self._chunks = self._chunks, []
        self._offset += self._buffered
        self._buffered = 0
        self._count += 1
        self._storing.append(asyncio.create_task(self._put(self._upload, self._count, chunks)))

    async def _put(self, upload: str, number: int, chunks: list[bytes]) -> None:
        self._etags[number] = await self._bucket.multiparts.put_part(self._key, upload, number, chunks)

    async def _settle(self, most: int) -> None:
        """Wait until at most so many parts are being stored; raise what one of them has raised."""
        while len(self._storing) > most:
            done, _ = await asyncio.wait(self._storing, return_when=asyncio.FIRST_COMPLETED)
            self._storing = [task for task in self._storing if task not in done]
            for task in done:
                self._failure = self._failure or task.exception()
        if self._failure is not None:
            raise self._failure

    async def commit(self) -> None:
        """See ``ContentWriter.commit``."""
        if self._upload is None:
            chunks, self._chunks = self._chunks, []
            await self._bucket.put(self._key, chunks)
            return
        if self._buffered:
            await self._store_part()
        await self._settle(0)
        etags = [self._etags[number] for number in range(1, self._count + 1)]
        await self._bucket.multiparts.complete(self._key, self._upload, etags, self._offset)
        self._upload = None

    async def discard(self) -> None:
        """See ``ContentWriter.discard``."""
        self._chunks = []
        storing, self._storing = self._storing, []
        for task in storing:
            task.cancel()
        await asyncio.gather(*storing, return_exceptions=True)
        if self._upload is not None:
            upload, self._upload = self._upload, None
            with contextlib.suppress(StorageError):  # a sweep aborts it later
                await self._bucket.multiparts.abort(self._key, upload)
