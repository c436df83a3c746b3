"""Composing more objects than one request takes.

Source: https://cloud.google.com/storage/docs/composite-objects
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

T = TypeVar("T")

MOST_SOURCES = 32  # objects that one request composes
AT_ONCE = 32  # requests of one operation: other operations get their turn


class Composition(NamedTuple):
    """One request.

    Attributes:
        sources: keys of the objects, in order; 32 at most.
        target: key of what they become.
    """

    sources: Sequence[str]
    target: str


class Level(NamedTuple):
    """What may be composed at the same time.

    Attributes:
        compositions: of components, which stand for their sources then.
        keys: of all that is left to be composed, in order.
    """

    compositions: list[Composition]
    keys: list[str]


def level(keys: Sequence[str], prefix: str) -> Level:
    """Return the components that take the places of more than 32 objects.

    Args:
        keys: of the objects, in order.
        prefix: of the components' keys; different for each level.
    """
    groups = [keys[first : first + MOST_SOURCES] for first in range(0, len(keys), MOST_SOURCES)]
    # A group of one needs no component.
    targets = [group[0] if len(group) == 1 else f"{prefix}{number:05d}" for number, group in enumerate(groups)]
    compositions = [Composition(group, target) for group, target in zip(groups, targets, strict=True) if len(group) > 1]
    return Level(compositions, targets)


async def do_all(action: Callable[[T], Awaitable[None]], items: Sequence[T]) -> None:
    """Do something with all items, some at a time; when that fails, the first failure is raised after the last."""
    waiting = iter(items)

    async def some() -> None:
        for item in waiting:
            await action(item)

    results = await asyncio.gather(*(some() for _ in range(min(AT_ONCE, len(items)))), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
