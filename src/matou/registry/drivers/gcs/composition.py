"""Composing more objects than one request takes.

Source: https://cloud.google.com/storage/docs/composite-objects
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_SOURCES = 32  # objects that one request composes


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
