"""The swift driver against OpenStack Swift: the contract, and what kinds of objects blobs become."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from typing import TYPE_CHECKING

import pytest

from matou.registry.drivers.base import NotFound
from matou.registry.drivers.swift import copying
from tests.drivers.conformance import DriverConformance, read, run
from tests.drivers.swift_containers import (
    BLOB,
    FILES,
    MIB,
    OTHER_BLOB,
    SEGMENTS,
    content_of,
    hashed,
    limit,
    open_driver,
    parameters,
    push,
    upload,
)

if TYPE_CHECKING:
    from matou.config.sections.swift import SwiftParameters
    from matou.registry.drivers.base import Driver
    from tests.drivers.conformance import Opening
    from tests.servers.swift import SwiftContainer, SwiftServer


class TestSwift(DriverConformance):
    @pytest.fixture
    def opening(self, swift: SwiftServer) -> Opening:
        given = parameters(swift)
        return lambda: open_driver(given)


class TestPrefix(DriverConformance):
    @pytest.fixture
    def opening(self, swift: SwiftServer) -> Opening:
        given = parameters(swift, prefix="/a b/ü%20", container=f"c ü%2F{secrets.token_hex(4)}")
        return lambda: open_driver(given)


@pytest.mark.parametrize("by_upload", [True, False])
@pytest.mark.parametrize("size", [5 * MIB + 77, 7 * MIB])
def test_a_large_blob_is_a_static_large_object(
    swift_opening: Opening, container: SwiftContainer, by_upload: bool, size: int
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

    run(swift_opening, scenario)


@pytest.mark.parametrize("by_upload", [True, False])
def test_a_small_blob_is_a_plain_object(swift_opening: Opening, container: SwiftContainer, by_upload: bool) -> None:
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

    run(swift_opening, scenario)


def test_more_segments_than_a_manifest_may_name(
    swift_opening: Opening, container: SwiftContainer, monkeypatch: pytest.MonkeyPatch
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

    run(swift_opening, scenario)


@pytest.mark.parametrize("abilities", [{"manifest_segments": 0}, {"manifest_segments": 0, "bulk_deletes": 0}])
def test_a_cluster_that_can_less(
    swift_opening: Opening, container: SwiftContainer, monkeypatch: pytest.MonkeyPatch, abilities: dict[str, int]
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

    run(swift_opening, scenario)


def test_content_is_copied_from_another_container_of_the_account(
    swift: SwiftServer, swift_parameters: SwiftParameters, container: SwiftContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "PIECE", MIB)
    large, small = content_of(3 * MIB + 5), b"small"

    async def scenario(source: Driver) -> None:
        await push(source, BLOB, large)
        await source.put(OTHER_BLOB, small)
        target = open_driver(parameters(swift, prefix="p"))
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

    run(lambda: open_driver(swift_parameters), scenario)


def test_more_objects_than_a_page_or_a_request_has(
    swift_opening: Opening, container: SwiftContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(driver: Driver) -> None:
        await limit(driver, monkeypatch, listing=7, bulk_deletes=10)
        names = [f"d/{number:02d}/x" for number in range(25)]
        await asyncio.gather(*(driver.put(name, b"1") for name in names))
        assert sorted([path async for path, _ in driver.walk("d")]) == names
        assert sorted(await driver.list("d")) == [f"{number:02d}" for number in range(25)]
        await driver.delete("d")
        assert container.names() == []

    run(swift_opening, scenario)
