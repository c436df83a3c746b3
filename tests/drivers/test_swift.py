"""The swift driver against OpenStack Swift: the contract, and large objects."""

from __future__ import annotations

import asyncio
import hashlib
import random
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from matou.config.sections.swift import SwiftParameters
from matou.registry.drivers.base import NotFound, StorageError
from matou.registry.drivers.factory import ALONE
from matou.registry.drivers.object_driver import ObjectDriver
from matou.registry.drivers.swift import copying
from matou.registry.drivers.swift.connection import Page
from matou.registry.drivers.swift.store import SwiftStore
from tests.drivers.conformance import DriverConformance, read, run
from tests.servers.swift import KEY, USER, SwiftContainer, SwiftServer, running_swift

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from matou.registry.drivers.base import Driver
    from tests.drivers.conformance import Opening

MIB = 1 << 20
PIECE = 1 << 16
BLOB = "docker/registry/v2/blobs/sha256/ab/abcd/data"
OTHER_BLOB = "docker/registry/v2/blobs/sha256/cd/cdef/data"
REPOSITORY = "docker/registry/v2/repositories/r"
UPLOAD = f"{REPOSITORY}/_uploads/1"
FILES, SEGMENTS = "files/", "segments/"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwiftServer]:
    with running_swift(tmp_path_factory.mktemp("swift")) as running:
        yield running


def parameters(server: SwiftServer, **given: Any) -> SwiftParameters:
    """Return the parameters of a new container."""
    known: dict[str, Any] = {
        "username": USER,
        "password": KEY,
        "authurl": server.auth_url,
        "container": f"registry-{secrets.token_hex(8)}",
        "chunksize": MIB,
    }
    return SwiftParameters(**(known | given))


def open_store(given: SwiftParameters) -> SwiftStore:
    store = SwiftStore(given, ALONE)
    store.segments = replace(store.segments, settling=0.5)  # one node's listings do not lag
    store._requests._first_pause = 0.01
    return store


def open_driver(given: SwiftParameters) -> ObjectDriver:
    store = open_store(given)
    return ObjectDriver(store, store.uploads)


class TestSwift(DriverConformance):
    @pytest.fixture
    def opening(self, server: SwiftServer) -> Opening:
        given = parameters(server)
        return lambda: open_driver(given)


class TestPrefix(DriverConformance):
    @pytest.fixture
    def opening(self, server: SwiftServer) -> Opening:
        given = parameters(server, prefix="/a b/ü%20", container=f"c ü%2F{secrets.token_hex(4)}")
        return lambda: open_driver(given)


@pytest.fixture
def given(server: SwiftServer) -> SwiftParameters:
    return parameters(server)


@pytest.fixture
def opening(given: SwiftParameters) -> Opening:
    return lambda: open_driver(given)


@pytest.fixture
def container(server: SwiftServer, given: SwiftParameters) -> Iterator[SwiftContainer]:
    with server.container(given.container) as found:
        yield found


def content_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)  # noqa: S311 -- the same bytes every time


def pieces(content: bytes) -> list[bytes]:
    return [content[start : start + PIECE] for start in range(0, len(content), PIECE)]


async def upload(driver: Driver, path: str, content: bytes) -> None:
    """Begin an upload and send its content in two requests."""
    await driver.upload_begin(path)
    middle = len(content) // 2
    for start, piece in ((0, content[:middle]), (middle, content[middle:])):
        writer = await driver.upload_open(path, start)
        await writer.write(pieces(piece))
        await writer.close()


async def push(driver: Driver, path: str, content: bytes) -> None:
    """Write content in one go."""
    writer = await driver.content_open(path)
    await writer.write(pieces(content))
    await writer.commit()
    await writer.discard()


async def hashed(driver: Driver, path: str) -> str:
    """Return the digest of content as ``read`` yields it, of the size that ``stat`` tells."""
    digest = hashlib.sha256()
    async for piece in driver.read(path, 0, (await driver.stat(path)).size):
        digest.update(piece)
    return digest.hexdigest()


