"""The gcs driver against gcp-storage-emulator behind our own front."""

from __future__ import annotations

import dataclasses
import logging
import secrets
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from matou.registry.drivers.base import NotFound, StorageError, Transient
from matou.registry.drivers.object_driver import ObjectDriver
from matou.registry.purging import UploadPurging
from tests.drivers.conformance import DriverConformance, read, run
from tests.drivers.gcs_driver import opened
from tests.drivers.observed import Observed
from tests.servers.gcs import BUCKET, OTHER_BUCKET, GcsServer
from tests.servers.gcs_front import Fault, query_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from matou.registry.drivers.base import Driver
    from tests.drivers.conformance import Opening

UNIT = 256 * 1024


@pytest.fixture
def opening(gcs: GcsServer) -> Opening:
    root = f"/{secrets.token_hex(8)}"
    return lambda: opened(gcs, rootdirectory=root, chunksize=UNIT)


class TestParallel(DriverConformance):
    """The suite, with listings that are divided."""

    @pytest.fixture
    def opening(self, gcs: GcsServer) -> Opening:
        root = f"/{secrets.token_hex(8)}"
        return lambda: opened(gcs, rootdirectory=root, parallelwalk=True)


class TestGcs(DriverConformance):
    """The suite, with the smallest segments that may be configured, and pages of a few objects."""

    @pytest.fixture(autouse=True)
    def small_pages(self, gcs: GcsServer) -> None:
        gcs.front.page = 2


def test_many_segments_are_composed_through_components(gcs: GcsServer) -> None:
    root = secrets.token_hex(8)
    content = secrets.token_bytes(70 * 1024)

    async def scenario(driver: Driver) -> None:
        assert isinstance(driver, ObjectDriver)
        await driver.upload_begin("u/1")
        for offset in range(0, len(content), 1024):
            writer = await driver.upload_open("u/1", offset)
            await writer.write([content[offset : offset + 1024]])
            await writer.close()
        await driver.upload_commit("u/1", len(content), "blobs/data")
        assert await driver.get("blobs/data") == content

    run(lambda: opened(gcs, rootdirectory=root), scenario)
    assert gcs.names(prefix=root) == [f"{root}/blobs/data"]
    composed = [line for line in gcs.front.requests if "/compose?" in line]
    # 32 + 32 + 6 segments are three components, which are one object.
    assert len(composed) == 4
    assert [query_of(line).get("ifGenerationMatch") for line in composed] == [["0"]] * 3 + [None]


def test_a_component_whose_answer_was_lost_is_used(gcs: GcsServer) -> None:
    root = secrets.token_hex(8)
    observed = Observed()
    gcs.front.faults.append(Fault(r"POST .*staging.*/compose\?", status=0, is_late=True))

    async def scenario(driver: Driver) -> None:
        await driver.upload_begin("u/1")
        for offset in range(33):
            writer = await driver.upload_open("u/1", offset)
            await writer.write([bytes([offset])])
            await writer.close()
        await driver.upload_commit("u/1", 33, "data")
        assert await driver.get("data") == bytes(range(33))

    run(lambda: opened(gcs, observed, rootdirectory=root), scenario)
    assert observed.retries == [False]
    assert gcs.names(prefix=root) == [f"{root}/data"]


def test_components_that_cannot_be_deleted_are_swept_later(gcs: GcsServer) -> None:
    root = secrets.token_hex(8)
    gcs.front.faults.append(Fault(r"DELETE .*staging", status=400))

    async def scenario(driver: Driver) -> None:
        writer = await driver.content_open("data")
        await writer.write([b"x" * UNIT] * 33)
        await writer.commit()
        assert (await driver.stat("data")).size == 33 * UNIT
        assert len(gcs.names(prefix=f"{root}/matou/staging")) == 1
        assert await driver.sweep(3600) == 0
        assert await driver.sweep(-1) == 1

    run(lambda: opened(gcs, rootdirectory=root, chunksize=UNIT), scenario)
    assert gcs.names(prefix=root) == [f"{root}/data"]


def test_one_segment_is_rewritten_in_as_many_requests_as_it_takes(gcs: GcsServer, opening: Opening) -> None:
    gcs.front.has_slow_rewrites = True

    async def scenario(driver: Driver) -> None:
        await driver.upload_begin("u/1")
        writer = await driver.upload_open("u/1", 0)
        await writer.write([b"content"])
        await writer.close()
        await driver.upload_commit("u/1", 7, "data")
        assert await driver.get("data") == b"content"

    run(opening, scenario)
    rewrites = [query_of(line) for line in gcs.front.requests if "/rewriteTo/" in line]
    assert ["rewriteToken" in query for query in rewrites] == [False, True]


