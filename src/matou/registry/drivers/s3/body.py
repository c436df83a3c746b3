"""The body of a PUT, from chunks in memory: sent without joining them, and with a checksum that the service verifies.

Concurrency: checksums are calculated by threads; zlib and hashlib let the event loop run meanwhile.
"""

from __future__ import annotations

import asyncio
import base64
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

PIECE = 1 << 20  # bytes written to a connection at a time
IN_THREAD = 64 << 10  # bytes from which a checksum is calculated by a thread


class Body:
    """Chunks, as the library takes them. A request uses it once.

    Args:
        chunks: the content.
    """

    def __init__(self, chunks: Sequence[bytes]) -> None:
        self._chunks = chunks
        self._size = sum(map(len, chunks))

    def __len__(self) -> int:
        return self._size

    async def __aiter__(self) -> AsyncIterator[memoryview]:
        for chunk in self._chunks:
            view = memoryview(chunk)
            for first in range(0, len(view), PIECE):
                yield view[first : first + PIECE]

    def read(self, _size: int = -1) -> bytes:
        """Show the library that this is no text; what is sent comes from the iterator."""
        raise NotImplementedError


async def crc32(chunks: Sequence[bytes]) -> str:
    """Return the CRC-32 of content as S3 writes it."""
    if sum(map(len, chunks)) < IN_THREAD:
        return _crc32(chunks)
    return await asyncio.to_thread(_crc32, chunks)


def _crc32(chunks: Sequence[bytes]) -> str:
    value = 0
    for chunk in chunks:
        value = zlib.crc32(chunk, value)
    return base64.b64encode(value.to_bytes(4, "big")).decode()
