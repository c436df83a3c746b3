"""How a large tree is divided between requests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from matou.registry.drivers.object_store import Listing, StoredObject
from matou.registry.drivers.s3 import listing

if TYPE_CHECKING:
    from typing import Any

PAGE = 10
KEYS = [f"blobs/{first:x}/{second:02}/data" for first in range(6) for second in range(30)]


class Service:
    """Answers for a bucket, and counts."""

    def __init__(self, keys: list[str]) -> None:
        self.keys = sorted(keys)
        self.asked = 0

    async def page(self, _bucket: object, prefix: str, token: str, *, directories: bool) -> listing._Page:
        self.asked += 1
        below = [key for key in self.keys if key.startswith(prefix)]
        if directories:
            below = sorted({prefix + key[len(prefix) :].partition("/")[0] for key in below})
        first = int(token or 0)
        shown = below[first : first + PAGE]
        objects = [] if directories else [StoredObject(key, 1, 0.0) for key in shown]
        names = [key[len(prefix) :] for key in shown] if directories else []
        return listing._Page(Listing(objects, names), str(first + PAGE) if first + PAGE < len(below) else "")


@pytest.mark.parametrize("enough", [1, 4, 1000])
def test_everything_is_listed_once_and_blobs_are_not_asked_for_one_by_one(
    monkeypatch: pytest.MonkeyPatch, enough: int
) -> None:
    service = Service(KEYS)
    monkeypatch.setattr(listing, "_page", service.page)
    monkeypatch.setattr(listing, "ENOUGH", enough)

    async def found() -> list[str]:
        bucket: Any = None
        return [item.key async for page in listing.pages_in_parallel(bucket, "blobs/") for item in page.objects]

    assert sorted(asyncio.run(found())) == service.keys
    if enough < 1000:
        # A look at the whole, its directories, and the pages of each.
        assert service.asked == 2 + 6 * 3
