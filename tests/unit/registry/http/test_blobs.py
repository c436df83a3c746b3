"""Pulls of blobs that object storage serves itself."""

from __future__ import annotations

import asyncio
import secrets
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from matou.registry.auth.base import Identity
from matou.registry.blobs import layout
from matou.registry.content.digest import Digest
from matou.registry.descriptors.base import UnobservedCache
from matou.registry.descriptors.memory import MemoryCache
from matou.registry.descriptors.statter import BlobStatter
from matou.registry.drivers.base import NotFound, StorageError
from matou.registry.drivers.filesystem import FilesystemDriver
from matou.registry.drivers.object_driver import ObjectDriver
from matou.registry.errors import RegistryError
from matou.registry.http.blobs import Blobs
from matou.registry.http.context import Context
from matou.registry.http.message import LARGEST_COLLECTED, FileResponse, Request, Response, StreamResponse
from tests.drivers.memory_store import MemoryStore
from tests.drivers.relaying import relay
from tests.unit.config.reading import parse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from matou.registry.drivers.base import Driver
    from matou.registry.http.message import AnyResponse

NAME = "a/b"
CONTENT = secrets.token_bytes(10)
DIGEST = Digest.of(CONTENT)
EMPTY = Digest.of(b"")
PATH = layout.blob_data(DIGEST)
HEADERS = {"docker-content-digest": DIGEST, "etag": f'"{DIGEST}"', "cache-control": "max-age=31536000"}
SIGNED = "memory:{path}?method={method}&seconds={seconds}"


class Pull:
    """The handler over a storage that has one blob, and what the index says of it."""

    def __init__(self, driver: Driver, redirect: str = "{}") -> None:
        self.driver = driver
        self.cache = MemoryCache(0, UnobservedCache())
        self.downloads: list[tuple[int, bool]] = []
        self.sizes = {DIGEST: len(CONTENT), EMPTY: 0}
        reader: Any = SimpleNamespace(blob_size=lambda _, digest: self.sizes.get(digest))
        nothing: Any = None
        self._handler = Blobs(
            Context(
                configuration=parse(f"version: 0.1\nstorage:\n  inmemory:\n  redirect: {redirect}\n"),
                driver=driver,
                statter=BlobStatter(driver, self.cache),
                downloads=self,
                reader=reader,
                writer=nothing,
                projector=nothing,
                uploads=nothing,
                states=nothing,
                urls=nothing,
                authenticator=nothing,
                gate=nothing,
            )
        )

    def __call__(self, method: str = "GET", digest: str = DIGEST, **headers: str) -> AnyResponse:
        async def answered() -> AnyResponse:
            await self.driver.put(PATH, CONTENT)
            await self.driver.put(layout.blob_data(EMPTY), b"")
            return await self.ask(method, digest, **headers)

        return asyncio.run(answered())

    def downloaded(self, size: int, *, redirected: bool) -> None:
        self.downloads.append((size, redirected))

    async def ask(self, method: str = "GET", digest: str = DIGEST, **headers: str) -> AnyResponse:
        source: Any = {name.replace("_", "-"): value for name, value in headers.items()}
        body: Any = None
        request = Request(method, "/", "", source, "http", body, "id-1")
        return await self._handler.get(request, NAME, digest, Identity(""))


class Unsigned(MemoryStore):
    """A store that cannot sign for the methods of a list."""

    methods: tuple[str, ...] = ("GET", "HEAD")

    async def url(self, key: str, method: str, seconds: float) -> str | None:  # type: ignore[override]  # sometimes
        return None if method in self.methods else await super().url(key, method, seconds)


@pytest.fixture
def driver() -> ObjectDriver:
    return ObjectDriver(MemoryStore())


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("headers", [{}, {"range": "bytes=2-3"}, {"range": "bytes=100-"}, {"if_none_match": '"x"'}])
def test_object_storage_serves_the_blob_itself(method: str, headers: dict[str, str], driver: ObjectDriver) -> None:
    answer = Pull(driver)(method, **headers)
    assert isinstance(answer, Response)
    assert (answer.status, answer.body) == (307, b"")
    assert dict(answer.headers) == {
        "docker-content-digest": DIGEST,
        "location": SIGNED.format(path=PATH, method=method, seconds=1200),
        "cache-control": "no-store",
    }


@pytest.mark.parametrize(
    ("redirect", "seconds"),
    [("{expirydelay: 90s}", 90), ("{expirydelay: 0}", 1200), ("{expirydelay: 2000h}", 168 * 3600)],
)
def test_how_long_the_url_is_good(redirect: str, seconds: int, driver: ObjectDriver) -> None:
    answer = Pull(driver, redirect)()
    assert dict(answer.headers)["location"] == SIGNED.format(path=PATH, method="GET", seconds=seconds)


def test_what_the_client_has_already_needs_no_storage(driver: ObjectDriver) -> None:
    answer = Pull(driver)(if_none_match=f'"{DIGEST}"')
    assert (answer.status, dict(answer.headers)) == (304, HEADERS)


def test_an_empty_blob_is_answered_at_once(driver: ObjectDriver) -> None:
    answer = Pull(driver)(digest=EMPTY)
    assert isinstance(answer, Response)
    assert (answer.status, dict(answer.headers)["content-length"]) == (200, "0")


@pytest.mark.parametrize("redirect", ["{disable: true}", "{disable: true, expirydelay: 1m}"])
def test_redirects_can_be_switched_off(redirect: str, driver: ObjectDriver) -> None:
    pull = Pull(driver, redirect)
    head = pull("HEAD")
    assert isinstance(head, Response)
    assert (head.status, dict(head.headers)["content-length"]) == (200, "10")
    part = pull(range="bytes=2-3")
    assert isinstance(part, Response)
    assert (part.status, dict(part.headers)["content-range"], part.body) == (206, "bytes 2-3/10", CONTENT[2:4])


