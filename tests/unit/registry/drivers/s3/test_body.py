"""What is sent: the chunks as they are, with a checksum."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from matou.registry.drivers.s3.body import PIECE, SMALL, Body, Contents, SmallBody

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGE = [b"a" * SMALL, b"", b"b" * (PIECE + 1)]


def arguments(algorithm: str, chunks: Sequence[bytes]) -> dict[str, Any]:
    return asyncio.run(Contents(algorithm).arguments(chunks))


async def sent(body: Body) -> list[bytes]:
    return [bytes(piece) async for piece in body]


@pytest.mark.parametrize("chunks", [[b""], [b"a", b"bc"], LARGE])
def test_checksums(chunks: list[bytes]) -> None:
    whole = b"".join(chunks)

    def encoded(digest: bytes) -> str:
        return base64.b64encode(digest).decode()

    assert arguments("crc32", chunks)["ChecksumCRC32"] == encoded(zlib.crc32(whole).to_bytes(4, "big"))
    assert arguments("sha256", chunks)["ChecksumSHA256"] == encoded(hashlib.sha256(whole).digest())
    assert arguments("sha1", chunks)["ChecksumSHA1"] == encoded(hashlib.sha1(whole, usedforsecurity=False).digest())
    assert arguments("md5", chunks)["ContentMD5"] == encoded(hashlib.md5(whole, usedforsecurity=False).digest())


def test_large_contents_are_neither_joined_nor_read_by_the_library() -> None:
    body = arguments("crc32", LARGE)["Body"]
    assert type(body) is Body
    assert len(body) == sum(map(len, LARGE))
    pieces = asyncio.run(sent(body))
    assert [len(piece) for piece in pieces] == [SMALL, PIECE, 1]
    assert b"".join(pieces) == b"".join(LARGE) == b"".join(asyncio.run(sent(body)))
    with pytest.raises(NotImplementedError):
        body.read()


def test_small_contents_may_be_signed() -> None:
    body = arguments("crc32", [b"ab", b"c"])["Body"]
    assert type(body) is SmallBody
    assert (body.tell(), body.read(2), body.read(), body.seek(0), body.read()) == (0, b"ab", b"c", 0, b"abc")
    assert asyncio.run(sent(body)) == [b"abc"]
