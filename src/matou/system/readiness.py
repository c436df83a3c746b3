"""Waiting until a descriptor that does not block can be read or written, on the event loop.

A descriptor must not be one of a transport's: the loop refuses those, and a duplicate (``dup``) serves.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


async def readable(descriptor: int, seconds: float) -> None:
    """Wait until there is something to read, an end or an error included.

    Args:
        descriptor: of a socket or pipe.
        seconds: that it may take.

    Raises:
        TimeoutError: it took longer.
    """
    loop = asyncio.get_running_loop()
    await _ready(loop, loop.add_reader, loop.remove_reader, descriptor, seconds)


async def writable(descriptor: int, seconds: float) -> None:
    """Wait until something can be written, or writing would fail at once.

    Args:
        descriptor: of a socket or pipe.
        seconds: that it may take.

    Raises:
        TimeoutError: it took longer.
    """
    loop = asyncio.get_running_loop()
    await _ready(loop, loop.add_writer, loop.remove_writer, descriptor, seconds)


async def _ready(
    loop: asyncio.AbstractEventLoop,
    add: Callable[..., None],
    remove: Callable[[int], bool],
    descriptor: int,
    seconds: float,
) -> None:
    ready: asyncio.Future[Any] = loop.create_future()
    expiry = loop.call_later(seconds, _expire, ready)  # cheaper than asyncio.timeout
    add(descriptor, _resolve, ready)
    try:
        await ready
    finally:
        remove(descriptor)
        expiry.cancel()


def _expire(ready: asyncio.Future[Any]) -> None:
    if not ready.done():
        ready.set_exception(TimeoutError())


def _resolve(ready: asyncio.Future[Any]) -> None:
    if not ready.done():
        ready.set_result(None)
