"""Segments of uploads as blocks of the blob ``<upload>/data``."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from matou.registry.drivers.base import NotFound, StorageError
from matou.registry.drivers.object_store import StoredObject
from matou.registry.drivers.streams import closing
from matou.registry.drivers.upload_segments import STARTED_AT, FoundUpload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from matou.registry.drivers.azure.store import AzureStore
    from matou.registry.drivers.object_store import Segment

SEGMENT = re.compile(r"data\.([0-9]{16}-[0-9a-f]{16})")


def block_of(key: str) -> str:
    """Return the block that a segment is."""
    match = SEGMENT.fullmatch(key.rpartition("/")[2])
    if match is None:
        raise StorageError(f"azure: {key} is no segment of an upload")
    return match[1]


def data_of(upload: str) -> str:
    """Return the key of the blob that has the blocks of an upload."""
    return f"{upload}/data"


class SegmentBlocks:
    """See ``UploadSegments``.

    Args:
        store: of the blobs.
    """

    def __init__(self, store: AzureStore) -> None:
        self._store = store

    async def put(self, key: str, chunks: Sequence[bytes]) -> None:
        """See ``UploadSegments.put``."""
        await self._store.blocks.stage(self._name(key.rpartition("/")[0]), block_of(key), chunks)

    async def find(self, upload: str) -> FoundUpload:
        """See ``UploadSegments.find``."""
        begun, blocks = await asyncio.gather(self._begun(upload), self._store.blocks.of(self._name(upload)))
        return FoundUpload(begun, [StoredObject(f"{upload}/data.{block}", size, 0.0) for block, size in blocks])

    async def _begun(self, upload: str) -> bool:
        try:
            await self._store.head(f"{upload}/{STARTED_AT}")
        except NotFound:
            return False
        return True

    async def read(self, upload: str, segments: Sequence[Segment]) -> AsyncIterator[bytes]:
        """See ``UploadSegments.read``: nobody can read what is not committed."""
        await self._commit(upload, segments)
        size = sum(segment.size for segment in segments)
        async with closing(self._store.read(data_of(upload), 0, size)) as pieces:
            async for piece in pieces:
                yield piece

    async def drop(self, upload: str, kept: Sequence[Segment], dropped: Sequence[str]) -> None:  # noqa: ARG002 -- what is not kept goes
        """See ``UploadSegments.drop``."""
        await self._commit(upload, kept)

    async def _commit(self, upload: str, segments: Sequence[Segment]) -> None:
        await self._store.blocks.commit(self._name(upload), [block_of(segment.key) for segment in segments])

    async def finish(self, upload: str, segments: Sequence[Segment], orphans: Sequence[str]) -> None:  # noqa: ARG002 -- one blob has all
        """See ``UploadSegments.finish``."""
        await self._store.delete([f"{upload}/{STARTED_AT}", data_of(upload)])

    async def discard(self, path: str) -> None:
        """See ``UploadSegments.discard``."""
        async for key, _ in self._store.uncommitted(f"{path}/"):
            await self._store.blocks.clear(self._store.names.name(key))

    def _name(self, upload: str) -> str:
        return self._store.names.name(data_of(upload))
