"""The azure driver against Azurite: what is stored, and how."""

from __future__ import annotations

import asyncio
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from matou.config.sections.azure import AzureParameters
from matou.registry.drivers.azure import blocks
from matou.registry.drivers.azure.blocks import new_stamp, staged_block
from matou.registry.drivers.base import NotFound, StorageError
from matou.registry.drivers.object_store import SegmentRules
from tests.drivers.azure_driver import append, container_of, names, open_azure, opened, parameters, put_append_blob
from tests.drivers.conformance import DriverConformance, read
from tests.servers.azurite import OTHER_ACCOUNT, OTHER_KEY, Azurite, running_azurite

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from matou.registry.drivers.object_driver import ObjectDriver
    from tests.drivers.conformance import Opening

UPLOAD = "r/_uploads/1"
OLD = 1_000_000_000  # seconds since the epoch


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with running_azurite(tmp_path_factory.mktemp("azurite")) as running:
        yield running


class TestAzurite(DriverConformance):
    @pytest.fixture
    def opening(self, server: Azurite) -> Opening:
        given = parameters(server)
        return lambda: open_azure(given)


class TestLegacyRootPrefix(DriverConformance):
    @pytest.fixture
    def opening(self, server: Azurite) -> Opening:
        given = parameters(server, rootdirectory="/azure/virtual/container", legacyrootprefix=True)
        return lambda: open_azure(given)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


def small_segments(driver: ObjectDriver, size: int = 4) -> None:
    driver.store.segments = SegmentRules(size)


def test_an_upload_is_blocks_that_nobody_sees(server: Azurite) -> None:
    async def scenario() -> None:
        given = parameters(server)
        async with opened(given) as driver:
            small_segments(driver)
            await driver.upload_begin(UPLOAD)
            await append(driver, UPLOAD, 0, b"abc", b"defgh", b"i")
            assert await names(server, given.container) == [f"{UPLOAD}/startedat"]
            async with container_of(server, given.container) as client:
                committed, staged = await client.get_blob_client(f"{UPLOAD}/data").get_block_list("all")
            assert committed == []
            assert {block.id.split("-")[0]: block.size for block in staged} == {f"{0:016d}": 8, f"{8:016d}": 1}
            await driver.upload_commit(UPLOAD, 9, "blob/data")
            assert await driver.get("blob/data") == b"abcdefghi"
        assert await names(server, given.container, uncommitted=True) == ["blob/data"]

    run(scenario())


def test_a_cancelled_upload_leaves_no_blocks(server: Azurite) -> None:
    async def scenario() -> None:
        given = parameters(server)
        async with opened(given) as driver:
            for upload in (UPLOAD, "s/_uploads/2"):
                await driver.upload_begin(upload)
                await append(driver, upload, 0, b"abc")
            await driver.delete(UPLOAD)
            await driver.delete("s")
        assert await names(server, given.container, uncommitted=True) == []

    run(scenario())


async def _append(given: AzureParameters, offset: int, content: bytes) -> None:
    async with opened(given) as driver:
        if not offset:
            await driver.upload_begin(UPLOAD)
        assert await driver.upload_size(UPLOAD) == offset
        await append(driver, UPLOAD, offset, content)


async def _write(given: AzureParameters, path: str, content: bytes) -> None:
    async with opened(given) as driver:
        small_segments(driver, 1 << 20)
        writer = await driver.content_open(path)
        for first in range(0, len(content), 1 << 18):
            await writer.write([content[first : first + (1 << 18)]])
        await writer.commit()


def in_another_process(work: Any, *arguments: Any) -> None:
    asyncio.run(work(*arguments))


def test_four_processes(server: Azurite) -> None:
    """Each goes on with the upload of the one before; then all write the same content to one place at once."""
    given = parameters(server)
    content = bytes(range(256)) * 16384
    quarter = len(content) // 4
    with ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as pool:
        for first in range(0, len(content), quarter):
            pool.submit(in_another_process, _append, given, first, content[first : first + quarter]).result()
        writing = [pool.submit(in_another_process, _write, given, "blob/same", content) for _ in range(4)]
        for each in writing:
            each.result()

    async def scenario() -> None:
        async with opened(given) as driver:
            await driver.upload_commit(UPLOAD, len(content), "blob/data")
            assert await read(driver, "blob/data", 0, len(content)) == content
            assert await read(driver, "blob/same", 0, len(content)) == content

    run(scenario())


