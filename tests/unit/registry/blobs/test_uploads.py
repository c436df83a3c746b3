from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from matou.registry.blobs import layout, uploads
from matou.registry.blobs.uploads import BATCH, HASHERS, Uploads
from matou.registry.content.digest import Digest
from matou.registry.drivers.base import NotFound
from matou.registry.drivers.filesystem import FilesystemDriver
from matou.registry.drivers.object_driver import ObjectDriver
from matou.registry.errors import RegistryError
from tests.drivers.memory_store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from matou.registry.blobs.upload_state import UploadState

CONTENT = b"some content of a layer" * 1000


def run(path: Path, scenario: Callable[[Uploads, FilesystemDriver], Awaitable[None]]) -> None:
    async def whole() -> None:
        driver = FilesystemDriver(path)
        with ThreadPoolExecutor(2) as executor:
            try:
                await scenario(Uploads(driver, executor), driver)
            finally:
                await driver.close()

    asyncio.run(whole())


async def body(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def stored(driver: FilesystemDriver, digest: Digest) -> bytes:
    return await driver.get(layout.blob_data(digest))


@pytest.mark.parametrize("ended_by", ["sha256", "sha512"])
@pytest.mark.parametrize("begun_with", ["sha256", "sha512"])
def test_digest_of_either_algorithm(tmp_path: Path, begun_with: str, ended_by: str) -> None:
    async def scenario(here: Uploads, driver: FilesystemDriver) -> None:
        state = await here.begin("a/b", "me", begun_with)
        for start in range(0, len(CONTENT), 7000):
            state = await here.append(state, body(CONTENT[start : start + 7000]), None)
            assert state.digest == hashlib.new(begun_with, CONTENT[: state.offset]).hexdigest()
        digest = Digest.of(CONTENT, ended_by)
        await here.finish(state, digest, is_stored=False)
        assert await stored(driver, digest) == CONTENT

    run(tmp_path, scenario)


def test_hash_of_a_state_that_is_not_this_one_is_not_used(tmp_path: Path) -> None:
    """A state from before a crash may tell of bytes that storage lost; then they are read again."""

    async def scenario(here: Uploads, driver: FilesystemDriver) -> None:
        state = await here.append(await here.begin("a/b", "me"), body(CONTENT), None)
        before = replace(state, digest=hashlib.sha256(b"other").hexdigest(), boot="another boot")
        other = Uploads(driver, ThreadPoolExecutor(1))  # has no running hash
        await other.finish(before, Digest.of(CONTENT), is_stored=False)
        assert await stored(driver, Digest.of(CONTENT)) == CONTENT

    run(tmp_path, scenario)


def test_uploads_in_object_storage_are_finished_on_another_machine() -> None:
    """What it has acknowledged it has; only where the digest is not known it is read again."""

    async def scenario() -> None:
        store = MemoryStore(1000)
        with ThreadPoolExecutor(1) as executor:
            one, other = Uploads(ObjectDriver(store), executor), Uploads(ObjectDriver(store), executor)
            for known in (True, False):
                state = await one.append(await one.begin("a/b", "me"), body(CONTENT), None)
                elsewhere = replace(state, boot="another boot", digest=state.digest if known else "")
                store.requests.clear()
                await other.finish(elsewhere, Digest.of(CONTENT), is_stored=False)
                assert any(request.startswith("read ") for request in store.requests) is not known
                assert await ObjectDriver(store).get(layout.blob_data(Digest.of(CONTENT))) == CONTENT

    asyncio.run(scenario())


def test_wrong_digest_cancels(tmp_path: Path) -> None:
    async def scenario(here: Uploads, driver: FilesystemDriver) -> None:
        state = await here.append(await here.begin("a/b", "me"), body(CONTENT), None)
        with pytest.raises(RegistryError, match="DIGEST_INVALID"):
            await here.finish(state, Digest.of(b"other"), is_stored=False)
        with pytest.raises(RegistryError, match="BLOB_UPLOAD_UNKNOWN"):
            await here.size("a/b", state.uuid)
        with pytest.raises(NotFound):
            await stored(driver, Digest.of(CONTENT))

    run(tmp_path, scenario)


def test_what_is_stored_already_is_verified_and_dropped(tmp_path: Path) -> None:
    async def scenario(here: Uploads, driver: FilesystemDriver) -> None:
        await here.put_small(CONTENT, Digest.of(CONTENT), is_stored=False)
        state = await here.append(await here.begin("a/b", "me"), body(b"other"), None)
        with pytest.raises(RegistryError, match="DIGEST_INVALID"):
            await here.finish(state, Digest.of(CONTENT), is_stored=True)
        state = await here.append(await here.begin("a/b", "me"), body(CONTENT), None)
        await here.finish(state, Digest.of(CONTENT), is_stored=True)
        assert await stored(driver, Digest.of(CONTENT)) == CONTENT
        assert await driver.list(layout.uploads("a/b")) == []

    run(tmp_path, scenario)


def test_fewer_bytes_than_announced(tmp_path: Path) -> None:
    """What came is kept, and the client can go on from there."""

    async def scenario(here: Uploads, _driver: FilesystemDriver) -> None:
        state = await here.begin("a/b", "me")
        with pytest.raises(RegistryError, match="SIZE_INVALID"):
            await here.append(state, body(CONTENT[:100]), 200)
        assert await here.size("a/b", state.uuid) == 100
        with pytest.raises(RegistryError, match="RANGE_INVALID"):
            await here.append(state, body(CONTENT[100:]), None)
        state = await here.append(replace(state, offset=100), body(CONTENT[100:]), None)
        await here.finish(state, Digest.of(CONTENT), is_stored=False)

    run(tmp_path, scenario)


def test_client_that_falls_silent_does_not_keep_the_upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "STALLED", 0.05)
    released = asyncio.Event()

    async def silent() -> AsyncIterator[bytes]:
        yield b"a" * BATCH
        yield b"bc"
        await released.wait()
        yield b"never"

    async def scenario(here: Uploads, _driver: FilesystemDriver) -> None:
        state = await here.begin("a/b", "me")
        with pytest.raises(RegistryError) as caught:
            await here.append(state, silent(), None)
        assert (caught.value.code, caught.value.status) == ("BLOB_UPLOAD_INVALID", 408)
        # What was written stays, and the upload can be gone on with at once.
        assert await here.size("a/b", state.uuid) == BATCH
        content = b"a" * BATCH + CONTENT
        state = await here.append(replace(state, offset=BATCH), body(CONTENT), None)
        await here.finish(state, Digest.of(content), is_stored=False)

    run(tmp_path, scenario)


def test_running_hashes_are_bounded(tmp_path: Path) -> None:
    """The oldest is forgotten; its upload is read again at its end."""

    async def scenario(here: Uploads, driver: FilesystemDriver) -> None:
        states: list[UploadState] = []
        for _ in range(HASHERS + 5):
            state = await here.begin("a/b", "me")
            states.append(await here.append(state, body(CONTENT[:10]), None))
        assert len(here._hashers) == HASHERS
        first = await here.append(states[0], body(CONTENT[10:]), None)
        assert first.digest == ""
        await here.finish(first, Digest.of(CONTENT), is_stored=False)
        assert await stored(driver, Digest.of(CONTENT)) == CONTENT
        await here.cancel("a/b", states[-1].uuid)
        assert len(here._hashers) == HASHERS - 1

    run(tmp_path, scenario)
