"""Segments of uploads that Distribution abandoned, when the uploads are purged.

Distribution makes an upload a blob in two steps: a second manifest of the same segments, then the first one is deleted.
If it is killed in between, purging the upload must not take the segments. So they are only noted when their upload is
deleted; some time later the manifests that are left are asked, all of them once, whether any needs the segments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from matou.registry.concurrency import each, for_each
from matou.registry.drivers.swift.connection import AT_A_TIME
from matou.registry.drivers.swift.description import NOT_FOUND, described

if TYPE_CHECKING:
    from matou.registry.drivers.swift.connection import Connection
    from matou.registry.drivers.swift.naming import Naming

NOTES = "matou/abandoned/"
UPLOADS = "/_uploads/"


def is_upload(name: str) -> bool:
    """Tell whether an object is an upload of Distribution's."""
    return UPLOADS in name


class AbandonedSegments:
    """Notes in a container, one for each prefix of segments.

    Args:
        connection: to the container.
        names: of objects in it.
    """

    def __init__(self, connection: Connection, names: Naming) -> None:
        self._connection = connection
        self._names = names

    async def note(self, prefix: str) -> None:
        """Remember segments.

        Args:
            prefix: of their names, as a manifest has it; below that of all segments.
        """
        await self._connection.send("PUT", self._names.name(NOTES) + prefix.removeprefix(self._names.segments))

    async def names(self, before: float) -> list[str]:
        """Return the names of segments that nothing needs, and of their notes, the notes last.

        Args:
            before: seconds since the epoch; later notes are left alone.
        """
        start = self._names.name(NOTES)
        notes = {
            self._names.segments + item.name[len(start) :]: item.name
            async for page in self._connection.pages(start)
            for item in page.objects
            if item.modified < before
        }
        if not notes:
            return []
        needed = await self._needed()
        unneeded = [prefix for prefix in notes if prefix not in needed]
        segments = [
            item.name for prefix in unneeded async for page in self._connection.pages(prefix) for item in page.objects
        ]
        return [*segments, *notes.values()]

    async def _needed(self) -> set[str]:
        """Return the prefixes of all dynamic large objects; listings show those as empty."""
        found: set[str] = set()

        async def look(name: str) -> None:
            answer = await self._connection.send("HEAD", name, permitted=[NOT_FOUND])
            manifest = described(answer.headers).manifest
            if manifest is not None:
                found.add(manifest[1])

        async for page in self._connection.pages(self._names.files):
            await for_each(each([item.name for item in page.objects if not item.size]), look, AT_A_TIME)
        return found
