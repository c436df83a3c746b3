"""The body of a PUT, from chunks in memory: sent without joining them, and with a checksum that the service verifies.

Concurrency: checksums of large bodies are calculated by threads; zlib and hashlib let the event loop run meanwhile.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

PIECE = 1 << 20  # bytes written to a connection at a time
SMALL = 64 << 10  # bytes up to which joining and hashing take no time


class Body:
    """Chunks, as the library takes them. They can be sent again and again.

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
        """Show the library that this is a stream; what is sent comes from the iterator."""
        raise NotImplementedError


class SmallBody(Body):
    """A content so small that the library may read it to sign it, which takes no time.

    Args:
        content: all of it.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__([content])
        self._file = io.BytesIO(content)

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; what is sent comes from the iterator all the same."""
        return self._file.read(size)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def seek(self, position: int) -> int:
        """Set the position."""
        return self._file.seek(position)


class Contents:
    """Prepares contents for PutObject and UploadPart.

    Args:
        algorithm: of checksums: ``crc32``, ``sha1``, ``sha256``, or ``md5`` for Content-MD5.
    """

    def __init__(self, algorithm: str) -> None:
        self._name = "ContentMD5" if algorithm == "md5" else f"Checksum{algorithm.upper()}"
        self._calculate = _crc32 if algorithm == "crc32" else _hashing(algorithm)

    async def arguments(self, chunks: Sequence[bytes]) -> dict[str, Any]:
        """Return the arguments of the operation for a content: its body and checksum."""
        size = sum(map(len, chunks))
        if size <= SMALL:
            return {"Body": SmallBody(b"".join(chunks)), self._name: _encoded(self._calculate(chunks))}
        checksum = await asyncio.to_thread(self._calculate, chunks)
        return {"Body": Body(chunks), self._name: _encoded(checksum)}


def _crc32(chunks: Sequence[bytes]) -> bytes:
    value = 0
    for chunk in chunks:
        value = zlib.crc32(chunk, value)
    return value.to_bytes(4, "big")


def _hashing(algorithm: str) -> Callable[[Sequence[bytes]], bytes]:
    def calculate(chunks: Sequence[bytes]) -> bytes:
        digest = hashlib.new(algorithm, usedforsecurity=False)
        for chunk in chunks:
            digest.update(chunk)
        return digest.digest()

    return calculate


def _encoded(checksum: bytes) -> str:
    return base64.b64encode(checksum).decode()
