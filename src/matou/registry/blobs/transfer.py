"""Content that goes from one storage to another, and is verified on the way."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from matou.registry.content.digest import Digest
from matou.registry.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from concurrent.futures import Executor

    from matou.registry.blobs.uploads import Hasher
    from matou.registry.drivers.base import Driver

WHOLE = 1 << 20  # bytes; content up to here is written at once
SMALL = 1 << 17  # bytes hashed on the event loop: 80 microseconds


class WrongDigest(Exception):  # noqa: N818 -- what it has
    """Content is not what its digest says."""


async def transfer(
    pieces: AsyncIterator[bytes], size: int, destination: Driver, path: str, digest: Digest | None, hashing: Executor
) -> None:
    """Store content as it comes in; what is not what its digest says does not appear.

    Args:
        pieces: the content.
        size: of it, in bytes.
        destination: where to.
        path: where there.
        digest: that the content must have; None for content that has none.
        hashing: threads.

    Raises:
        WrongDigest: it has another one.
        StorageError: reading or writing failed.
    """
    if size <= WHOLE:
        content = b"".join([piece async for piece in pieces])
        if digest is not None and Digest.of(content, digest.algorithm) != digest:
            raise WrongDigest(f"{path} would have another digest")
        await destination.put(path, content)
        return
    running = None if digest is None else hashlib.new(digest.algorithm)
    writer = await destination.content_open(path)
    try:
        async for piece in pieces:
            if running is not None:
                await update(running, piece, hashing)
            await writer.write([piece])
        if digest is not None and running is not None and running.hexdigest() != digest.hex:
            raise WrongDigest(f"{path} would have another digest")
        await writer.commit()
    finally:
        await writer.discard()


async def update(running: Hasher, piece: bytes, hashing: Executor) -> None:
    """Hash a piece, in a thread unless it is small."""
    if len(piece) <= SMALL:
        running.update(piece)
    else:
        await in_thread(hashing, running.update, piece)
