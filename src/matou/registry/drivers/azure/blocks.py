"""Blocks: what a blob is made of. They lie uncommitted, and invisible, at the blob's name until a list commits them.

An upload's segments are blocks of the blob ``<upload>/data``; the service shows them to every process. Content whose
place is known is staged where it belongs, so that nothing is copied. Committing a list drops all blocks that are not in
it: whoever commits first wins, and the others notice.

Source: https://learn.microsoft.com/rest/api/storageservices/put-block-list. Blocks that are not committed are dropped a
week after the last was staged.
"""

from __future__ import annotations

import re
import secrets
import time
from typing import TYPE_CHECKING, Any, Literal

from azure.core import MatchConditions
from azure.storage.blob import BlobBlock

from matou.registry.drivers.azure.errors import Refusal
from matou.registry.drivers.base import NotFound, StorageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from matou.registry.drivers.azure.connection import Connection

MOST_BLOCKS = 50_000  # of a blob
PIECE = 1 << 20
STAGED = re.compile(r"[0-9]{16}\.([0-9a-f]{10})[0-9a-f]{6}")
GONE = "InvalidBlockList"


def staged_block(offset: int, stamp: str) -> str:
    """Return the block of content that is staged in its place."""
    return f"{offset:016d}.{stamp}"


def new_stamp() -> str:
    """Return what tells the blocks of a writer from others', and when it began."""
    return f"{int(time.time()):010x}{secrets.token_hex(3)}"


def staged_at(block: str) -> float | None:
    """Return when the writer of a block began, in seconds since the epoch; None for a block of another kind."""
    match = STAGED.fullmatch(block)
    return None if match is None else float(int(match[1], 16))


class Blocks:
    """The blocks of the blobs of a container.

    Args:
        connection: to it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def stage(self, name: str, block: str, chunks: Sequence[bytes]) -> None:
        """Stage a block.

        Raises:
            Refusal: with code ``InvalidBlobType``: the blob is there, and not made of blocks.
        """
        blob = self._connection.blob(name)
        size = sum(map(len, chunks))
        await self._connection.send(
            f"staging a part of {name}", lambda: blob.stage_block(block, _body(chunks), length=size)
        )

    async def commit(self, name: str, blocks: Sequence[str]) -> None:
        """Make a blob of blocks that are staged or in it. Doing so twice is harmless.

        Raises:
            Refusal: with code ``GONE``: another writer has committed or deleted the blob.
            StorageError: they are too many.
        """
        if len(blocks) > MOST_BLOCKS:
            raise StorageError(
                f"azure: {name} has {len(blocks)} parts, and a blob takes {MOST_BLOCKS}; push it in larger requests"
            )
        blob = self._connection.blob(name)
        listed = [BlobBlock(block) for block in blocks]
        await self._connection.send(f"committing {name}", lambda: blob.commit_block_list(listed))

    async def of(self, name: str, which: Literal["uncommitted", "all"] = "all") -> list[tuple[str, int]]:
        """Return the blocks of a blob and their sizes; those in it before those that are not committed."""
        blob = self._connection.blob(name)
        try:
            committed, uncommitted = await self._connection.send(
                f"listing the parts of {name}", lambda: blob.get_block_list(which)
            )
        except NotFound:
            return []
        except Refusal as refusal:
            if refusal.code == "InvalidBlobType":  # an upload of Distribution
                return []
            raise
        return [(str(block.id), int(block.size)) for block in (*committed, *uncommitted)]

    async def clear(self, name: str) -> None:
        """Drop the blocks of a blob that is not there; one that is stays."""
        blob = self._connection.blob(name)
        doing = f"dropping the parts of {name}"
        try:
            made = await self._connection.send(
                doing, lambda: blob.commit_block_list([], match_condition=MatchConditions.IfMissing)
            )
            await self._connection.send(
                doing, lambda: blob.delete_blob(etag=str(made["etag"]), match_condition=MatchConditions.IfNotModified)
            )
        except (NotFound, Refusal):
            return  # there is a blob, or another process was faster


def _body(chunks: Sequence[bytes]) -> Any:
    """Return chunks as the client sends them without joining them; its types know of no asynchronous iterator."""

    async def pieces() -> AsyncIterator[bytes]:
        for chunk in chunks:
            for first in range(0, len(chunk), PIECE):
                yield chunk[first : first + PIECE] if len(chunk) > PIECE else chunk

    return pieces()
