"""The gcs driver against gcp-storage-emulator behind our own front."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from matou.config.sections.drivers import GcsParameters
from matou.registry.drivers.base import NotFound, StorageError, Transient
from matou.registry.drivers.gcs.credentials import credential_source
from matou.registry.drivers.gcs.opening import Services, build_store
from matou.registry.drivers.object_driver import ObjectDriver
from matou.registry.drivers.requests import RequestLimit, Requests
from tests.drivers.conformance import DriverConformance, read, run
from tests.servers.gcs import BUCKET, OTHER_BUCKET, GcsServer, running_gcs
from tests.servers.gcs_front import Fault, query_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matou.registry.drivers.base import Driver
    from tests.drivers.conformance import Opening

UNIT = 256 * 1024


class Observed:
    """Counts retries."""

    def __init__(self) -> None:
        self.retries: list[bool] = []

    def retried(self, *, throttled: bool) -> None:
        self.retries.append(throttled)

    def waited(self, seconds: float) -> None:
        raise AssertionError(f"waited {seconds} s for a limit that there is not")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcsServer]:
    with running_gcs(tmp_path_factory.mktemp("gcs")) as server:
        yield server


@pytest.fixture
def server(running: GcsServer) -> GcsServer:
    running.front.reset()
    return running


def opened(server: GcsServer, observed: Observed | None = None, **given: Any) -> ObjectDriver:
    """Open a driver whose retries come quickly."""
    parameters = GcsParameters(**{"bucket": BUCKET, "keyfile": str(server.key_file), **given})
    requests = Requests(3, RequestLimit(0), observed or Observed(), first_pause=0.01, longest_pause=0.05)
    where = Services(server.url, server.url)
    return ObjectDriver(build_store(parameters, credential_source(parameters), where, requests))


@pytest.fixture
def opening(server: GcsServer) -> Opening:
    root = f"/{secrets.token_hex(8)}"
    return lambda: opened(server, rootdirectory=root, chunksize=UNIT)


class TestGcs(DriverConformance):
    """The suite, with the smallest segments that may be configured, and pages of a few objects."""

    @pytest.fixture(autouse=True)
    def small_pages(self, server: GcsServer) -> None:
        server.front.page = 2


def test_many_segments_are_composed_through_components(server: GcsServer) -> None:
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

    run(lambda: opened(server, rootdirectory=root), scenario)
    assert server.names(prefix=root) == [f"{root}/blobs/data"]
    composed = [line for line in server.front.requests if "/compose?" in line]
    # 32 + 32 + 6 segments are three components, which are one object.
    assert len(composed) == 4
    assert [query_of(line).get("ifGenerationMatch") for line in composed] == [["0"]] * 3 + [None]


def test_a_component_whose_answer_was_lost_is_used(server: GcsServer) -> None:
    root = secrets.token_hex(8)
    observed = Observed()
    server.front.faults.append(Fault(r"POST .*staging.*/compose\?", status=0, is_late=True))

    async def scenario(driver: Driver) -> None:
        await driver.upload_begin("u/1")
        for offset in range(33):
            writer = await driver.upload_open("u/1", offset)
            await writer.write([bytes([offset])])
            await writer.close()
        await driver.upload_commit("u/1", 33, "data")
        assert await driver.get("data") == bytes(range(33))

    run(lambda: opened(server, observed, rootdirectory=root), scenario)
    assert observed.retries == [False]
    assert server.names(prefix=root) == [f"{root}/data"]


def test_one_segment_is_rewritten_in_as_many_requests_as_it_takes(server: GcsServer, opening: Opening) -> None:
    server.front.has_slow_rewrites = True

    async def scenario(driver: Driver) -> None:
        await driver.upload_begin("u/1")
        writer = await driver.upload_open("u/1", 0)
        await writer.write([b"content"])
        await writer.close()
        await driver.upload_commit("u/1", 7, "data")
        assert await driver.get("data") == b"content"

    run(opening, scenario)
    rewrites = [query_of(line) for line in server.front.requests if "/rewriteTo/" in line]
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
    server: GcsServer, fault: Fault, throttled: bool, operation: Callable[[Driver], Any]
) -> None:
    observed = Observed()
    now = dataclasses.replace(fault)

    async def scenario(driver: Driver) -> None:
        await driver.put("there", b"123")
        server.front.faults.append(now)
        await operation(driver)

    root = secrets.token_hex(8)
    run(lambda: opened(server, observed, rootdirectory=root), scenario)
    assert now.times == 0
    assert set(observed.retries) == {throttled}


def test_what_keeps_failing_is_transient(server: GcsServer, opening: Opening) -> None:
    server.front.faults.append(Fault("GET", status=503, times=100))

    async def scenario(driver: Driver) -> None:
        with pytest.raises(Transient, match="reading a: Google Cloud Storage answered 503"):
            await driver.get("a")

    run(opening, scenario)
    assert len(server.front.requests) == 4


def test_a_read_goes_on_where_its_connection_broke_in_the_same_generation(server: GcsServer) -> None:
    content = secrets.token_bytes(300_000)
    root = secrets.token_hex(8)
    observed = Observed()

    async def scenario(driver: Driver) -> None:
        await driver.put("a", content)
        server.front.faults += [Fault("alt=media", cut=100_000), Fault("alt=media", cut=50_000)]
        assert await read(driver, "a", 1, len(content) - 1) == content[1:]

    run(lambda: opened(server, observed, rootdirectory=root), scenario)
    reads = [query_of(line).get("generation") for line in server.front.requests if "alt=media" in line]
    assert len(reads) == 3
    assert reads[0] is None
    assert reads[1] == reads[2] != [""]
    assert observed.retries == [False, False]


def test_what_is_replaced_while_it_is_read_is_an_error_not_a_mixture(server: GcsServer, opening: Opening) -> None:
    async def scenario(driver: Driver) -> None:
        await driver.put("a", b"1" * 500_000)
        server.front.faults.append(Fault("alt=media", cut=100_000))
        pieces = driver.read("a", 0, 500_000)
        got = await anext(pieces)
        await driver.put("a", b"2" * 500_000)
        with pytest.raises(StorageError):  # noqa: PT012 -- the rest of the stream
            async for piece in pieces:
                got += piece
        assert set(got) == {ord("1")}

    run(opening, scenario)


def test_urls_are_good_for_whom_they_are_meant(server: GcsServer) -> None:
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
            server.accounts.clock = 59
            assert (await client.get(get)).status_code == 200
            server.accounts.clock = 61
            expired = await client.get(get)
            assert (expired.status_code, "ExpiredToken" in expired.text) == (400, True)

    run(lambda: opened(server, rootdirectory=root), scenario)


def test_one_token_serves_many_requests(server: GcsServer, opening: Opening) -> None:
    server.accounts.grants.clear()

    async def scenario(driver: Driver) -> None:
        await asyncio.gather(*(driver.put(f"a/{number}", b"") for number in range(20)))
        await driver.list("a")

    run(opening, scenario)
    assert len(server.accounts.grants) == 1


def test_a_token_that_is_not_accepted_any_more_is_replaced(server: GcsServer, opening: Opening) -> None:
    async def scenario(driver: Driver) -> None:
        await driver.put("a", b"1")
        server.accounts.grants.clear()
        await asyncio.gather(*(driver.put(f"b/{number}", b"") for number in range(10)))
        assert await driver.get("a") == b"1"

    run(opening, scenario)


def test_tokens_are_replaced_before_they_expire(server: GcsServer, opening: Opening) -> None:
    server.accounts.life = 1
    server.accounts.grants.clear()

    async def scenario(driver: Driver) -> None:
        await driver.put("a", b"1")
        for _ in range(12):
            await asyncio.sleep(0.2)
            assert await driver.get("a") == b"1"

    run(opening, scenario)
    assert len(server.accounts.grants) >= 3
    # Nobody was refused: each request would have been sent twice then.
    assert len([line for line in server.front.requests if "alt=media" in line]) == 12


@pytest.mark.parametrize(
    ("permission", "operation"),
    [
        ("storage.objects.get", lambda driver: driver.get("there")),
        ("storage.objects.get", lambda driver: driver.stat("there")),
        ("storage.objects.get", lambda driver: read(driver, "there", 0, 1)),
        ("storage.objects.create", lambda driver: driver.put("new", b"")),
        ("storage.objects.delete", lambda driver: driver.put("there", b"")),
        ("storage.objects.delete", lambda driver: driver.delete("there")),
        ("storage.objects.list", lambda driver: driver.list("")),
    ],
)
def test_a_missing_permission_is_named(
    server: GcsServer, opening: Opening, permission: str, operation: Callable[[Driver], Any]
) -> None:
    async def scenario(driver: Driver) -> None:
        await driver.put("there", b"1")
        server.front.denied.add(permission)
        with pytest.raises(StorageError) as raised:
            await operation(driver)
        assert f"lacks {permission} on the bucket {BUCKET}: grant it the role" in str(raised.value)
        assert "\n" not in str(raised.value)

    run(opening, scenario)


@pytest.mark.parametrize(
    "operation",
    [
        lambda driver: driver.get("a"),
        lambda driver: driver.stat("a"),
        lambda driver: read(driver, "a", 0, 1),
        lambda driver: driver.put("a", b""),
        lambda driver: driver.list(""),
        lambda driver: driver.delete("a"),
    ],
    ids=["get", "stat", "read", "put", "list", "delete"],
)
def test_a_missing_bucket_is_named(server: GcsServer, operation: Callable[[Driver], Any]) -> None:
    async def scenario(driver: Driver) -> None:
        with pytest.raises(
            StorageError, match=r"the bucket nobodys does not exist: look at storage\.gcs\.bucket"
        ) as raised:
            await operation(driver)
        assert not isinstance(raised.value, NotFound)

    run(lambda: opened(server, bucket="nobodys"), scenario)


def _late_clock(server: GcsServer) -> None:
    server.accounts.clock = 7200


def _disabled(server: GcsServer) -> None:
    server.account.is_disabled = True


@pytest.mark.parametrize(
    ("change", "changes", "expected"),
    [
        (_late_clock, {}, "this machine's clock is wrong"),
        (_disabled, {}, "is disabled: enable it in IAM"),
        (None, {"private_key_id": "0" * 40}, "the key is not, or no longer, the account's"),
        (None, {"client_email": "gone@matou-tests.iam.gserviceaccount.com"}, "was deleted"),
    ],
    ids=["clock", "disabled", "key", "account"],
)
def test_an_account_that_gets_no_token_is_told_why(
    server: GcsServer, change: Callable[[GcsServer], None] | None, changes: dict[str, str], expected: str
) -> None:
    if change is not None:
        change(server)

    async def scenario(driver: Driver) -> None:
        with pytest.raises(StorageError) as raised:
            await driver.get("a")
        assert not isinstance(raised.value, Transient)
        assert "invalid_grant" in str(raised.value)
        assert expected in str(raised.value)
        assert "\n" not in str(raised.value)

    run(lambda: opened(server, keyfile="", credentials={**server.key, **changes}), scenario)


def test_objects_are_copied_between_buckets_inside_the_service(server: GcsServer, opening: Opening) -> None:
    server.front.has_slow_rewrites = True

    async def scenario(source: Driver) -> None:
        await source.put("a/b", b"content")
        target = opened(server, bucket=OTHER_BUCKET, rootdirectory=secrets.token_hex(8))
        try:
            assert await target.copy_from(source, "a/b", 7)
            assert await target.get("a/b") == b"content"
            with pytest.raises(NotFound):
                await target.copy_from(source, "absent", 7)
            # Who may not read there does it the long way.
            server.front.denied.add("storage.objects.get")
            assert not await target.copy_from(source, "a/b", 7)
        finally:
            await target.close()

    run(opening, scenario)


def test_what_does_not_arrive_as_it_was_sent_is_refused(
    server: GcsServer, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matou.registry.drivers.gcs.store._md5", lambda _chunks: bytes(16))

    async def scenario(driver: Driver) -> None:
        with pytest.raises(StorageError, match="400"):
            await driver.put("a", b"content")
        with pytest.raises(NotFound):
            await driver.get("a")

    run(opening, scenario)
    assert len(server.front.requests) == 2
