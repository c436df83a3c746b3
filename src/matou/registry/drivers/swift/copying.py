"""Copying from another container of the same account, inside Swift.

A large object is copied by ranges, which become segments of its own: two blobs never share segments.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING
from urllib.parse import quote

from matou.registry.concurrency import each, for_each
from matou.registry.drivers.base import StorageError
from matou.registry.drivers.object_driver import STAGING
from matou.registry.drivers.object_store import Segment
from matou.registry.drivers.swift import naming
from matou.registry.drivers.swift.description import NOT_FOUND, describe, described

if TYPE_CHECKING:
    from matou.registry.drivers.swift.connection import Connection
    from matou.registry.drivers.swift.deletion import Deletion
    from matou.registry.drivers.swift.large_objects import LargeObjects
    from matou.registry.drivers.swift.naming import Naming

PIECE = 1 << 28  # bytes that one request copies; it is silent until it has
GROWTH = 500  # pieces of a blob before they grow
COPIES_AT_ONCE = 4  # pieces of a blob
FORBIDDEN = 403


class Copying:
    """Copies into a container.

    Args:
        connection: to it.
        names: of objects in it.
        large: objects of it.
        deletion: of what did not work out.
    """

    def __init__(self, connection: Connection, names: Naming, large: LargeObjects, deletion: Deletion) -> None:
        self._connection = connection
        self._names = names
        self._large = large
        self._deletion = deletion

    async def copy(self, source: Connection, name: str, key: str, size: int) -> bool:
        """Copy an object.

        Args:
            source: connection to its container.
            name: of it.
            key: of the copy.
            size: of both, in bytes.

        Returns:
            False when the two are not in one account, the user may not read there, or the sizes differ.

        Raises:
            NotFound: there is no such object.
            StorageError: as for ``Connection.send``.
        """
        there, here = await source.open(), await self._connection.open()
        if there.account.url != here.account.url:
            return False
        if (await describe(source, name)).size != size:
            return False
        origin = f"/{quote(source.parameters.container)}/{quote(name)}"
        if size <= PIECE:
            return await self._copy_piece(origin, self._names.name(key), size)
        upload = f"{STAGING}/{secrets.token_hex(16)}"
        piece = max(PIECE, size // GROWTH)
        segments = [
            Segment(f"{naming.segment_prefix(upload)}{naming.DATA}{first:016d}-{'0' * 16}", min(piece, size - first))
            for first in range(0, size, piece)
        ]
        return await self._copy_pieces(origin, segments, key)

    async def _copy_pieces(self, origin: str, segments: list[Segment], key: str) -> bool:
        starts = {}
        start = 0
        for segment in segments:
            starts[segment.key] = start
            start += segment.size

        async def copy(segment: Segment) -> None:
            first = starts[segment.key]
            name = self._names.name(segment.key)
            if not await self._copy_piece(origin, name, segment.size, f"bytes={first}-{first + segment.size - 1}"):
                raise StorageError(f"a piece of {origin} could not be copied")

        try:
            await for_each(each(segments), copy, COPIES_AT_ONCE)
        except StorageError:
            await self._deletion.delete_objects([self._names.name(segment.key) for segment in segments])
            return False
        await self._large.make(segments, key)
        return True

    async def _copy_piece(self, origin: str, name: str, size: int, span: str = "") -> bool:
        headers = {"X-Copy-From": origin, "X-Fresh-Metadata": "true", **({"Range": span} if span else {})}
        copied = await self._connection.send("PUT", name, headers=headers, permitted=[FORBIDDEN, NOT_FOUND])
        if copied.status in (FORBIDDEN, NOT_FOUND):
            return False
        found = described((await self._connection.send("HEAD", name)).headers)
        if found.size == size:
            return True
        await self._deletion.delete_objects([name])
        return False
