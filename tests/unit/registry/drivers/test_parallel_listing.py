from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from matou.registry.drivers import parallel_listing
from matou.registry.drivers.base import StorageError
from matou.registry.drivers.object_store import Listing, StoredObject
from matou.registry.drivers.parallel_listing import list_in_parallel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PAGE = 10
BLOBS = [f"blobs/{number:02x}/{part}/data" for number in range(9) for part in range(12)]
TREE = ["file", *BLOBS, "repositories/a/_manifests/x", "repositories/a/b/_manifests/x", "a//b", "x/"]


class Service:
    """Lists keys as services do, and counts how often it is asked, and how many ask at once."""

    def __init__(self, keys: list[str], failing: str | None = None) -> None:
        self.keys = keys
        self.failing = failing
        self.asked: list[tuple[str, bool]] = []
        self.now = self.most = 0

    async def __call__(self, prefix: str, *, directories: bool) -> AsyncIterator[Listing]:
        self.asked.append((prefix, directories))
        found = sorted({self._shown(key, prefix, directories) for key in self.keys if key.startswith(prefix)})
        for first in range(0, max(1, len(found)), PAGE):
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0.001)
            self.now -= 1
            if prefix == self.failing:
                raise StorageError("it failed")
            page = found[first : first + PAGE]
            yield Listing(
                [StoredObject(key, 1, 0.0) for key, is_directory in page if not is_directory],
                [key[len(prefix) :].removesuffix("/") for key, is_directory in page if is_directory],
            )

    def _shown(self, key: str, prefix: str, directories: bool) -> tuple[str, bool]:
        rest = key[len(prefix) :]
        if directories and "/" in rest:
            return prefix + rest.partition("/")[0] + "/", True
        return key, False


async def listed(service: Service, prefix: str = "") -> list[str]:
    pages = [page async for page in list_in_parallel(service, prefix)]
    assert not any(page.directories for page in pages)
    return sorted(item.key for page in pages for item in page.objects)


@pytest.mark.parametrize("prefix", ["", "blobs/", "repositories/a/", "absent/", "a/", "x/"])
def test_everything_is_listed_once(prefix: str) -> None:
    service = Service(TREE)
    assert asyncio.run(listed(service, prefix)) == sorted(key for key in TREE if key.startswith(prefix))


def test_directories_are_listed_at_once_but_not_all() -> None:
    service = Service([f"{first}/{second}/{third}" for first in range(8) for second in range(8) for third in range(8)])
    assert len(asyncio.run(listed(service))) == 512
    assert service.most == parallel_listing.AT_ONCE


def test_a_directory_of_many_is_listed_as_a_whole() -> None:
    service = Service([f"r/{number:03}/link" for number in range(PAGE + 1)])
    assert len(asyncio.run(listed(service, "r/"))) == PAGE + 1
    assert service.asked == [("r/", True), ("r/", False)]


def test_enough_directories_are_not_divided_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel_listing, "ENOUGH", 9)
    service = Service(BLOBS)
    assert asyncio.run(listed(service, "blobs/")) == sorted(BLOBS)
    assert sorted(service.asked) == sorted(
        [("blobs/", True), *((f"blobs/{number:02x}/", False) for number in range(9))]
    )


def test_a_failure_is_raised() -> None:
    with pytest.raises(StorageError, match="it failed"):
        asyncio.run(listed(Service(TREE, failing="blobs/03/")))


def test_a_caller_may_stop_in_the_middle() -> None:
    async def scenario() -> None:
        service = Service(TREE)
        pages = list_in_parallel(service, "")
        await anext(pages)
        await pages.aclose()
        asked = len(service.asked)
        await asyncio.sleep(0.05)
        assert len(service.asked) == asked
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(scenario())
