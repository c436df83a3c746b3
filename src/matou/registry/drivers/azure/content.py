"""Content that is staged where it belongs, and appears when it is committed."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from matou.registry.drivers.azure.blocks import GONE, new_stamp, staged_block
from matou.registry.drivers.azure.copying import OTHER_TYPE
from matou.registry.drivers.azure.errors import Refusal
from matou.registry.drivers.base import NotFound
from matou.registry.drivers.object_driver import STAGING
from matou.registry.drivers.segment_buffer import SegmentBuffer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matou.registry.drivers.azure.store import AzureStore


class StagedBlob:
    """See ``ContentWriter``.

    Blocks cannot be staged where an append blob is, such as Distribution writes: then they lie elsewhere, and the blob
    is copied to its place.

    Args:
        store: of the blob.
        key: of it.
    """

    def __init__(self, store: AzureStore, key: str) -> None:
        self._store = store
        self._key = key
        self._staged_at = key
        self._stamp = new_stamp()
        self._buffer = SegmentBuffer(store.segments, self._stage, "", offset=0)

    async def write(self, chunks: Sequence[bytes]) -> None:
        """See ``ContentWriter.write``."""
        await self._buffer.write(chunks)

    async def _stage(self, segment: str, chunks: Sequence[bytes]) -> None:
        block = self._block(segment)
        if self._staged_at == self._key:
            try:
                await self._store.blocks.stage(self._store.names.name(self._key), block, chunks)
            except Refusal as refusal:
                if refusal.code != OTHER_TYPE:
                    raise
                if self._staged_at == self._key:  # else another segment was refused, too
                    self._staged_at = f"{STAGING}/{secrets.token_hex(16)}"
            else:
                return
        await self._store.blocks.stage(self._store.names.name(self._staged_at), block, chunks)

    def _block(self, segment: str) -> str:
        return staged_block(int(segment.removeprefix("data.").partition("-")[0]), self._stamp)

    async def commit(self) -> None:
        """See ``ContentWriter.commit``. Of several who write the same at once, the first to commit has written it."""
        if not self._buffer.segments:
            await self._store.put(self._key, self._buffer.take())
            return
        await self._buffer.finish()
        blocks = [self._block(segment.key) for segment in self._buffer.segments]
        size, name = self._buffer.size, self._store.names.name(self._staged_at)
        try:
            await self._store.blocks.commit(name, blocks)
        except Refusal as refusal:
            if refusal.code != GONE or not await self._is_there(size):
                raise
        if self._staged_at != self._key:
            source = self._store.connection.account.source_url(name)
            await self._store.copier.place(source, self._store.names.name(self._key), size)
            await self._store.delete([self._staged_at])

    async def _is_there(self, size: int) -> bool:
        try:
            return (await self._store.head(self._key)).size == size
        except NotFound:
            return False

    async def discard(self) -> None:
        """See ``ContentWriter.discard``. What was staged is invisible; ``sweep`` drops it when it is old."""
        await self._buffer.abandon()