@pytest.mark.parametrize("methods", [("GET", "HEAD"), ("HEAD",)])
def test_where_the_storage_signs_nothing_we_answer(methods: tuple[str, ...]) -> None:
    store = Unsigned()
    store.methods = methods
    pull = Pull(ObjectDriver(store))
    assert pull("HEAD").status == 200
    assert pull("GET").status == (200 if "GET" in methods else 307)


def test_a_local_file_is_never_a_redirect(tmp_path: Path) -> None:
    assert isinstance(Pull(FilesystemDriver(tmp_path))(), FileResponse)


def test_nobody_is_sent_to_what_storage_lacks(driver: ObjectDriver, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(RegistryError, match="BLOB_UNKNOWN"):
        asyncio.run(Pull(driver).ask())
    assert f"request id-1: storage lacks blob {DIGEST}" in caplog.text


def test_a_large_blob_is_streamed(driver: ObjectDriver) -> None:
    content = secrets.token_bytes(LARGEST_COLLECTED + 10)
    digest = Digest.of(content)
    pull = Pull(driver, "{disable: true}")
    pull.sizes[digest] = len(content)

    async def pulled(**headers: str) -> tuple[AnyResponse, bytes]:
        await driver.put(layout.blob_data(digest), content)
        answer = await pull.ask(digest=digest, **headers)
        assert isinstance(answer, StreamResponse)
        assert isinstance(answer.first, bytes)
        return answer, answer.first + (await relay(answer.rest)).content

    answer, body = asyncio.run(pulled())
    assert isinstance(answer, StreamResponse)
    assert (answer.status, answer.length, body) == (200, len(content), content)
    assert dict(answer.headers)["content-length"] == str(len(content))
    answer, body = asyncio.run(pulled(range="bytes=9-"))
    assert isinstance(answer, StreamResponse)
    assert (answer.status, answer.length, body) == (206, len(content) - 9, content[9:])


class Faulty(MemoryStore):
    """A store whose objects cannot be read.

    Args:
        error: raised.
        after: so many bytes.
    """

    def __init__(self, error: Exception, after: int) -> None:
        super().__init__()
        self._error = error
        self._after = after

    async def read(self, key: str, start: int, length: int) -> AsyncIterator[bytes]:  # noqa: ARG002 -- the protocol's
        if self._after:
            yield bytes(min(self._after, length))
        if self._after < length:
            raise self._error


@pytest.mark.parametrize("size", [len(CONTENT), LARGEST_COLLECTED + 1])
@pytest.mark.parametrize(
    ("error", "raised"),
    [(StorageError("the storage failed"), "the storage failed"), (NotFound("gone a moment ago"), "BLOB_UNKNOWN")],
)
def test_storage_that_fails_at_once(size: int, error: Exception, raised: str, caplog: pytest.LogCaptureFixture) -> None:
    driver = ObjectDriver(Faulty(error, 0))
    pull = Pull(driver, "{disable: true}")

    async def pulled() -> None:
        await driver.put(PATH, bytes(size))
        pull.sizes[DIGEST] = size
        await pull.ask()

    with pytest.raises((StorageError, RegistryError), match=raised):
        asyncio.run(pulled())
    assert ("storage lacks blob" in caplog.text) is isinstance(error, NotFound)


def test_storage_that_fails_within_a_small_blob_fails_before_the_answer() -> None:
    driver = ObjectDriver(Faulty(StorageError("the storage failed"), 3))
    with pytest.raises(StorageError, match="the storage failed"):
        Pull(driver, "{disable: true}")()


def test_pulls_are_counted(driver: ObjectDriver) -> None:
    redirected, streamed = Pull(driver), Pull(driver, "{disable: true}")
    for pull in (redirected, streamed):
        pull()
        pull(range="bytes=2-3")
        pull("HEAD")
        pull(if_none_match=f'"{DIGEST}"')
    assert redirected.downloads == [(10, True)] * 2
    assert streamed.downloads == [(10, False)] * 2


def heads(store: MemoryStore) -> int:
    return sum(request.startswith("head ") for request in store.requests)


@pytest.mark.parametrize("redirect", ["{}", "{disable: true}"])
def test_storage_is_asked_once_for_many_pulls(redirect: str) -> None:
    store = MemoryStore()
    pull = Pull(ObjectDriver(store), redirect)
    for _ in range(5):
        assert pull().status < 400
    assert heads(store) == 1


def test_storage_is_asked_each_time_before_a_push(driver: ObjectDriver, caplog: pytest.LogCaptureFixture) -> None:
    pull = Pull(driver)

    async def main() -> None:
        await driver.put(PATH, CONTENT)
        assert (await pull.ask()).status == 307
        await driver.delete(PATH)
        with pytest.raises(RegistryError, match="BLOB_UNKNOWN"):
            await pull.ask("HEAD")
        # From now on it is known, and no pull is sent there.
        with pytest.raises(RegistryError, match="BLOB_UNKNOWN"):
            await pull.ask("GET")

    asyncio.run(main())
    assert caplog.text.count("storage lacks blob") == 2


def test_a_blob_that_turns_out_to_be_lost_is_not_remembered_any_more(driver: ObjectDriver) -> None:
    pull = Pull(driver, "{disable: true}")

    async def main() -> None:
        await driver.put(PATH, CONTENT)
        await pull.ask()
        await driver.delete(PATH)
        assert await pull.cache.size_of(DIGEST) == len(CONTENT)
        with pytest.raises(RegistryError, match="BLOB_UNKNOWN"):
            await pull.ask()
        assert await pull.cache.size_of(DIGEST) is None

    asyncio.run(main())
