"""The one suite for every driver: what ``drivers/base.py`` specifies.

A file of tests has a subclass of ``DriverConformance`` for each driver (and server), with a fixture ``opening``.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from matou.registry.drivers.base import Conflict, Driver, NotFound, StorageError
from matou.registry.drivers.inmemory import InMemoryDriver
from tests.drivers.relaying import relay

if TYPE_CHECKING:
    from collections.abc import Awaitable

Opening = Callable[[], Driver]  # opens a driver of an empty storage, in a running event loop


def run(opening: Opening, scenario: Callable[[Driver], Awaitable[None]]) -> None:
    async def whole() -> None:
        driver = opening()
        try:
            await scenario(driver)
        finally:
            await driver.close()

    asyncio.run(whole())


async def read(driver: Driver, path: str, start: int, length: int) -> bytes:
    return b"".join([piece async for piece in driver.read(path, start, length)])


async def read_upload(driver: Driver, path: str, size: int) -> bytes:
    return b"".join([piece async for piece in driver.upload_read(path, size)])


class DriverConformance:
    """What every driver does."""

    @pytest.mark.parametrize("content", [b"", b"x", bytes(range(256)) * 9000], ids=["empty", "byte", "pieces"])
    @pytest.mark.parametrize("durable", [True, False])
    def test_what_was_put_is_read(self, opening: Opening, content: bytes, durable: bool) -> None:
        async def scenario(driver: Driver) -> None:
            await driver.put("a/b/c", content, durable=durable)
            assert await driver.get("a/b/c") == content
            assert (await driver.stat("a/b/c")).size == len(content)
            assert not (await driver.stat("a/b/c")).is_directory
            assert await read(driver, "a/b/c", 0, len(content)) == content
            if content:
                assert await read(driver, "a/b/c", 1, len(content) - 1) == content[1:]

        run(opening, scenario)

    def test_put_replaces(self, opening: Opening) -> None:
        async def scenario(driver: Driver) -> None:
            await driver.put("a/b", b"long content")
            await driver.put("a/b", b"short")
            assert await driver.get("a/b") == b"short"

        run(opening, scenario)

    def test_reads_come_in_pieces_of_a_mebibyte(self, opening: Opening) -> None:
        async def scenario(driver: Driver) -> None:
            await driver.put("big", bytes(3_000_000))
            sizes = [len(piece) async for piece in driver.read("big", 0, 3_000_000)]
            assert sum(sizes) == 3_000_000
            assert max(sizes) <= 1 << 20

        run(opening, scenario)

    @pytest.mark.parametrize("size", [0, 10, 3_000_000])
    def test_what_is_relayed_is_the_same(self, opening: Opening, size: int) -> None:
        async def scenario(driver: Driver) -> None:
            content = secrets.token_bytes(size)
            await driver.put("a/b", content)
            for start, length in ((0, size), (1, size - 1), (size // 2, size // 3)):
                if length >= 0:
                    found = await relay(driver.relay("a/b", start, length))
                    assert found.content == content[start : start + length]

        run(opening, scenario)

    def test_content_that_ends_early_is_an_error(self, opening: Opening) -> None:
        async def scenario(driver: Driver) -> None:
            await driver.put("a", b"12345")
            with pytest.raises(StorageError):
                await read(driver, "a", 0, 6)
            with pytest.raises(StorageError):
                await relay(driver.relay("a", 0, 6))

        run(opening, scenario)

    @pytest.mark.parametrize(
        "operation",
        [
            lambda driver: driver.get("no/such"),
            lambda driver: driver.stat("no/such"),
            lambda driver: read(driver, "no/such", 0, 1),
            lambda driver: relay(driver.relay("no/such", 0, 2_000_000)),
            lambda driver: driver.upload_open("no/such", 0),
            lambda driver: driver.upload_open("no/such", 7),
            lambda driver: driver.upload_size("no/such"),
            lambda driver: read_upload(driver, "no/such", 0),
            lambda driver: driver.upload_commit("no/such", 0, "there"),
        ],
        ids=[
            "get",
            "stat",
            "read",
            "relay",
            "upload_open",
            "upload_open_later",
            "upload_size",
            "upload_read",
            "upload_commit",
        ],
    )
    def test_nothing_there(self, opening: Opening, operation: Callable[[Driver], Awaitable[object]]) -> None:
        async def scenario(driver: Driver) -> None:
            with pytest.raises(NotFound):
                await operation(driver)

        run(opening, scenario)

    def test_list_names_direct_children(self, opening: Opening) -> None:
        async def scenario(driver: Driver) -> None:
            assert await driver.list("d") == []
            await driver.put("d/x", b"")
            await driver.put("d/y/z", b"")
            await driver.put("dd/other", b"")
            assert sorted(await driver.list("d")) == ["x", "y"]
            assert (await driver.stat("d/y")).is_directory

        run(opening, scenario)

    def test_the_whole_storage_is_a_directory(self, opening: Opening) -> None:
        async def scenario(driver: Driver) -> None:
            # As the health check asks: an empty storage may be none at all.
            with contextlib.suppress(NotFound):
                assert (await driver.stat("")).is_directory
            await driver.put("a/b", b"")
            assert (await driver.stat("")).is_directory

        run(opening, scenario)

    def test_delete_takes_everything_below(self, opening: Opening) -> None:
        async def scenario(driver: Driver) -> None:
            await driver.put("d/x", b"")
            await driver.put("d/y/z", b"")
            await driver.put("dd", b"stays")
            await driver.delete("d")
            await driver.delete("d")
            assert [path async for path, _ in driver.walk("d")] == []
            with pytest.raises(NotFound):
                await driver.get("d/x")
            assert await driver.get("dd") == b"stays"

        run(opening, scenario)

    def test_an_upload_grows_and_is_committed(self, opening: Opening) -> None:
        async def scenario(driver: Driver) -> None:
            await driver.upload_begin("u/1")
            assert await driver.upload_size("u/1") == 0
            for offset, chunks in ((0, [b"ab", b"c"]), (3, [b"de"])):
                writer = await driver.upload_open("u/1", offset)
                await writer.write(chunks)
                await writer.close()
            assert await driver.upload_size("u/1") == 5
            await driver.upload_commit("u/1", 5, "blob/data")
            assert await driver.get("blob/data") == b"abcde"

        run(opening, scenario)

    def test_an_upload_is_read_before_it_is_finished(self, opening: Opening) -> None:
        async def scenario(driver: Driver) -> None:
            content = bytes(range(256)) * 9000
            await driver.upload_begin("u/1")
            assert await read_upload(driver, "u/1", 0) == b""
            for offset, chunks in ((0, [content[:5]]), (5, [content[5:]])):
                writer = await driver.upload_open("u/1", offset)
                await writer.write(chunks)
                await writer.close()
            with pytest.raises(Conflict):
                await read_upload(driver, "u/1", 5)
            assert await read_upload(driver, "u/1", len(content)) == content
            writer = await driver.upload_open("u/1", len(content))
            await writer.write([b"more"])
            await writer.close()
            await driver.upload_commit("u/1", len(content) + 4, "blob")
            assert await driver.get("blob") == content + b"more"

        run(opening, scenario)

    def test_a_commit_replaces(self, opening: Opening) -> None:
        async def scenario(driver: Driver) -> None:
            await driver.put("blob/data", b"same")
            await driver.upload_begin("u/1")
            writer = await driver.upload_open("u/1", 0)
            await writer.write([b"same"])
            await writer.close()
            await driver.upload_commit("u/1", 4, "blob/data")
            assert await driver.get("blob/data") == b"same"

        run(opening, scenario)

    @pytest.mark.parametrize("offset", [1, 4])
    def test_an_upload_is_appended_to_only_at_its_end(self, opening: Opening, offset: int) -> None:
        async def scenario(driver: Driver) -> None:
            await driver.upload_begin("u/1")
            writer = await driver.upload_open("u/1", 0)
            await writer.write([b"abc"])
            await writer.close()
            with pytest.raises(Conflict):
                await driver.upload_open("u/1", offset)
            with pytest.raises(Conflict):
                await driver.upload_commit("u/1", offset, "blob")

        run(opening, scenario)

    def test_one_writer_at_a_time(self, opening: Opening) -> None:
        async def scenario(driver: Driver) -> None:
            await driver.upload_begin("u/1")
            writer = await driver.upload_open("u/1", 0)
            with pytest.raises(Conflict):
                await driver.upload_open("u/1", 0)
            with pytest.raises(Conflict):
                await driver.upload_commit("u/1", 0, "blob")
            await writer.close()
            await (await driver.upload_open("u/1", 0)).close()

        run(opening, scenario)

    def test_a_cancelled_upload_does_not_come_back(self, opening: Opening) -> None:
        async def scenario(driver: Driver) -> None:
            await driver.upload_begin("u/1")
            assert await driver.list("u") == ["1"]
            await driver.delete("u/1")
            with pytest.raises(NotFound):
                await driver.upload_open("u/1", 0)
            await driver.upload_begin("u/2")
            await driver.upload_commit("u/2", 0, "blob/data")
            with pytest.raises(NotFound):
                await driver.upload_size("u/2")
            assert await driver.get("blob/data") == b""

        run(opening, scenario)

    def test_puts_and_deletes_of_one_place_may_race(self, opening: Opening) -> None:
        async def scenario(driver: Driver) -> None:
            async def put() -> None:
                for _ in range(30):
                    await driver.put("r/s/t/link", b"content", durable=False)

            async def delete() -> None:
                for _ in range(30):
                    await driver.delete("r/s")

            await asyncio.gather(put(), delete(), put(), delete())
            await driver.put("r/s/t/link", b"last")
            assert await driver.get("r/s/t/link") == b"last"

        run(opening, scenario)

    @pytest.mark.parametrize("sizes", [(), (0,), (1,), (5, 0, 3_000_000), (1 << 20,) * 5])
    def test_content_appears_when_it_is_committed(self, opening: Opening, sizes: tuple[int, ...]) -> None:
        async def scenario(driver: Driver) -> None:
            chunks = [bytes([number]) * size for number, size in enumerate(sizes)]
            writer = await driver.content_open("c/data")
            for chunk in chunks:
                await writer.write([chunk])
            with pytest.raises(NotFound):
                await driver.stat("c/data")
            await writer.commit()
            await writer.discard()
            assert await driver.get("c/data") == b"".join(chunks)
            assert [path async for path, _ in driver.walk("")] == ["c/data"]

        run(opening, scenario)

    def test_content_that_is_discarded_leaves_what_was_there(self, opening: Opening) -> None:
        async def scenario(driver: Driver) -> None:
            await driver.put("c/data", b"old")
            writer = await driver.content_open("c/data")
            await writer.write([bytes(2_000_000)])
            await writer.discard()
            await writer.discard()
            assert await driver.get("c/data") == b"old"
            assert await driver.sweep(0) == 0

        run(opening, scenario)

    def test_walk_yields_all_content_below(self, opening: Opening) -> None:
        async def scenario(driver: Driver) -> None:
            for path, size in (("d/x", 1), ("d/y/z", 2), ("d/y/a-b/c", 0), ("dd", 3)):
                await driver.put(path, bytes(size))
            found = {path: found.size async for path, found in driver.walk("d")}
            assert found == {"d/x": 1, "d/y/z": 2, "d/y/a-b/c": 0}
            assert {path async for path, _ in driver.walk("")} == {*found, "dd"}
            assert [path async for path, _ in driver.walk("no/such")] == []
            assert not any([found.is_directory async for _, found in driver.walk("")])

        run(opening, scenario)

    def test_nothing_is_copied_from_a_driver_of_another_kind(self, opening: Opening) -> None:
        async def scenario(driver: Driver) -> None:
            other = InMemoryDriver()
            await other.put("a", b"1")
            assert not await driver.copy_from(other, "a", 1)
            assert await driver.list("") in ([], ["matou"])

        run(opening, scenario)

    def test_flush(self, opening: Opening) -> None:
        async def scenario(driver: Driver) -> None:
            await driver.put("a", b"1", durable=False)
            await driver.flush()
            assert await driver.get("a") == b"1"

        run(opening, scenario)
