"""What a HEAD says of an object, and what must be looked at twice: dynamic large objects that were just written.

A dynamic large object is what a listing shows under a prefix, and listings lag behind. Distribution writes them, so one
that it wrote a moment ago may seem shorter than it is. Its segments have numbers without a gap: while there is one more
than the listing shows, the listing is not complete.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from matou.registry.drivers.base import StorageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matou.registry.drivers.swift.connection import Connection

NOT_FOUND = 404
SETTLING = 15.0  # seconds that listings may lag behind, as in Distribution
SETTLING_PAUSE = 0.5  # seconds between two looks
RECENT = 120.0  # seconds, with room for clocks that differ


class Description(NamedTuple):
    """An object.

    Attributes:
        size: in bytes; of a large object, all of it.
        modified: seconds since the epoch, UTC.
        is_static: whether it is a static large object.
        manifest: container and prefix of a dynamic large object's segments; empty for another.
    """

    size: int
    modified: float
    is_static: bool
    manifest: tuple[str, str] | None


def described(headers: Mapping[str, str]) -> Description:
    """Read the headers of an answer to HEAD or GET."""
    container, _, prefix = unquote(headers.get("X-Object-Manifest", "")).partition("/")
    return Description(
        int(headers.get("Content-Length", "0")),
        float(headers.get("X-Timestamp", "0")),
        headers.get("X-Static-Large-Object", "").lower() == "true",
        (container, prefix) if container else None,
    )


async def describe(connection: Connection, name: str, headers: Mapping[str, str] | None = None) -> Description:
    """Describe an object.

    Args:
        connection: to its container.
        name: of it.
        headers: of the request.

    Raises:
        NotFound: there is none.
        StorageError: its segments do not show up.
    """
    deadline = time.monotonic() + SETTLING
    while True:
        found = described((await connection.send("HEAD", name, headers=headers)).headers)
        if found.manifest is None or (found.size and time.time() - found.modified > RECENT):
            return found
        container, prefix = found.manifest
        if container != connection.parameters.container:
            return found  # Distribution has all in one
        size, number = 0, 0
        async for page in connection.pages(prefix):
            size += sum(segment.size for segment in page.objects)
            number += len(page.objects)
        following = f"{prefix}/{number + 1:016d}"
        if (await connection.send("HEAD", following, permitted=[NOT_FOUND])).status == NOT_FOUND:
            return found._replace(size=size)
        if time.monotonic() >= deadline:
            raise StorageError(f"{name} has segments that no listing of its container shows; try again later")
        await asyncio.sleep(SETTLING_PAUSE)
