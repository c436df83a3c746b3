"""The body of a PUT, from chunks in memory: sent without joining them, and with a checksum that the service verifies.

Concurrency: checksums of large bodies are calculated by threads; zlib and hashlib let the event loop run meanwhile.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import zlib
from typing import TYPE_CHECKING, NamedTuple

from aiohttp.payload import Payload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aiohttp.abc import AbstractStreamWriter

PIECE = 1 << 20  # bytes written to a connection at a time
SMALL = 64 << 10  # bytes up to which joining and hashing take no time


class Chunks(Payload):
    """Chunks, as aiohttp takes them. They can be sent again and again.

    Args:
        chunks: the content.
    """

    _autoclose = True

    def __init__(self, chunks: Sequence[bytes]) -> None:
        super().__init__(chunks, content_type=None)
        self._size = sum(map(len, chunks))

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return it as text, which nobody asks for."""
        return b"".join(self._value).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write it."""
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:  # noqa: ARG002 -- that is the size
        """Write it."""
        for chunk in self._value:
            view = memoryview(chunk)
            for first in range(0, len(view), PIECE):
                await writer.write(view[first : first + PIECE])


class Prepared(NamedTuple):
    """A content that can be sent.

    Attributes:
        body: of the request.
        headers: that belong to it.
    """

    body: bytes | Chunks
    headers: Mapping[str, str]


class Contents:
    """Prepares contents.

    Args:
        algorithm: of checksums: ``crc32``, ``sha1``, ``sha256``, or ``md5`` for Content-MD5.
    """

    def __init__(self, algorithm: str) -> None:
        self._header = "content-md5" if algorithm == "md5" else f"x-amz-checksum-{algorithm}"
        self._calculate = _crc32 if algorithm == "crc32" else _hashing(algorithm)

    async def prepare(self, chunks: Sequence[bytes]) -> Prepared:
        """Return a content with its checksum. A small one is joined, and its request will be signed as a whole."""
        if sum(map(len, chunks)) <= SMALL:
            return Prepared(b"".join(chunks), {self._header: _encoded(self._calculate(chunks))})
        checksum = await asyncio.to_thread(self._calculate, chunks)
        return Prepared(Chunks(chunks), {self._header: _encoded(checksum)})


def content_md5(content: bytes) -> str:
    """Return the value of the header ``Content-MD5``."""
    return _encoded(hashlib.md5(content, usedforsecurity=False).digest())


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
