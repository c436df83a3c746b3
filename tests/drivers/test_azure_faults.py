"""The azure driver when the service is slow, busy, or fails in the middle."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from matou.registry.drivers.base import NotFound, StorageError, Transient
from matou.registry.drivers.factory import Surroundings
from matou.registry.drivers.object_store import SegmentRules
from tests.drivers.azure_driver import append, names, opened, parameters
from tests.drivers.azure_front import AzureFront, azure_front, refusal
from tests.drivers.conformance import read
from tests.drivers.observed import Observed
from tests.servers.azurite import Azurite, running_azurite

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from matou.registry.drivers.object_driver import ObjectDriver

UPLOAD = "r/_uploads/1"
CONTENT = bytes(range(256)) * 10_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with running_azurite(tmp_path_factory.mktemp("azurite")) as running:
        yield running


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)


async def pushed(driver: ObjectDriver, path: str = "blob/data") -> None:
    """Upload ``CONTENT`` and make it a blob."""
    await driver.upload_begin(UPLOAD)
    await append(driver, UPLOAD, 0, CONTENT)
    await driver.upload_commit(UPLOAD, len(CONTENT), path)


@pytest.mark.parametrize(
    ("status", "code", "throttled"),
    [(503, "ServerBusy", True), (500, "OperationTimedOut", False), (500, "InternalError", False), (429, "", True)],
)
def test_what_fails_in_passing_is_repeated(server: Azurite, status: int, code: str, throttled: bool) -> None:
    async def scenario() -> None:
        observed = Observed()
        async with azure_front(server) as front:
            given = parameters(server, serviceurl=front.url, max_retries=1)
            async with opened(given, Surroundings(observer=observed)) as driver:
                failed: set[str] = set()

                def before(request: web.Request) -> web.Response | None:
                    # Throttling has pauses that are worth waiting for.
                    if request.raw_path in failed or len(failed) == (2 if throttled else 100):
                        return None
                    failed.add(request.raw_path)
                    return refusal(status, code, **{"Retry-After": "0"})

                front.before = before
                await pushed(driver)
                assert await read(driver, "blob/data", 0, len(CONTENT)) == CONTENT
                assert await driver.list("blob") == ["data"]
                await driver.delete("blob")
                assert len(observed.retries) == len(failed) >= (2 if throttled else 7)
                assert set(observed.retries) == {throttled}
                front.before = lambda _request: refusal(status, code)
                with pytest.raises(Transient, match="reading blob/data failed"):
                    await driver.get("blob/data")

    run(scenario())


def test_a_stream_goes_on_where_its_connection_broke(server: Azurite) -> None:
    async def scenario() -> None:
        async with azure_front(server) as front, opened(parameters(server, serviceurl=front.url)) as driver:
            await driver.put("blob", CONTENT)
            front.cuts = [100_000, 0, 1_000_000]
            assert await read(driver, "blob", 10, len(CONTENT) - 20) == CONTENT[10:-10]
            assert front.cuts == []

    run(scenario())


def test_a_stream_never_mixes_two_versions(server: Azurite) -> None:
    async def scenario() -> None:
        async with azure_front(server) as front, opened(parameters(server, serviceurl=front.url)) as driver:
            await driver.put("blob", CONTENT)
            front.cuts = [100_000]
            pieces = driver.read("blob", 0, len(CONTENT))
            assert CONTENT.startswith(await anext(pieces))
            await driver.put("blob", CONTENT[::-1])
            with pytest.raises(StorageError, match="replaced while it was read"):
                [piece async for piece in pieces]

    run(scenario())


def is_copy(request: web.Request) -> bool:
    return request.method == "PUT" and "x-ms-copy-source" in request.headers


class PendingCopies:
    """Makes a front say that copies are under way, for so many looks, and then how they ended."""

    def __init__(self, front: AzureFront, progress: list[str], status: str = "success") -> None:
        self.progress = progress
        self.status = status
        self.copy = ""
        self.aborted = False
        front.before = self._before
        front.after = self._after

    def _before(self, request: web.Request) -> web.Response | None:
        if request.query.get("comp") != "copy":
            return None
        assert request.query["copyid"] == self.copy
        self.aborted = True
        self.progress, self.status = [], "aborted"
        return web.Response(status=204)

    def _after(self, request: web.Request, headers: dict[str, str]) -> None:
        known = {name.lower(): name for name in headers}
        status = known.get("x-ms-copy-status")
        if status is None:
            return
        if is_copy(request):
            self.copy = headers[known["x-ms-copy-id"]]
            headers[status] = "pending"
        elif request.method == "HEAD":
            headers[status] = "pending" if self.progress else self.status
            if self.progress:
                headers["x-ms-copy-progress"] = self.progress[0]
                if len(self.progress) > 1 or not self.progress[0].startswith("stuck"):
                    self.progress.pop(0)


def test_a_copy_is_waited_for_as_long_as_it_makes_progress(server: Azurite) -> None:
    async def scenario() -> None:
        async with azure_front(server) as front:
            given = parameters(server, serviceurl=front.url, api_pool_max_elapsed_time=0.2)
            async with opened(given) as driver:
                copies = PendingCopies(front, [f"{step}/100" for step in range(12)])
                await pushed(driver)
                assert copies.progress == []
                assert await driver.get("blob/data") == CONTENT
        assert await names(server, given.container, uncommitted=True) == ["blob/data"]

    run(scenario())


def test_a_copy_without_progress_is_aborted(server: Azurite) -> None:
    async def scenario() -> None:
        async with azure_front(server) as front:
            given = parameters(server, serviceurl=front.url, api_pool_max_elapsed_time=0.1)
            async with opened(given) as driver:
                copies = PendingCopies(front, ["stuck 1/100"])
                with pytest.raises(StorageError, match=r"ended as aborted.*api_pool_max_elapsed_time"):
                    await pushed(driver)
                assert copies.aborted
                # Nothing is lost: the client can finish the upload again.
                assert "DELETE blob/data" in front.seen
                copies.status = "success"
                await driver.upload_commit(UPLOAD, len(CONTENT), "blob/data")
                assert await driver.get("blob/data") == CONTENT

    run(scenario())


def test_a_copy_that_fails_is_an_error_and_leaves_nothing(server: Azurite) -> None:
    async def scenario() -> None:
        async with azure_front(server) as front:
            given = parameters(server, serviceurl=front.url)
            async with opened(given) as driver:
                PendingCopies(front, ["0/100"], status="failed")
                with pytest.raises(StorageError, match="ended as failed"):
                    await pushed(driver)
                assert await driver.list("blob") == []

    run(scenario())


def test_a_blob_that_is_there_is_not_put_at_risk(server: Azurite) -> None:
    """What a copy overwrites is lost when it fails."""

    async def scenario() -> None:
        async with azure_front(server) as front, opened(parameters(server, serviceurl=front.url)) as driver:
            await driver.put("blob/data", CONTENT)
            PendingCopies(front, ["0/100"], status="failed")
            front.seen.clear()
            await pushed(driver)
            assert await driver.get("blob/data") == CONTENT

    run(scenario())


def test_what_a_copy_has_not_filled_is_not_there(server: Azurite) -> None:
    async def scenario() -> None:
        async with azure_front(server) as front, opened(parameters(server, serviceurl=front.url)) as driver:
            await pushed(driver)
            PendingCopies(front, [], status="failed")
            with pytest.raises(NotFound):
                await driver.stat("blob/data")

    run(scenario())


def test_a_copy_of_another_process_is_waited_for(server: Azurite) -> None:
    async def scenario() -> None:
        async with azure_front(server) as front:
            given = parameters(server, serviceurl=front.url)
            async with opened(given) as driver, opened(parameters(server, serviceurl=front.url)) as source:
                await source.put("blob/data", CONTENT)
                assert await driver.copy_from(source, "blob/data", len(CONTENT))
                copies = PendingCopies(front, [])
                copies.progress = ["1/100", "2/100"]
                await pushed(driver)
                assert copies.progress == []
                assert await driver.get("blob/data") == CONTENT

    run(scenario())


def test_a_part_that_fails_is_an_error_and_the_upload_goes_on_before_it(server: Azurite) -> None:
    async def scenario() -> None:
        async with azure_front(server) as front:
            given = parameters(server, serviceurl=front.url, max_retries=1)
            async with opened(given) as driver:
                driver.store.segments = SegmentRules(4)
                await driver.upload_begin(UPLOAD)

                def before(request: web.Request) -> web.Response | None:
                    block = base64.b64decode(request.query.get("blockid", ""))
                    return refusal(500, "InternalError") if block.startswith(b"%016d" % 4) else None

                front.before = before
                with pytest.raises(StorageError, match="InternalError"):
                    await append(driver, UPLOAD, 0, *(CONTENT[first : first + 4] for first in range(0, 16, 4)))
                front.before = lambda _request: None
                assert await driver.upload_size(UPLOAD) == 4
                await append(driver, UPLOAD, 4, CONTENT[4:20])
                await driver.upload_commit(UPLOAD, 20, "blob")
                assert await driver.get("blob") == CONTENT[:20]

    run(scenario())


def test_nothing_is_put_over_an_append_blob_but_in_its_place(server: Azurite) -> None:
    """The service refuses that; Azurite does not."""

    async def scenario() -> None:
        async with azure_front(server) as front:
            given = parameters(server, serviceurl=front.url)
            async with opened(given) as driver:
                deleted = False

                def before(request: web.Request) -> web.Response | None:
                    nonlocal deleted
                    deleted = deleted or request.method == "DELETE"
                    is_refused = (request.method, request.query.get("comp")) == ("PUT", None) and not deleted
                    return refusal(409, "InvalidBlobType") if is_refused else None

                await driver.put("link", b"old")
                front.before = before
                await driver.put("link", b"new")
                assert deleted
                assert await driver.get("link") == b"new"
                deleted = False
                async with opened(parameters(server, serviceurl=front.url)) as source:
                    await source.put("link", b"copied")
                    assert await driver.copy_from(source, "link", 6)
                assert deleted
                assert await driver.get("link") == b"copied"

    run(scenario())


def test_a_try_comes_to_an_end(server: Azurite) -> None:
    async def scenario() -> None:
        async with azure_front(server) as front:
            given = parameters(server, serviceurl=front.url, retry_try_timeout=0.05, max_retries=1)
            async with opened(given) as driver:
                release = asyncio.Event()

                async def stall(_request: web.Request) -> web.StreamResponse:
                    await release.wait()
                    return web.Response()

                front.answer = stall
                for work in (driver.get("a"), driver.put("a", b"")):
                    with pytest.raises(Transient, match="took too long"):
                        await work
                release.set()

    run(scenario())