@pytest.mark.parametrize("by_upload", [True, False])
@pytest.mark.parametrize("size", [5 * MIB + 77, 7 * MIB])
def test_a_large_blob_is_a_static_large_object(
    opening: Opening, container: SwiftContainer, by_upload: bool, size: int
) -> None:
    content = content_of(size)

    async def scenario(driver: Driver) -> None:
        if by_upload:
            await upload(driver, "u/1", content)
            await driver.upload_commit("u/1", size, BLOB)
        else:
            await push(driver, BLOB, content)
        head = container.ask("HEAD", FILES + BLOB)
        assert head.headers["x-static-large-object"] == "True"
        assert int(head.headers["content-length"]) == size
        assert head.headers["content-type"] == "application/octet-stream"
        assert (await driver.stat(BLOB)).size == size
        assert await driver.get(BLOB) == content
        assert await read(driver, BLOB, MIB - 3, 2 * MIB) == content[MIB - 3 : 3 * MIB - 3]
        assert [(path, found.size) async for path, found in driver.walk("")] == [(BLOB, size)]
        assert len(container.names(SEGMENTS)) > size // MIB
        assert await driver.sweep(0) == 0
        await driver.delete(BLOB.rpartition("/")[0])
        assert container.names() == []

    run(opening, scenario)


