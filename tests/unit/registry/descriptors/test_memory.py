from __future__ import annotations

import asyncio

import pytest

from matou.registry.content.digest import Digest
from matou.registry.descriptors.base import LIFETIME
from matou.registry.descriptors.memory import MemoryCache
from matou.registry.observe.figures import Layout
from matou.registry.observe.storage_figures import CacheFigures

FIRST, SECOND, THIRD = (Digest.of(content) for content in (b"1", b"2", b"3"))


class Rig:
    """A cache with a clock and figures."""

    def __init__(self, capacity: int = 0) -> None:
        self.now = 1000.0
        self.cells = [0] * Layout.size
        self.cache = MemoryCache(capacity, CacheFigures(self.cells), lambda: self.now)

    def size_of(self, digest: Digest) -> int | None:
        return asyncio.run(self.cache.size_of(digest))

    def remember(self, digest: Digest, size: int) -> None:
        asyncio.run(self.cache.remember(digest, size))

    @property
    def counted(self) -> list[int]:
        """Requests, hits and errors."""
        return self.cells[Layout.descriptors : Layout.descriptors + 3]


def test_it_knows_what_it_was_told() -> None:
    rig = Rig()
    assert rig.size_of(FIRST) is None
    rig.remember(FIRST, 0)
    rig.remember(SECOND, 5)
    assert (rig.size_of(FIRST), rig.size_of(SECOND), rig.size_of(THIRD)) == (0, 5, None)
    asyncio.run(rig.cache.forget(FIRST))
    asyncio.run(rig.cache.forget(THIRD))
    assert (rig.size_of(FIRST), rig.size_of(SECOND)) == (None, 5)
    assert rig.counted == [6, 3, 0]


def test_nothing_is_known_for_ever() -> None:
    rig = Rig()
    rig.remember(FIRST, 5)
    rig.now += LIFETIME - 1
    assert rig.size_of(FIRST) == 5  # which makes it no younger
    rig.now += 1
    assert rig.size_of(FIRST) is None
    rig.remember(FIRST, 5)
    assert rig.size_of(FIRST) == 5


def test_what_was_asked_for_longest_ago_makes_room() -> None:
    rig = Rig(capacity=2)
    rig.remember(FIRST, 1)
    rig.remember(SECOND, 2)
    assert rig.size_of(FIRST) == 1
    rig.remember(THIRD, 3)
    assert (rig.size_of(FIRST), rig.size_of(SECOND), rig.size_of(THIRD)) == (1, None, 3)
    rig.remember(FIRST, 1)  # again, which takes no room
    assert rig.size_of(THIRD) == 3


@pytest.mark.parametrize(("capacity", "kept"), [(0, 50), (7, 7)])
def test_its_size(capacity: int, kept: int) -> None:
    rig = Rig(capacity)
    digests = [Digest.of(bytes([index])) for index in range(50)]
    for digest in digests:
        rig.remember(digest, 1)
    assert sum(rig.size_of(digest) is not None for digest in digests) == kept
