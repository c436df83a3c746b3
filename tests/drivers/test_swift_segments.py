"""Segments of Swift's large objects: what may be deleted, what must stay, what Distribution has left."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from matou.registry.drivers.base import NotFound, StorageError
from matou.registry.drivers.object_driver import ObjectDriver
from matou.registry.drivers.swift.listing import Page
from tests.drivers.conformance import read, run
from tests.drivers.swift_containers import (
    BLOB,
    FILES,
    MIB,
    OTHER_BLOB,
    REPOSITORY,
    SEGMENTS,
    UPLOAD,
    content_of,
    pieces,
    push,
    put_as_distribution_does,
    store_of,
    upload,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from matou.registry.drivers.base import Driver
    from tests.drivers.conformance import Opening
    from tests.servers.swift import SwiftContainer


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
    swift_opening: Opening, container: SwiftContainer, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    content = content_of(3 * MIB)

    async def scenario(driver: Driver) -> None:
        await commit_and_be_killed(driver, content, monkeypatch)
        await driver.delete(path)
        assert await driver.sweep(0) == 0
        assert await driver.get(BLOB) == content
        await driver.delete(BLOB)
        assert container.names() == []

    run(swift_opening, scenario)


def test_a_commit_that_was_cut_off_is_repeated_but_makes_no_second_blob(
    swift_opening: Opening, container: SwiftContainer, monkeypatch: pytest.MonkeyPatch
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

    run(swift_opening, scenario)


def test_an_upload_that_is_cancelled_while_it_is_committed_becomes_no_blob(
    swift_opening: Opening, container: SwiftContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = content_of(3 * MIB)

    async def scenario(driver: Driver) -> None:
        large = store_of(driver)._large
        exists = large.exists

        async def cancelled(path: str) -> bool:  # between the claim and the look whether the upload goes on
            monkeypatch.setattr(large, "exists", exists)
            await driver.delete(path)
            return await exists(path)

        await upload(driver, UPLOAD, content)
        assert isinstance(driver, ObjectDriver)
        segments = (await driver._content(UPLOAD)).segments
        monkeypatch.setattr(large, "exists", cancelled)
        with pytest.raises(NotFound):
            await store_of(driver).assemble(segments, BLOB)
        assert [name for name in container.names() if name.startswith(FILES)] == []
        assert await driver.sweep(3600) == 0
        assert await driver.sweep(0) == 5
        assert container.names() == []

    run(swift_opening, scenario)


def test_the_sweep_finds_what_nobody_needs(swift_opening: Opening, container: SwiftContainer) -> None:
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

    run(swift_opening, scenario)


@pytest.mark.parametrize("fault", ["changed", "missing"])
def test_segments_that_are_damaged_are_no_blob(swift_opening: Opening, container: SwiftContainer, fault: str) -> None:
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

    run(swift_opening, scenario)


def test_blobs_that_distribution_wrote(swift_opening: Opening, container: SwiftContainer) -> None:
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

    run(swift_opening, scenario)


@pytest.mark.parametrize("was_moved", [True, False])
def test_an_upload_that_distribution_left_takes_no_segments_of_a_blob(
    swift_opening: Opening, container: SwiftContainer, was_moved: bool
) -> None:
    left = f"{UPLOAD}/data"

    async def scenario(driver: Driver) -> None:
        await driver.put("matou/x", b"")
        put_as_distribution_does(container, FILES + left, [b"abc", b"de"])
        manifest = container.ask("HEAD", FILES + left).headers["X-Object-Manifest"]
        if was_moved:  # and Distribution was killed before it deleted the upload
            container.put(FILES + BLOB, X_Object_Manifest=manifest)
        await driver.delete(UPLOAD)
        assert len(container.names(SEGMENTS)) == 2
        assert await driver.sweep(3600) == 0
        assert await driver.sweep(0) == (1 if was_moved else 3)
        assert await driver.sweep(0) == 0
        if was_moved:
            assert await driver.get(BLOB) == b"abcde"
            await driver.delete(BLOB)
        assert container.names() == [f"{FILES}matou/x"]

    run(swift_opening, scenario)


def test_a_blob_that_distribution_wrote_a_moment_ago_is_waited_for(
    swift_opening: Opening, container: SwiftContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(driver: Driver) -> None:
        with pytest.raises(NotFound):
            await driver.stat(BLOB)
        put_as_distribution_does(container, FILES + BLOB, [b"abc", b"de", b"f"])
        connection = store_of(driver)._connection
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

    run(swift_opening, scenario)