def test_an_upload_goes_on_in_another_process(opening: Opening) -> None:
    content = secrets.token_bytes(3 * UNIT + 5)

    async def first(driver: Driver) -> None:
        await driver.upload_begin("u/1")
        writer = await driver.upload_open("u/1", 0)
        await writer.write([content[: UNIT + 3]])
        await writer.close()

    async def second(driver: Driver) -> None:
        assert await driver.upload_size("u/1") == UNIT + 3
        writer = await driver.upload_open("u/1", UNIT + 3)
        await writer.write([content[UNIT + 3 :]])
        await writer.close()

    async def third(driver: Driver) -> None:
        await driver.upload_commit("u/1", len(content), "data")
        assert await read(driver, "data", 0, len(content)) == content
        with pytest.raises(NotFound):
            await driver.upload_size("u/1")

    for scenario in (first, second, third):
        run(opening, scenario)


@pytest.mark.parametrize(
    ("fault", "throttled"),
    [
        (Fault("GET|POST|DELETE", status=503, times=2), False),
        (Fault("GET|POST|DELETE", status=429, times=2, headers={"Retry-After": "0"}), True),
        (Fault("GET|POST|DELETE", status=408, times=2), False),
        (Fault("GET|POST|DELETE", status=0, times=2), False),
        (Fault("GET|POST|DELETE", status=0, times=2, is_late=True), False),
    ],
    ids=["unavailable", "throttled", "timeout", "reset", "answer-lost"],
)
@pytest.mark.parametrize(
    "operation",
    [
        lambda driver: driver.put("a", b"new"),
        lambda driver: driver.get("there"),
        lambda driver: read(driver, "there", 1, 2),
        lambda driver: driver.stat("there"),
        lambda driver: driver.list(""),
        lambda driver: driver.delete("there"),
    ],
    ids=["put", "get", "read", "stat", "list", "delete"],
)
def test_what_fails_in_passing_is_repeated(
    gcs: GcsServer, fault: Fault, throttled: bool, operation: Callable[[Driver], Any]
) -> None:
    observed = Observed()
    now = dataclasses.replace(fault)

    async def scenario(driver: Driver) -> None:
        await driver.put("there", b"123")
        gcs.front.faults.append(now)
        await operation(driver)

    root = secrets.token_hex(8)
    run(lambda: opened(gcs, observed, rootdirectory=root), scenario)
    assert now.times == 0
    assert set(observed.retries) == {throttled}


def test_what_keeps_failing_is_transient(gcs: GcsServer, opening: Opening) -> None:
    gcs.front.faults.append(Fault("GET", status=503, times=100))

    async def scenario(driver: Driver) -> None:
        with pytest.raises(Transient, match="reading a: Google Cloud Storage answered 503"):
            await driver.get("a")

    run(opening, scenario)
    assert len(gcs.front.requests) == 4


def test_a_read_goes_on_where_its_connection_broke_in_the_same_generation(gcs: GcsServer) -> None:
    content = secrets.token_bytes(300_000)
    root = secrets.token_hex(8)
    observed = Observed()

    async def scenario(driver: Driver) -> None:
        await driver.put("a", content)
        gcs.front.faults += [Fault("alt=media", cut=100_000), Fault("alt=media", cut=50_000)]
        assert await read(driver, "a", 1, len(content) - 1) == content[1:]

    run(lambda: opened(gcs, observed, rootdirectory=root), scenario)
    reads = [query_of(line).get("generation") for line in gcs.front.requests if "alt=media" in line]
    assert len(reads) == 3
    assert reads[0] is None
    assert reads[1] == reads[2] != [""]
    assert observed.retries == [False, False]


def test_what_is_replaced_while_it_is_read_is_an_error_not_a_mixture(gcs: GcsServer, opening: Opening) -> None:
    async def scenario(driver: Driver) -> None:
        await driver.put("a", b"1" * 500_000)
        gcs.front.faults.append(Fault("alt=media", cut=100_000))
        pieces = driver.read("a", 0, 500_000)
        got = await anext(pieces)
        await driver.put("a", b"2" * 500_000)
        with pytest.raises(StorageError):  # noqa: PT012 -- the rest of the stream
            async for piece in pieces:
                got += piece
        assert set(got) == {ord("1")}

    run(opening, scenario)


def test_what_is_not_the_part_that_was_asked_for_is_an_error(gcs: GcsServer, opening: Opening) -> None:
    async def scenario(driver: Driver) -> None:
        await driver.put("a", b"0123456789")
        gcs.front.ignores_ranges = True
        for start in (0, 3):
            with pytest.raises(StorageError, match="something else than the part asked for"):
                await read(driver, "a", start, 2)

    run(opening, scenario)


