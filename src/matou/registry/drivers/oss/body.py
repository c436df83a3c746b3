"""The body of a request, from chunks in memory: sent without joining them, with a checksum that the service verifies.

Concurrency: checksums are calculated by threads; hashlib lets the event loop run meanwhile.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

PIECE = 1 << 20  # bytes written to a connection at a time
CONTENT_TYPE = "application/octet-stream"
IN_THREAD = 64 << 10  # bytes from which a checksum is calculated by a thread


class Body:
    """Chunks, as the library takes them: the length of the whole goes into a header.

    Args:
        chunks: the content.
    """

    def __init__(self, chunks: Sequence[bytes]) -> None:
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[memoryview]:
        for chunk in self._chunks:
            view = memoryview(chunk)
            for first in range(0, len(view), PIECE):
                yield view[first : first + PIECE]


async def content_md5(chunks: Sequence[bytes]) -> str:
    """Return the MD5 of content as ``Content-MD5`` has it (RFC 1864): the service refuses a body that differs."""
    if sum(map(len, chunks)) < IN_THREAD:
        return _md5(chunks)
    return await asyncio.to_thread(_md5, chunks)


def _md5(chunks: Sequence[bytes]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for chunk in chunks:
        digest.update(chunk)
    return base64.b64encode(digest.digest()).decode()
