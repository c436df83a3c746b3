from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from matou.registry.blobs import layout
from matou.registry.content.digest import Digest
from matou.registry.descriptors.base import UnobservedCache
from matou.registry.descriptors.factory import open_cache
from matou.registry.descriptors.memory import MemoryCache
from matou.registry.descriptors.statter import BlobStatter
from matou.registry.drivers.base import StorageError
from matou.registry.drivers.filesystem import FilesystemDriver
from matou.registry.drivers.inmemory import InMemoryDriver
from matou.registry.drivers.object_driver import ObjectDriver
from tests.drivers.memory_store import MemoryStore
from tests.unit.config.reading import parse

if TYPE_CHECKING:
    from pathlib import Path

    from matou.registry.drivers.object_store import StoredObject

CONTENT = b"content"
DIGEST = Digest.of(CONTENT)
SIZE = len(CONTENT)
PATH = layout.blob_data(DIGEST)


class Rig:
    """A statter over a storage that can be looked at."""

    def __init__(self, *, cached: bool = True) -> None:
        self.store = MemoryStore()
        self.driver = ObjectDriver(self.store)
        self.cache = MemoryCache(0, UnobservedCache())
        self.statter = BlobStatter(self.driver, self.cache if cached else None)

    @property
    def asked(self) -> int:
        return self.store.requests.count(f"head {PATH}")


def test_what_storage_has_is_asked_once() -> None:
    async def main() -> None:
        rig = Rig()
        await rig.driver.put(PATH, CONTENT)
        assert [await rig.statter.had_lately(DIGEST, SIZE) for _ in range(3)] == [True] * 3
        assert rig.asked == 1

    asyncio.run(main())


def test_what_storage_lacks_is_asked_again() -> None:
    async def main() -> None:
        rig = Rig()
        assert [await rig.statter.had_lately(DIGEST, SIZE) for _ in range(3)] == [False] * 3
        assert rig.asked == 3
        await rig.driver.put(PATH, CONTENT)
        assert await rig.statter.had_lately(DIGEST, SIZE)

    asyncio.run(main())


def test_another_size_is_another_blob() -> None:
    async def main() -> None:
        rig = Rig()
        await rig.driver.put(PATH, CONTENT)
        assert not await rig.statter.has(DIGEST, SIZE + 1)
        assert await rig.cache.size_of(DIGEST) is None
        await rig.statter.stored(DIGEST, SIZE + 1)
        assert await rig.statter.had_lately(DIGEST, SIZE)
        assert await rig.cache.size_of(DIGEST) == SIZE

    asyncio.run(main())


def test_what_counts_now_is_asked_now() -> None:
    async def main() -> None:
        rig = Rig()
        await rig.statter.stored(DIGEST, SIZE)
        assert await rig.statter.had_lately(DIGEST, SIZE)
        assert rig.asked == 0
        assert not await rig.statter.has(DIGEST, SIZE)
        assert not await rig.statter.had_lately(DIGEST, SIZE)
        await rig.driver.put(PATH, CONTENT)
        assert await rig.statter.has(DIGEST, SIZE)
        await rig.statter.lost(DIGEST)
        assert await rig.cache.size_of(DIGEST) is None

    asyncio.run(main())


def test_without_a_cache_storage_is_asked_each_time() -> None:
    async def main() -> None:
        rig = Rig(cached=False)
        await rig.driver.put(PATH, CONTENT)
        assert [await rig.statter.had_lately(DIGEST, SIZE) for _ in range(3)] == [True] * 3
        assert rig.asked == 3
        await rig.statter.lost(DIGEST)

    asyncio.run(main())


def test_a_storage_that_fails_says_nothing_about_the_blob() -> None:
    class Failing(MemoryStore):
        async def head(self, key: str) -> StoredObject:
            raise StorageError(f"{key}: the storage failed")

    async def main() -> None:
        cache = MemoryCache(0, UnobservedCache())
        statter = BlobStatter(ObjectDriver(Failing()), cache)
        await statter.stored(DIGEST, SIZE)
        with pytest.raises(StorageError):
            await statter.has(DIGEST, SIZE)
        assert await statter.had_lately(DIGEST, SIZE)

    asyncio.run(main())


@pytest.mark.parametrize("cache", ["blobdescriptor: inmemory", "layerinfo: inmemory", "{}", "blobdescriptor: other"])
def test_a_cache_is_opened_where_it_is_of_use(cache: str, tmp_path: Path) -> None:
    configuration = parse(f"version: 0.1\nstorage: {{inmemory: , cache: {{{cache.strip('{}')}}}}}\n")
    opened = open_cache(configuration, ObjectDriver(MemoryStore()))
    assert isinstance(opened, MemoryCache) is cache.endswith(": inmemory")
    for local in (FilesystemDriver(tmp_path), InMemoryDriver()):
        assert open_cache(configuration, local) is None
