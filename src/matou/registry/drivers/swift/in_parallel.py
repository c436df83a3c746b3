"""A few requests at a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

T = TypeVar("T")

AT_A_TIME = 8


async def in_parallel(items: Iterable[T], action: Callable[[T], Awaitable[object]], most: int = AT_A_TIME) -> None:
    """Do something with each item, a few at a time.

    Args:
        items: may be many.
        action: on one of them.
        most: at a time.

    Raises:
        Exception: the first one of an action; those that are under way are cancelled.
    """
    left = iter(items)

    async def work() -> None:
        for item in left:
            await action(item)

    tasks = [asyncio.create_task(work()) for _ in range(most)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
