"""Finding segments that no blob has: of uploads that were cut off, of blobs that others replaced or deleted.

Two listings decide about nearly all: that of the segments, whose claims name their blobs, and that of the content.
Where a claimed blob is missing, is no static large object, or has two claims, the blob itself is asked. Segments that
are younger than the age, or whose upload goes on, are never looked at.

A blob is remembered as 8 bytes: two with the same ones only make the sweep ask once more.
"""

from __future__ import annotations

import hashlib
import posixpath
import time
from array import array
from bisect import bisect_left
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from matou.registry.drivers.swift import naming
from matou.registry.drivers.swift.abandoned import AbandonedSegments
from matou.registry.drivers.swift.large_objects import is_staged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from matou.registry.drivers.swift.connection import Connection
    from matou.registry.drivers.swift.deletion import Deletion
    from matou.registry.drivers.swift.large_objects import LargeObjects
    from matou.registry.drivers.swift.listing import Listed
    from matou.registry.drivers.swift.naming import Naming


class Group(NamedTuple):
    """What lies below the name of one upload.

    Attributes:
        upload: its path.
        objects: all of them.
    """

    upload: str
    objects: list[Listed]

    @property
    def modified(self) -> float:
        """When the last of them was written."""
        return max(item.modified for item in self.objects)

    @property
    def claimed(self) -> str | None:
        """Return the blob that they are claimed for."""
        return next(filter(None, (naming.claimed_key(item.content_type) for item in self.objects)), None)


class Sweep:
    """One search through a container.

    Args:
        connection: to it.
        names: of objects in it.
        large: objects of it.
        deletion: of what is found.
        age: seconds since something was written.
    """

    def __init__(
        self, connection: Connection, names: Naming, large: LargeObjects, deletion: Deletion, age: float
    ) -> None:
        self._connection = connection
        self._names = names
        self._large = large
        self._deletion = deletion
        self._before = time.time() - age

    async def run(self) -> int:
        """Delete what no blob has; return how many objects that were."""
        deleted = 0
        claims = array("Q")
        common: str | None = None  # directory of all of them
        async for group in self._old_groups():
            claimed = group.claimed
            if claimed is None:
                deleted += await self._delete_unclaimed(group)
                continue
            claims.append(_mark(claimed))
            directory = posixpath.dirname(claimed)
            common = directory if common is None else posixpath.commonpath([common, directory])
        if common is not None:
            missing, repeated = await self._doubtful(claims, common)
            if missing or repeated:
                async for group in self._old_groups():
                    deleted += await self._delete_unreferenced(group, missing, repeated)
        abandoned = await AbandonedSegments(self._connection, self._names).names(self._before)
        await self._deletion.delete_objects(abandoned)
        return deleted + len(abandoned)

    async def _old_groups(self) -> AsyncIterator[Group]:
        group: Group | None = None
        async for page in self._connection.pages(self._names.name(naming.SEGMENTS)):
            for item in page.objects:
                upload = naming.upload_of(self._names.key(item.name) or "")
                if group is None or group.upload != upload:
                    if group is not None and group.modified < self._before:
                        yield group
                    group = Group(upload, [])
                group.objects.append(item)
        if group is not None and group.modified < self._before:
            yield group

    async def _delete_unclaimed(self, group: Group) -> int:
        # The listing may not show the claim yet.
        if await self._goes_on(group.upload) or await self._large.claimed(group.upload) is not None:
            return 0
        return await self._delete(group.objects)

    async def _goes_on(self, upload: str) -> bool:
        return not is_staged(upload) and await self._large.exists(upload)

    async def _doubtful(self, claims: array[int], directory: str) -> tuple[set[int], set[int]]:
        """Return the marks of claimed blobs that a listing does not show, and of those that have several claims."""
        static, others = array("Q"), array("Q")
        async for page in self._connection.pages(self._names.name(f"{directory}/" if directory else "")):
            for item in page.objects:
                (static if item.is_static else others).append(_mark(self._names.key(item.name) or ""))
        # Clusters of old versions do not tell static large objects from others.
        present = sorted(static or others)
        ordered = sorted(claims)
        missing = {mark for mark in ordered if not _has(present, mark)}
        return missing, {mark for mark, following in pairwise(ordered) if mark == following}

    async def _delete_unreferenced(self, group: Group, missing: set[int], repeated: set[int]) -> int:
        claimed = group.claimed
        mark = None if claimed is None else _mark(claimed)
        if claimed is None or mark not in missing | repeated or await self._goes_on(group.upload):
            return 0
        reference = await self._large.reference(claimed)
        if reference is None and mark not in missing:
            return 0  # listing and object do not agree
        unneeded = [item for item in group.objects if reference is None or item.name not in reference]
        if len(unneeded) < len(group.objects):
            claim = self._names.name(naming.claim_of(group.upload))
            unneeded = [item for item in unneeded if item.name != claim]
        return await self._delete(unneeded)

    async def _delete(self, objects: list[Listed]) -> int:
        await self._deletion.delete_objects([item.name for item in objects])
        return len(objects)


def _mark(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest())


def _has(ordered: list[int], mark: int) -> bool:
    index = bisect_left(ordered, mark)
    return index < len(ordered) and ordered[index] == mark
