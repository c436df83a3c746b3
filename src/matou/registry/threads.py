"""Waiting for work in threads."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

T = TypeVar("T")


async def in_thread(executor: Executor, function: Callable[..., T], *arguments: object) -> T:
    """Run a function in a thread and return its result once it has ended, even when the caller is cancelled meanwhile.

    A thread cannot be cancelled. Were it left to itself, its caller would close the file descriptor that it writes to,
    and the kernel gives the number to the next file that is opened.
    """
    work = executor.submit(function, *arguments)
    try:
        return await asyncio.wrap_future(work)
    except asyncio.CancelledError:
        while not work.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([asyncio.wrap_future(work)])
        raise
