"""The segments of uploads, which become those of blobs where they lie.

See ``large_objects`` for the claims that keep the two apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from matou.registry.drivers.base import NotFound
from matou.registry.drivers.swift import naming
from matou.registry.drivers.upload_segments import STARTED_AT, FoundUpload, SegmentObjects, keys_below

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matou.registry.drivers.object_store import ObjectStore, Segment
    from matou.registry.drivers.swift.deletion import Deletion
    from matou.registry.drivers.swift.large_objects import LargeObjects
    from matou.registry.drivers.swift.naming import Naming

COPIED = 1 << 25  # bytes; a blob of one segment up to here becomes an object of its own


def is_copied(segments: Sequence[Segment]) -> bool:
    """Tell whether segments are copied into their blob instead of staying."""
    return len(segments) == 1 and segments[0].size <= COPIED


class SwiftSegments(SegmentObjects):
    """Segments in one container.

    Args:
        store: of them.
        names: of objects in the container.
        large: objects of it.
        deletion: of objects in it.
    """

    def __init__(self, store: ObjectStore, names: Naming, large: LargeObjects, deletion: Deletion) -> None:
        super().__init__(store)
        self._names = names
        self._large = large
        self._deletion = deletion

    async def find(self, upload: str) -> FoundUpload:
        """See ``UploadSegments.find``. Listings may lag, but whether an upload was begun need not be listed.

        Raises:
            NotFound: it was not.
        """
        if not await self._large.exists(upload):
            raise NotFound(f"there is no upload {upload}")
        prefix = naming.segment_prefix(upload)
        pages = self._store.list(prefix, directories=False)
        return FoundUpload(begun=True, segments=[item async for page in pages for item in page.objects])

    async def drop(self, upload: str, kept: Sequence[Segment], dropped: Sequence[str]) -> None:  # noqa: ARG002 -- the protocol's
        """See ``UploadSegments.drop``."""
        await self._deletion.delete_objects([self._names.name(key) for key in dropped])

    async def finish(self, upload: str, segments: Sequence[Segment], orphans: Sequence[str]) -> None:
        """See ``UploadSegments.finish``."""
        used = [segment.key for segment in segments] if is_copied(segments) else []
        keys = [f"{upload}/{STARTED_AT}", *used, *orphans]
        await self._deletion.delete_objects([self._names.name(key) for key in keys])

    async def discard(self, path: str) -> None:
        """See ``UploadSegments.discard``. Below a repository there are the segments of its blobs, too."""
        uploads: dict[str, list[str]] = {}
        for key in await keys_below(self._store, naming.segment_prefix(path)):
            uploads.setdefault(naming.upload_of(key), []).append(key)
        for upload, keys in uploads.items():
            await self._deletion.discard(upload, keys)
