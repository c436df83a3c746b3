"""Streams of bytes that are given up before their end.

A generator that is left in the middle keeps what it holds, such as a connection to the storage, until the garbage
collector finds it. Whoever may stop early closes it.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

T = TypeVar("T")


@asynccontextmanager
async def closing(stream: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Close a stream at the end of the block, when it is one that can be closed.

    Args:
        stream: an asynchronous generator, or any other iterator.
    """
    try:
        yield stream
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()