@pytest.mark.parametrize("by_upload", [True, False])
def test_a_small_blob_is_a_plain_object(opening: Opening, container: SwiftContainer, by_upload: bool) -> None:
    content = content_of(MIB // 2 if by_upload else MIB)

    async def scenario(driver: Driver) -> None:
        if by_upload:
            await driver.upload_begin("u/1")
            writer = await driver.upload_open("u/1", 0)
            await writer.write([content])
            await writer.close()
            await driver.upload_commit("u/1", len(content), BLOB)
        else:
            await push(driver, BLOB, content)
        head = container.ask("HEAD", FILES + BLOB)
        assert "x-static-large-object" not in head.headers
        assert head.headers["etag"] == hashlib.md5(content).hexdigest()  # noqa: S324 -- Swift's
        assert container.names() == [FILES + BLOB]

    run(opening, scenario)


async def limit(driver: Driver, monkeypatch: pytest.MonkeyPatch, **abilities: Any) -> None:
    """Make a driver believe that its cluster can less."""
    assert isinstance(driver, ObjectDriver)
    assert isinstance(driver.store, SwiftStore)
    connection = driver.store._connection
    opened = await connection.open()
    monkeypatch.setattr(connection, "_opened", replace(opened, cluster=replace(opened.cluster, **abilities)))


def test_more_segments_than_a_manifest_may_name(
    opening: Opening, container: SwiftContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = content_of(9 * MIB + 5)

    async def scenario(driver: Driver) -> None:
        await limit(driver, monkeypatch, manifest_segments=2)
        await push(driver, BLOB, content)
        assert await hashed(driver, BLOB) == hashlib.sha256(content).hexdigest()
        assert await read(driver, BLOB, 4 * MIB - 1, 2) == content[4 * MIB - 1 : 4 * MIB + 1]
        # 10 segments: 5, 3 and 2 manifests of two, and the one that is the blob.
        assert sum("/part." in name for name in container.names(SEGMENTS)) == 10
        # A second upload with a claim to the same blob makes the sweep look into the manifests.
        await push(driver, BLOB, content)
        assert await driver.sweep(0) == 21
        assert await hashed(driver, BLOB) == hashlib.sha256(content).hexdigest()
        await driver.delete(BLOB)
        assert container.names() == []

    run(opening, scenario)


@pytest.mark.parametrize("abilities", [{"manifest_segments": 0}, {"manifest_segments": 0, "bulk_deletes": 0}])
def test_a_cluster_that_can_less(
    opening: Opening, container: SwiftContainer, monkeypatch: pytest.MonkeyPatch, abilities: dict[str, int]
) -> None:
    content = content_of(10 * MIB + 5)

    async def scenario(driver: Driver) -> None:
        await limit(driver, monkeypatch, **abilities)
        await upload(driver, "u/1", content)
        await driver.upload_commit("u/1", len(content), BLOB)
        assert "x-object-manifest" in container.ask("HEAD", FILES + BLOB).headers
        assert await hashed(driver, BLOB) == hashlib.sha256(content).hexdigest()
        assert [found.size async for _, found in driver.walk("")] == [len(content)]
        await push(driver, BLOB, content)
        assert await driver.sweep(0) == 13
        assert await hashed(driver, BLOB) == hashlib.sha256(content).hexdigest()
        await driver.delete(BLOB)
        assert container.names() == []

    run(opening, scenario)


class Killed(Exception):  # noqa: N818 -- what happens
    """A process ended here."""


async def commit_and_be_killed(driver: Driver, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Finish an upload, but for what follows when the blob is there."""
    assert isinstance(driver, ObjectDriver)

    async def die(*_: object) -> None:
        raise Killed

    await upload(driver, UPLOAD, content)
    with monkeypatch.context() as patch:
        patch.setattr(driver.segments, "finish", die)
        with pytest.raises(Killed):
            await driver.upload_commit(UPLOAD, len(content), BLOB)


@pytest.mark.parametrize("path", [UPLOAD, REPOSITORY], ids=["purged", "repository"])
def test_deleting_an_upload_never_touches_its_blob(
    opening: Opening, container: SwiftContainer, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    content = content_of(3 * MIB)

    async def scenario(driver: Driver) -> None:
        await commit_and_be_killed(driver, content, monkeypatch)
        await driver.delete(path)
        assert await driver.sweep(0) == 0
        assert await driver.get(BLOB) == content
        await driver.delete(BLOB)
        assert container.names() == []

    run(opening, scenario)


def test_a_commit_that_was_cut_off_is_repeated_but_makes_no_second_blob(
    opening: Opening, container: SwiftContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = content_of(3 * MIB)

    async def scenario(driver: Driver) -> None:
        await commit_and_be_killed(driver, content, monkeypatch)
        with pytest.raises(NotFound):
            await driver.upload_commit(UPLOAD, len(content), OTHER_BLOB)
        assert await driver.sweep(0) == 0
        await driver.upload_commit(UPLOAD, len(content), BLOB)
        assert await driver.get(BLOB) == content
        assert await driver.list(UPLOAD) == []
        await driver.delete(BLOB)
        assert container.names() == []

    run(opening, scenario)


def test_an_upload_that_is_cancelled_while_it_is_committed_becomes_no_blob(
    opening: Opening, container: SwiftContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = content_of(3 * MIB)

    async def scenario(driver: Driver) -> None:
        assert isinstance(driver, ObjectDriver)
        assert isinstance(driver.store, SwiftStore)
        large = driver.store._large
        exists = large.exists

        async def cancelled(path: str) -> bool:  # between the claim and the look whether the upload goes on
            monkeypatch.setattr(large, "exists", exists)
            await driver.delete(path)
            return await exists(path)

        await upload(driver, UPLOAD, content)
        segments = (await driver._content(UPLOAD)).segments
        monkeypatch.setattr(large, "exists", cancelled)
        with pytest.raises(NotFound):
            await driver.store.assemble(segments, BLOB)
        assert [name for name in container.names() if name.startswith(FILES)] == []
        assert await driver.sweep(3600) == 0
        assert await driver.sweep(0) == 5
        assert container.names() == []

    run(opening, scenario)


def test_the_sweep_finds_what_nobody_needs(opening: Opening, container: SwiftContainer) -> None:
    content = content_of(3 * MIB + 9)

    async def scenario(driver: Driver) -> None:
        await push(driver, BLOB, content)
        await push(driver, OTHER_BLOB, content[::-1])
        await upload(driver, UPLOAD, content)  # goes on
        killed = await driver.content_open("x/data")
        await killed.write(pieces(content))
        await asyncio.sleep(0.5)  # until its segments are stored
        needed = len(container.names())
        assert await driver.sweep(3600) == 0
        assert len(container.names()) == needed
        assert await driver.sweep(0) == 3
        await driver.put(BLOB, b"small")  # leaves segments behind
        assert await driver.sweep(3600) == 0
        assert await driver.sweep(0) == 5
        container.ask("DELETE", FILES + OTHER_BLOB)  # as Distribution does: the manifest alone
        assert await driver.sweep(0) == 5
        assert await driver.upload_size(UPLOAD) == len(content)
        await driver.delete(UPLOAD)
        assert container.names() == [FILES + BLOB]
        await killed.discard()

    run(opening, scenario)


@pytest.mark.parametrize("fault", ["changed", "missing"])
def test_segments_that_are_damaged_are_no_blob(opening: Opening, container: SwiftContainer, fault: str) -> None:
    content = content_of(3 * MIB)

    async def scenario(driver: Driver) -> None:
        await push(driver, BLOB, content)
        name = next(name for name in container.names(SEGMENTS) if "/data.0000000001" in name)
        if fault == "changed":
            container.put(name, content_of(MIB + 1)[1:])
        else:
            container.ask("DELETE", name)
        with pytest.raises(StorageError):
            await driver.get(BLOB)
        with pytest.raises(StorageError):
            await read(driver, BLOB, 0, len(content))
        await push(driver, BLOB, content)  # mends it
        assert await driver.get(BLOB) == content

    run(opening, scenario)


def put_as_distribution_does(container: SwiftContainer, name: str, parts: list[bytes]) -> None:
    """Store a dynamic large object with the names that Distribution gives."""
    prefix = f"segments/{hashlib.sha1(name.encode()).hexdigest()}"  # noqa: S324 -- Distribution's
    prefix = f"{prefix[:12]}/{prefix[12:]}"
    for number, part in enumerate(parts, 1):
        container.put(f"{prefix}/{number:016d}", part)
    container.put(name, X_Object_Manifest=f"{container.name}/{prefix}")


def test_blobs_that_distribution_wrote(opening: Opening, container: SwiftContainer) -> None:
    content = content_of(2 * MIB)
    left = f"{UPLOAD}/data"

    async def scenario(driver: Driver) -> None:
        with pytest.raises(NotFound):
            await driver.stat(BLOB)
        put_as_distribution_does(container, FILES + BLOB, [content[:MIB], content[MIB:]])
        put_as_distribution_does(container, FILES + left, [b"abc"])
        assert (await driver.stat(BLOB)).size == len(content)
        assert await driver.get(BLOB) == content
        assert await read(driver, BLOB, MIB - 2, 4) == content[MIB - 2 : MIB + 2]
        assert {path: found.size async for path, found in driver.walk("")} == {BLOB: len(content), left: 3}
        assert await driver.sweep(0) == 0
        await driver.delete(BLOB)
        assert len(container.names()) == 2
        # What Distribution was just making a blob of may have the segments of one: they stay.
        await driver.delete(UPLOAD)
        assert [name.rpartition("/")[2] for name in container.names()] == [f"{1:016d}"]

    run(opening, scenario)


def test_a_blob_that_distribution_wrote_a_moment_ago_is_waited_for(
    opening: Opening, container: SwiftContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(driver: Driver) -> None:
        assert isinstance(driver, ObjectDriver)
        assert isinstance(driver.store, SwiftStore)
        with pytest.raises(NotFound):
            await driver.stat(BLOB)
        put_as_distribution_does(container, FILES + BLOB, [b"abc", b"de", b"f"])
        connection = driver.store._connection
        pages = connection.pages
        shown = 0

        async def lagging(prefix: str, *, directories: bool = False) -> AsyncIterator[Page]:
            nonlocal shown
            async for page in pages(prefix, directories=directories):
                yield Page(page.objects[:shown], [])
            shown += 1

        monkeypatch.setattr(connection, "pages", lagging)
        assert (await driver.stat(BLOB)).size == 6
        assert shown == 4

    run(opening, scenario)


def test_content_is_copied_from_another_container_of_the_account(
    server: SwiftServer, given: SwiftParameters, container: SwiftContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "PIECE", MIB)
    large, small = content_of(3 * MIB + 5), b"small"

    async def scenario(source: Driver) -> None:
        await push(source, BLOB, large)
        await source.put(OTHER_BLOB, small)
        target = open_driver(parameters(server, prefix="p"))
        try:
            assert await target.copy_from(source, OTHER_BLOB, len(small))
            assert await target.copy_from(source, BLOB, len(large))
            assert not await target.copy_from(source, BLOB, len(large) + 1)
            with pytest.raises(NotFound):
                await target.copy_from(source, "no/such", 1)
            assert await target.get(OTHER_BLOB) == small
            await source.delete("docker")
            assert container.names() == []
            assert await target.get(BLOB) == large
        finally:
            await target.close()

    run(lambda: open_driver(given), scenario)


def test_more_objects_than_a_page_or_a_request_has(
    opening: Opening, container: SwiftContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(driver: Driver) -> None:
        await limit(driver, monkeypatch, listing=7, bulk_deletes=10)
        names = [f"d/{number:02d}/x" for number in range(25)]
        await asyncio.gather(*(driver.put(name, b"1") for name in names))
        assert sorted([path async for path, _ in driver.walk("d")]) == names
        assert sorted(await driver.list("d")) == [f"{number:02d}" for number in range(25)]
        await driver.delete("d")
        assert container.names() == []

    run(opening, scenario)