def test_urls_are_good_for_whom_they_are_meant(gcs: GcsServer) -> None:
    root = secrets.token_hex(8)

    async def scenario(driver: Driver) -> None:
        await driver.put("a/b-c_d.e~f", b"0123456789")
        get = await driver.url("a/b-c_d.e~f", "GET", 60)
        head = await driver.url("a/b-c_d.e~f", "HEAD", 60)
        absent = await driver.url("absent", "GET", 60)
        assert get is not None
        assert head is not None
        assert absent is not None
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(get)).content == b"0123456789"
            part = await client.get(get, headers={"Range": "bytes=2-4"})
            assert (part.status_code, part.content) == (206, b"234")
            assert (await client.get(get, headers={"Range": "bytes=10-"})).status_code == 416
            assert (await client.head(head)).headers["Content-Length"] == "10"
            assert (await client.get(absent)).status_code == 404
            wrong = {
                "another method": client.head(get),
                "another object": client.get(get.replace("b-c_d", "b-c_x")),
                "a longer life": client.get(get.replace("X-Goog-Expires=60", "X-Goog-Expires=61")),
                "another signature": client.get(get[:-1] + ("0" if get[-1] != "0" else "1")),
                "a parameter more": client.get(get + "&x=y"),
            }
            for what, asked in wrong.items():
                assert (await asked).status_code == 403, what
            gcs.accounts.clock = 30
            assert (await client.get(get)).status_code == 200
            gcs.accounts.clock = 61
            expired = await client.get(get)
            assert (expired.status_code, "ExpiredToken" in expired.text) == (400, True)

    run(lambda: opened(gcs, rootdirectory=root), scenario)


def test_objects_are_copied_between_buckets_inside_the_service(gcs: GcsServer, opening: Opening) -> None:
    gcs.front.has_slow_rewrites = True

    async def scenario(source: Driver) -> None:
        await source.put("a/b", b"content")
        target = opened(gcs, bucket=OTHER_BUCKET, rootdirectory=secrets.token_hex(8))
        try:
            assert await target.copy_from(source, "a/b", 7)
            assert await target.get("a/b") == b"content"
            with pytest.raises(NotFound):
                await target.copy_from(source, "absent", 7)
            # Who may not read there does it the long way.
            gcs.front.denied.add("storage.objects.get")
            assert not await target.copy_from(source, "a/b", 7)
        finally:
            await target.close()

    run(opening, scenario)


def test_an_upload_that_distribution_left_is_purged(gcs: GcsServer) -> None:
    root = secrets.token_hex(8)
    uploads = f"{root}/docker/registry/v2/repositories/team/app/_uploads"
    session = {"contentType": "application/x-docker-upload-session", "metadata": {"Session-URI": "x", "Offset": "1"}}
    gcs.store(f"{uploads}/1/startedat", b"2026-01-01T00:00:00Z")
    gcs.store(f"{uploads}/1/data", b"placeholder", **session)

    async def scenario(driver: Driver) -> None:
        assert await UploadPurging(driver, age=3600, interval=1, dryrun=False).run() == 0
        assert len(gcs.names(prefix=root)) == 2
        assert await UploadPurging(driver, age=0, interval=1, dryrun=False).run() == 1

    run(lambda: opened(gcs, rootdirectory=root), scenario)
    assert gcs.names(prefix=root) == []


def test_connections_are_used_again(gcs: GcsServer, opening: Opening) -> None:
    async def scenario(driver: Driver) -> None:
        for number in range(5):
            await driver.put("a", bytes([number]))
            assert await driver.get("a") == bytes([number])
            await driver.delete("a")
            with pytest.raises(NotFound):
                await driver.get("a")
            await driver.list("")
        assert isinstance(driver, ObjectDriver)

    gcs.front.clients.clear()
    run(opening, scenario)
    assert len(gcs.front.clients) == 1


def test_slow_downloads_keep_nobody_else_waiting(gcs: GcsServer) -> None:
    root = secrets.token_hex(8)
    size = 8 << 20

    async def scenario(driver: Driver) -> None:
        await driver.put("big", bytes(size))
        downloads = [driver.read("big", 0, size) for _ in range(3)]
        pieces = [len(await anext(download)) for download in downloads]
        await driver.put("small", b"1")
        for got, download in zip(pieces, downloads, strict=True):
            assert got + sum([len(piece) async for piece in download]) == size

    run(lambda: opened(gcs, rootdirectory=root, maxconcurrency=1), scenario)


def test_requests_are_logged_when_that_is_asked_for(gcs: GcsServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def scenario(driver: Driver) -> None:
        await driver.put("a", b"1")
        await driver.read("a", 0, 1).__anext__()
        assert await driver.url("a", "GET", 60)

    run(lambda: opened(gcs, debug_log=True, useragent="me/1"), scenario)
    lines = [record.getMessage() for record in caplog.records if record.getMessage().startswith("gcs: ")]
    assert [line.split(" after ")[0] for line in lines] == [
        f"gcs: POST /upload/storage/v1/b/{BUCKET}/o: 200",
        f"gcs: GET /storage/v1/b/{BUCKET}/o/a: 206",
    ]
    assert "ya29." not in caplog.text
    assert gcs.front.user_agents == {"me/1"}


def test_what_does_not_arrive_as_it_was_sent_is_refused(
    gcs: GcsServer, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matou.registry.drivers.gcs.store._md5", lambda _chunks: bytes(16))

    async def scenario(driver: Driver) -> None:
        with pytest.raises(StorageError, match="400"):
            await driver.put("a", b"content")
        with pytest.raises(NotFound):
            await driver.get("a")

    run(opening, scenario)
    assert len(gcs.front.requests) == 2
