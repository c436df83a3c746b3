"""How a listing is divided between requests."""

from __future__ import annotations

import asyncio

import pytest

from matou.registry.drivers import paged_listing
from matou.registry.drivers.base import StorageError
from matou.registry.drivers.object_store import Listing, StoredObject
from matou.registry.drivers.paged_listing import Page, list_in_parallel, list_in_turn

PAGE = 10
BLOBS = [f"blobs/{number:02x}/{part:02}/data" for number in range(9) for part in range(12)]
TREE = ["file", *BLOBS, "repositories/a/_manifests/x", "repositories/a/b/_manifests/x", "a//b", "x/"]


class Service:
    """Lists keys as services do, and counts how often it is asked, and how many ask at once.

    Args:
        keys: that it has.
        failing: prefix that cannot be listed.
    """

    def __init__(self, keys: list[str], failing: str | None = None) -> None:
        self.keys = keys
        self.failing = failing
        self.asked: list[tuple[str, str, bool]] = []
        self.now = self.most = 0

    async def __call__(self, prefix: str, token: str, *, directories: bool) -> Page:
        self.asked.append((prefix, token, directories))
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.001)
        self.now -= 1
        if prefix == self.failing:
            raise StorageError("it failed")
        found = sorted({self._shown(key, prefix, directories) for key in self.keys if key.startswith(prefix)})
        if directories and not found:
            found = [(prefix, False)]  # as SeaweedFS shows an empty directory
        first = int(token or 0)
        shown = found[first : first + PAGE]
        listing = Listing(
            [StoredObject(key, 1, 0.0) for key, is_directory in shown if not is_directory],
            [key[len(prefix) :].removesuffix("/") for key, is_directory in shown if is_directory],
        )
        return Page(listing, str(first + PAGE) if first + PAGE < len(found) else "")

    def _shown(self, key: str, prefix: str, directories: bool) -> tuple[str, bool]:
        rest = key[len(prefix) :]
        if directories and "/" in rest:
            return prefix + rest.partition("/")[0] + "/", True
        return key, False


async def listed(service: Service, prefix: str = "") -> list[str]:
    found = [page async for page in list_in_parallel(service, prefix)]
    assert not any(page.directories for page in found)
    return sorted(item.key for page in found for item in page.objects)


def test_page_after_page() -> None:
    async def scenario() -> None:
        service = Service(TREE)
        found = [page async for page in list_in_turn(service, "blobs/", directories=False)]
        assert [item.key for page in found for item in page.objects] == BLOBS
        assert [token for _, token, _ in service.asked] == ["", *(str(first) for first in range(10, 108, 10))]
        found = [page async for page in list_in_turn(service, "", directories=True)]
        assert found == [Listing([StoredObject("file", 1, 0.0)], ["a", "blobs", "repositories", "x"])]

    asyncio.run(scenario())


@pytest.mark.parametrize("enough", [0, 1, 4, 1000])
@pytest.mark.parametrize("prefix", ["", "blobs/", "repositories/a/", "absent/", "a/", "x/"])
def test_everything_is_listed_once(monkeypatch: pytest.MonkeyPatch, prefix: str, enough: int) -> None:
    monkeypatch.setattr(paged_listing, "ENOUGH", enough)
    service = Service(TREE)
    assert asyncio.run(listed(service, prefix)) == sorted(key for key in TREE if key.startswith(prefix))


def test_directories_are_listed_at_once_but_not_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paged_listing, "AT_ONCE", 5)
    service = Service([f"{first}/{second}/{third}" for first in range(8) for second in range(8) for third in range(8)])
    assert len(asyncio.run(listed(service))) == 512
    assert service.most == 5


def test_what_fits_a_page_takes_one_request() -> None:
    service = Service([f"{first}/{second}" for first in range(5) for second in range(2)])
    assert len(asyncio.run(listed(service))) == 10
    assert service.asked == [("", "", False)]


def test_a_directory_of_many_is_listed_page_after_page() -> None:
    service = Service([f"r/{number:03}/link" for number in range(3 * PAGE)])
    assert len(asyncio.run(listed(service, "r/"))) == 3 * PAGE
    assert service.asked == [("r/", "", False), ("r/", "", True), ("r/", "10", False), ("r/", "20", False)]


def test_enough_directories_are_not_divided_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paged_listing, "ENOUGH", 9)
    service = Service(BLOBS)
    assert asyncio.run(listed(service, "blobs/")) == BLOBS
    # A look at the whole, its directories, and the pages of each.
    assert len(service.asked) == 2 + 9 * 2
    assert [asked for asked in service.asked if asked[2]] == [("blobs/", "", True)]


def test_a_failure_is_raised() -> None:
    with pytest.raises(StorageError, match="it failed"):
        asyncio.run(listed(Service(TREE, failing="blobs/03/")))


def test_a_caller_may_stop_in_the_middle() -> None:
    async def scenario() -> None:
        service = Service(TREE)
        found = list_in_parallel(service, "")
        await anext(found)
        await found.aclose()
        asked = len(service.asked)
        await asyncio.sleep(0.05)
        assert len(service.asked) == asked
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(scenario())