def test_blocks_that_a_killed_process_left_behind_a_gap_are_dropped(server: Azurite) -> None:
    async def scenario() -> None:
        given = parameters(server)
        async with opened(given) as driver, opened(given) as other:
            for each in (driver, other):
                small_segments(each)
            await driver.upload_begin(UPLOAD)
            await append(driver, UPLOAD, 0, b"0123")
            await driver.segments.put(f"{UPLOAD}/data.{8:016d}-0123456789abcdef", [b"89xx"])
            assert await other.upload_size(UPLOAD) == 4
            await append(other, UPLOAD, 4, b"4567")
            await append(other, UPLOAD, 8, b"89ab")
            await driver.upload_commit(UPLOAD, 12, "blob")
            assert await driver.get("blob") == b"0123456789ab"

    run(scenario())


def test_an_upload_that_two_processes_wrote_to_at_once_is_lost(server: Azurite) -> None:
    async def scenario() -> None:
        given = parameters(server)
        async with opened(given) as one, opened(given) as other:
            await one.upload_begin(UPLOAD)
            first, second = await one.upload_open(UPLOAD, 0), await other.upload_open(UPLOAD, 0)
            await first.write([b"abcdef"])
            await second.write([b"ghi"])
            await first.close()
            await second.close()
            with pytest.raises(NotFound, match="two requests"):
                await one.upload_commit(UPLOAD, 6, "blob")
            await one.delete(UPLOAD)
        assert await names(server, given.container, uncommitted=True) == []

    run(scenario())


def test_content_that_is_being_written_hides_nothing(server: Azurite) -> None:
    async def scenario() -> None:
        given = parameters(server)
        async with opened(given) as driver:
            small_segments(driver)
            await driver.put("blob", b"old")
            for path in ("blob", "new"):
                writer = await driver.content_open(path)
                await writer.write([b"abcdefgh"])
                await writer.write([b"ijkl"])
                assert await driver.get("blob") == b"old"
                assert {name async for name, _ in driver.walk("")} == {"blob"}
                await writer.discard()
            assert await driver.sweep(60) == 0
            assert await driver.sweep(-1) == 1
            assert await driver.sweep(-1) == 0
            assert await driver.get("blob") == b"old"
        assert await names(server, given.container, uncommitted=True) == ["blob"]

    run(scenario())


def test_what_killed_processes_staged_is_swept_when_it_is_old(server: Azurite) -> None:
    async def scenario() -> None:
        given = parameters(server)
        async with opened(given) as driver:
            store: Any = driver.store
            old = f"{OLD:010x}abcdef"
            await store.blocks.stage("old", staged_block(0, old), [b"1"])
            await store.blocks.stage("resumed", staged_block(0, old), [b"1"])
            await store.blocks.stage("resumed", staged_block(0, new_stamp()), [b"1"])
            await store.blocks.stage("foreign", "AAAA", [b"1"])
            await driver.upload_begin(UPLOAD)
            await append(driver, UPLOAD, 0, b"abc")
            assert await driver.sweep(3600) == 1
            assert await driver.upload_size(UPLOAD) == 3
        assert sorted(await names(server, given.container, uncommitted=True)) == [
            "foreign",
            f"{UPLOAD}/data",
            f"{UPLOAD}/startedat",
            "resumed",
        ]

    run(scenario())


@pytest.mark.parametrize("legacy", [False, True])
def test_blobs_as_distribution_writes_them(server: Azurite, legacy: bool) -> None:
    async def scenario() -> None:
        given = parameters(server, legacyrootprefix=legacy)
        content = bytes(range(256)) * 40_000
        await put_append_blob(server, given.container, "/" * legacy + "blob/data", content)
        async with opened(given) as driver:
            assert (await driver.stat("blob/data")).size == len(content)
            assert await driver.list("blob") == ["data"]
            assert await read(driver, "blob/data", 1000, 5_000_000) == content[1000:5_001_000]
            assert await driver.get("blob/data") == content
            await driver.delete("blob")
            assert await driver.list("blob") == []

    run(scenario())


