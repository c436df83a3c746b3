"""Reads what a driver relays, as one who passes it on does."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from matou.registry.http.pipe import open_pipe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from matou.registry.drivers.unread import Unread


class Relayed:
    """What has come through.

    Attributes:
        content: all of it.
        moved: bytes of it that the kernel moved.
    """

    def __init__(self) -> None:
        self.content = b""
        self.moved = 0

    async def take(self, pieces: AsyncIterator[bytes | Unread]) -> None:
        """Take all pieces."""
        reading, writing = open_pipe()
        try:
            async for piece in pieces:
                if isinstance(piece, bytes):
                    self.content += piece
                    continue
                while piece.left:
                    moved = piece.splice(writing)
                    if moved:
                        self.content += os.read(reading, moved)
                        self.moved += moved
                    else:
                        await piece.arrival()
        finally:
            os.close(reading)
            os.close(writing)


async def relay(pieces: AsyncIterator[bytes | Unread]) -> Relayed:
    """Return what came through."""
    relayed = Relayed()
    await relayed.take(pieces)
    return relayed
