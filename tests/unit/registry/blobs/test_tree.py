from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from matou.registry.blobs import layout
from matou.registry.blobs.tree import LISTINGS, directories
from matou.registry.content.digest import Digest
from matou.registry.drivers.base import StorageError
from matou.registry.drivers.filesystem import FilesystemDriver
from matou.registry.drivers.object_driver import ObjectDriver
from tests.drivers.latency import LATENCY, DistantStore, seconds_of
from tests.drivers.memory_store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from matou.registry.drivers.base import Driver
    from matou.registry.drivers.object_store import Listing

PATHS = ("a/_layers/x", "a/_uploads/1/startedat", "a/b/_manifests/x", "a/b/c/d/_uploads/2", "e/f/_other/x", "g/stray/x")


async def found(driver: Driver) -> dict[str, set[str]]:
    return {directory.name: set(directory.parts) async for directory in directories(driver)}


@pytest.mark.parametrize("kind", ["objects", "files"])
def test_every_directory_with_something_of_a_repository_is_found(kind: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        driver = FilesystemDriver(tmp_path) if kind == "files" else ObjectDriver(MemoryStore())
        assert await found(driver) == {}
        for path in PATHS:
            await driver.put(f"{layout.REPOSITORIES}/{path}", b"")
        assert await found(driver) == {
            "a": {"_layers", "_uploads"},
            "a/b": {"_manifests"},
            "a/b/c/d": {"_uploads"},
            "e/f": {"_other"},
        }
        await driver.close()

    asyncio.run(scenario())


def test_a_link_that_goes_in_circles_comes_to_an_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        driver = FilesystemDriver(tmp_path)
        await driver.put(f"{layout.REPOSITORIES}/a/_layers/x", b"")
        (tmp_path / layout.REPOSITORIES / "a" / "again").symlink_to(tmp_path / layout.REPOSITORIES)
        names = list(await found(driver))
        assert names[0] == "a"
        assert all(name.replace("/again/a", "") == "a" for name in names)
        await driver.close()

    asyncio.run(scenario())


def test_many_directories_are_listed_at_once() -> None:
    async def scenario() -> None:
        assert len(await found(driver)) == count

    store, count = DistantStore(), 400
    driver = ObjectDriver(store)
    for number in range(count):
        store.objects[f"{layout.REPOSITORIES}/group-{number % 20}/app-{number}/_layers/x"] = (b"", 0.0)
    seconds = seconds_of(scenario())
    assert store.most == LISTINGS
    # A page and its end are two requests here. In a row it would be as many as there are directories.
    rounds = seconds / (2 * LATENCY)
    assert rounds < 2 * (1 + 20 + count) / LISTINGS


def test_listings_end_with_the_first_that_fails_and_with_the_caller() -> None:
    class Failing(DistantStore):
        async def list(self, prefix: str, *, directories: bool) -> AsyncIterator[Listing]:
            if prefix.endswith("/bad/"):
                raise StorageError("refused")
            async for page in super().list(prefix, directories=directories):
                yield page

    async def scenario() -> None:
        with pytest.raises(StorageError, match="refused"):
            await found(driver)
        assert len(asyncio.all_tasks()) == 1
        del store.objects[f"{layout.REPOSITORIES}/bad/_layers/x"]
        async with contextlib.aclosing(directories(driver)) as walk:
            assert (await anext(walk)).name.startswith("good")
        assert len(asyncio.all_tasks()) == 1

    store = Failing()
    driver = ObjectDriver(store)
    for name in ("bad", *(f"good-{number}" for number in range(100))):
        store.objects[f"{layout.REPOSITORIES}/{name}/_layers/x"] = (b"", 0.0)
    seconds_of(scenario())


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_the_path_of_a_blob_tells_its_digest(algorithm: str) -> None:
    digest = Digest.of(b"x", algorithm)
    path = layout.blob_data(digest)
    assert layout.digest_of_blob(path) == digest
    for other in (
        path.removesuffix("data"),
        path.replace("/data", "/link"),
        path.replace("/blobs/", "/repositories/"),
        path.replace(f"/{digest.hex[:2]}/", "/zz/"),
        path.replace(algorithm, "md5"),
        path.replace(digest.hex, digest.hex[:-1]),
        f"{path}/data",
        "",
    ):
        assert layout.digest_of_blob(other) is None