@pytest.mark.parametrize("there", [b"0123456789ab", b"damaged"], ids=["equal", "damaged"])
def test_a_blob_is_stored_over_one_of_distribution(server: Azurite, there: bytes) -> None:
    """The service stages no blocks on an append blob, and copies no other type over one."""

    async def scenario() -> None:
        given = parameters(server)
        for path in ("uploaded", "written", "put"):
            await put_append_blob(server, given.container, path, there)
        async with opened(given) as driver:
            small_segments(driver)
            await driver.upload_begin(UPLOAD)
            await append(driver, UPLOAD, 0, b"0123", b"456789ab")
            await driver.upload_commit(UPLOAD, 12, "uploaded")
            writer = await driver.content_open("written")
            await writer.write([b"0123", b"4567", b"89ab"])
            await writer.commit()
            await driver.put("put", b"0123456789ab")
            for path in ("uploaded", "written", "put"):
                assert await driver.get(path) == b"0123456789ab"
        assert sorted(await names(server, given.container, uncommitted=True)) == ["put", "uploaded", "written"]

    run(scenario())


def test_a_blob_has_so_many_parts_at_most(server: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with opened(parameters(server)) as driver:
            small_segments(driver, 1)
            await driver.upload_begin(UPLOAD)
            await append(driver, UPLOAD, 0, b"a", b"b", b"c")
            monkeypatch.setattr(blocks, "MOST_BLOCKS", 2)
            with pytest.raises(StorageError, match="3 parts, and a blob takes 2; push it in larger requests"):
                await driver.upload_commit(UPLOAD, 3, "blob")
            monkeypatch.undo()
            await driver.upload_commit(UPLOAD, 3, "blob")

    run(scenario())


def test_two_conventions_in_one_container_do_not_see_each_other(server: Azurite) -> None:
    async def scenario() -> None:
        given = parameters(server)
        legacy = parameters(server, container=given.container, legacyrootprefix=True)
        async with opened(given) as driver, opened(legacy) as other:
            await driver.put("docker/registry/v2/a", b"1")
            await other.put("docker/registry/v2/b", b"2")
            assert await names(server, given.container) == ["/docker/registry/v2/b", "docker/registry/v2/a"]
            for each, name in ((driver, "a"), (other, "b")):
                assert await each.list("") == ["docker"]
                assert [path async for path, _ in each.walk("")] == [f"docker/registry/v2/{name}"]
                await each.check()
            await driver.delete("docker")
            assert await other.get("docker/registry/v2/b") == b"2"

    run(scenario())


@pytest.mark.parametrize("root", ["", "/azure/virtual/container"])
@pytest.mark.parametrize("legacy", [False, True])
def test_a_tree_of_the_other_convention_is_no_start(server: Azurite, legacy: bool, root: str) -> None:
    async def scenario() -> None:
        given = parameters(server, rootdirectory=root, legacyrootprefix=not legacy)
        async with opened(given) as driver:
            await driver.check()
            await driver.put("docker/registry/v2/a", b"1")
            await driver.check()
        wrong = parameters(server, container=given.container, rootdirectory=root, legacyrootprefix=legacy)
        async with opened(wrong) as driver:
            with pytest.raises(StorageError) as caught:
                await driver.check()
        assert f"one at {'' if legacy else '/'}{root.strip('/')}" in str(caught.value)
        assert f"set storage.azure.trimlegacyrootprefix: {str(legacy).lower()}, or" in str(caught.value)

    run(scenario())


@pytest.mark.parametrize("account", ["the same", "another"])
def test_blobs_are_copied_inside_the_service(server: Azurite, account: str) -> None:
    async def scenario() -> None:
        source = parameters(server, rootdirectory="here", legacyrootprefix=True)
        given = source
        if account == "another":
            other = {"accountname": OTHER_ACCOUNT, "accountkey": OTHER_KEY, "serviceurl": server.url(OTHER_ACCOUNT)}
            given = parameters(server, **other, container=server.new_container(OTHER_ACCOUNT, OTHER_KEY))
        elsewhere = AzureParameters(**{**vars_of(given), "rootdirectory": "there", "legacyrootprefix": False})
        async with opened(source) as driver, opened(elsewhere) as destination:
            await driver.put("a/link", b"sha256:1")
            await destination.put("a/link", b"sha256:2")
            assert await destination.copy_from(driver, "a/link", 8)
            assert await destination.get("a/link") == b"sha256:1"
            with pytest.raises(NotFound):
                await destination.copy_from(driver, "a/nothing", 8)

    run(scenario())


def vars_of(given: AzureParameters) -> dict[str, Any]:
    return {name: getattr(given, name) for name in AzureParameters.__dataclass_fields__}
