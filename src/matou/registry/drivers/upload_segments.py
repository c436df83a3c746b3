"""Where the segments of uploads are: objects of their own, unless a vendor has a better place for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from matou.registry.drivers.streams import closing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from matou.registry.drivers.object_store import ObjectStore, Segment, StoredObject

STARTED_AT = "startedat"  # Distribution's name
DELETED_AT_ONCE = 1000  # keys


class FoundUpload(NamedTuple):
    """What storage shows of an upload.

    Attributes:
        begun: whether it was begun, and is neither cancelled nor finished.
        segments: in no order, whose keys end as ``SegmentBuffer`` made them.
    """

    begun: bool
    segments: list[StoredObject]


class UploadSegments(Protocol):
    """The segments of the uploads of a store."""

    async def put(self, key: str, chunks: Sequence[bytes]) -> None:
        """Store a segment.

        Args:
            key: ``segment_prefix`` of its upload, and a name.
            chunks: its bytes.
        """
        ...

    async def find(self, upload: str) -> FoundUpload:
        """Find out what there is of an upload."""
        ...

    def read(self, upload: str, segments: Sequence[Segment]) -> AsyncIterator[bytes]:
        """Yield the bytes of segments of an upload, all from the first on, in order."""
        ...

    async def drop(self, upload: str, kept: Sequence[Segment], dropped: Sequence[str]) -> None:
        """Delete segments that are no part of an upload.

        Args:
            upload: its path.
            kept: the segments that are.
            dropped: keys of those that are not.
        """
        ...

    async def finish(self, upload: str, segments: Sequence[Segment], orphans: Sequence[str]) -> None:
        """Delete what is left of an upload whose segments were put together.

        Args:
            upload: its path.
            segments: that were put together.
            orphans: keys of further segments.
        """
        ...

    async def discard(self, path: str) -> None:
        """Delete what there is of uploads at a path and below it that no listing of the path shows."""
        ...


class SegmentObjects:
    """Segments that are objects.

    Args:
        store: of them.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def put(self, key: str, chunks: Sequence[bytes]) -> None:
        """See ``UploadSegments.put``."""
        await self._store.put(key, chunks)

    async def find(self, upload: str) -> FoundUpload:
        """See ``UploadSegments.find``."""
        begun = False
        segments: list[StoredObject] = []
        home = f"{upload}/"
        elsewhere = self._store.segment_prefix(upload)
        for prefix in dict.fromkeys((home, elsewhere)):
            async for page in self._store.list(prefix, directories=False):
                for item in page.objects:
                    if item.key == f"{home}{STARTED_AT}":
                        begun = True
                    elif prefix == elsewhere:
                        segments.append(item)
        return FoundUpload(begun, segments)

    async def read(self, upload: str, segments: Sequence[Segment]) -> AsyncIterator[bytes]:  # noqa: ARG002 -- keys say all
        """See ``UploadSegments.read``."""
        for segment in segments:
            async with closing(self._store.read(segment.key, 0, segment.size)) as pieces:
                async for piece in pieces:
                    yield piece

    async def drop(self, upload: str, kept: Sequence[Segment], dropped: Sequence[str]) -> None:  # noqa: ARG002 -- as above
        """See ``UploadSegments.drop``."""
        await delete_objects(self._store, dropped)

    async def finish(self, upload: str, segments: Sequence[Segment], orphans: Sequence[str]) -> None:
        """See ``UploadSegments.finish``."""
        used = [] if self._store.keeps_segments else [segment.key for segment in segments]
        await delete_objects(self._store, [f"{upload}/{STARTED_AT}", *used, *orphans])

    async def discard(self, path: str) -> None:
        """See ``UploadSegments.discard``."""
        prefix = self._store.segment_prefix(path)
        if prefix != f"{path}/":
            await delete_objects(self._store, await keys_below(self._store, prefix))


async def keys_below(store: ObjectStore, prefix: str) -> list[str]:
    """Return the keys of all objects with a prefix."""
    return [item.key async for page in store.list(prefix, directories=False) for item in page.objects]


async def delete_objects(store: ObjectStore, keys: Iterable[str]) -> None:
    """Delete any number of objects."""
    listed = list(keys)
    for first in range(0, len(listed), DELETED_AT_ONCE):
        await store.delete(listed[first : first + DELETED_AT_ONCE])
