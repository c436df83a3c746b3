"""What is sent: the chunks as they are, with a checksum."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from matou.registry.drivers.s3.body import PIECE, SMALL, Chunks, Contents, Prepared, content_md5

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGE = [b"a" * SMALL, b"", b"b" * (PIECE + 1)]


def prepared(algorithm: str, chunks: Sequence[bytes]) -> Prepared:
    return asyncio.run(Contents(algorithm).prepare(chunks))


class Writer:
    """Takes what would be sent."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    async def write(self, piece: memoryview) -> None:
        self.pieces.append(bytes(piece))


def sent(body: Chunks) -> list[bytes]:
    writer: Any = Writer()
    asyncio.run(body.write(writer))
    pieces: list[bytes] = writer.pieces
    return pieces


@pytest.mark.parametrize("chunks", [[b""], [b"a", b"bc"], LARGE])
def test_checksums(chunks: list[bytes]) -> None:
    whole = b"".join(chunks)

    def encoded(digest: bytes) -> str:
        return base64.b64encode(digest).decode()

    for algorithm, header, digest in (
        ("crc32", "x-amz-checksum-crc32", zlib.crc32(whole).to_bytes(4, "big")),
        ("sha1", "x-amz-checksum-sha1", hashlib.sha1(whole, usedforsecurity=False).digest()),
        ("sha256", "x-amz-checksum-sha256", hashlib.sha256(whole).digest()),
        ("md5", "content-md5", hashlib.md5(whole, usedforsecurity=False).digest()),
    ):
        assert prepared(algorithm, chunks).headers == {header: encoded(digest)}
    assert content_md5(whole) == prepared("md5", chunks).headers["content-md5"]


def test_large_contents_are_not_joined() -> None:
    body = prepared("crc32", LARGE).body
    assert isinstance(body, Chunks)
    assert body.size == sum(map(len, LARGE))
    assert [len(piece) for piece in sent(body)] == [SMALL, PIECE, 1]
    # Once more, when the request is repeated.
    assert b"".join(sent(body)) == b"".join(LARGE) == body.decode().encode()


def test_small_contents_are_signed_as_they_are() -> None:
    assert prepared("crc32", [b"ab", b"c"]).body == b"abc"
