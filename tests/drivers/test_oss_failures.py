"""The oss driver when requests fail, and what it says when they are refused."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from matou.registry.drivers.base import NotFound, StorageError, Transient
from matou.registry.drivers.factory import Surroundings
from matou.registry.drivers.object_driver import ObjectDriver
from matou.registry.drivers.oss.store import OssStore
from tests.drivers.observed import Observed
from tests.drivers.oss_storage import parameters, read, run, upload
from tests.servers.oss.faults import Fault
from tests.servers.oss.server import (
    BUCKET,
    READER_KEY,
    READER_SECRET,
    TEMPORARY_KEY,
    TEMPORARY_SECRET,
    TOKEN,
    OssServer,
    running_oss,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from matou.config.sections.oss import OssParameters
    from matou.registry.drivers.base import ContentWriter

MIB = 1 << 20
IMPATIENT = Surroundings(patience=0)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OssServer]:
    with running_oss(tmp_path_factory.mktemp("oss")) as server:
        yield server


@pytest.fixture
def server(running: OssServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[OssServer]:
    monkeypatch.setattr("matou.registry.drivers.requests.FIRST_THROTTLED_PAUSE", 0.01)
    running.front.faults.operations()
    yield running
    left = [fault for fault in running.front.faults.coming if fault.times]
    running.front.faults.coming.clear()
    running.front.aliases.clear()
    running.front.clock = 0.0
    assert left == []


@pytest.mark.parametrize(
    ("status", "code", "throttled"),
    [
        (503, "ServiceBusy", True),
        (503, "DownloadTrafficRateLimitExceeded", True),
        (429, "QpsLimitExceeded", True),
        (500, "InternalError", False),
        (400, "RequestTimeout", False),
        (400, "InvalidDigest", False),
    ],
)
def test_what_fails_in_passing_is_repeated(server: OssServer, status: int, code: str, throttled: bool) -> None:
    async def scenario() -> None:
        observed = Observed()
        driver = ObjectDriver(OssStore(parameters(server), Surroundings(observer=observed)))
        try:
            for operation in ("PutObject", "GetObject", "HeadObject", "ListObjectsV2", "DeleteMultipleObjects"):
                server.front.faults.coming.append(Fault(operation, status=status, code=code))
            await driver.put("docker/a", b"content")
            assert await driver.get("docker/a") == b"content"
            assert (await driver.stat("docker/a")).size == 7
            assert await driver.list("docker") == ["a"]
            await driver.delete("docker")
            assert observed.retries == [throttled] * 5
        finally:
            await driver.close()

    asyncio.run(scenario())


def test_a_connection_that_breaks_is_made_again(server: OssServer) -> None:
    async def scenario(driver: ObjectDriver, store: OssStore) -> None:
        for operation in ("PutObject", "GetObject", "DeleteObject"):
            server.front.faults.coming.append(Fault(operation, times=3))
        await driver.put("docker/a", b"content")
        assert await driver.get("docker/a") == b"content"
        await store.delete(["docker/a"])
        assert Counter(server.front.faults.operations()) == {"PutObject": 4, "GetObject": 4, "DeleteObject": 4}

    run(parameters(server), scenario)


def test_a_read_goes_on_where_its_connection_broke(server: OssServer) -> None:
    async def scenario(driver: ObjectDriver, store: OssStore) -> None:
        content = secrets.token_bytes(3 * MIB)
        await store.put("docker/a", [content])
        server.front.faults.operations()
        server.front.faults.coming += [Fault("GetObject", after=MIB), Fault("GetObject", after=0)]
        assert await read(driver, "docker/a", 100, 2 * MIB) == content[100 : 100 + 2 * MIB]
        ranges = [one.headers["range"] for one in server.front.faults.seen]
        assert ranges == [f"bytes=100-{100 + 2 * MIB - 1}", *[f"bytes={100 + MIB}-{100 + 2 * MIB - 1}"] * 2]

    run(parameters(server), scenario)


def test_a_read_that_is_given_up_frees_its_connection(server: OssServer) -> None:
    async def scenario(driver: ObjectDriver, store: OssStore) -> None:
        await store.put("docker/a", [bytes(8 * MIB)])
        for _ in range(3):
            async for _piece in driver.read("docker/a", 0, 8 * MIB):
                break
        assert await driver.get("docker/a") == bytes(8 * MIB)

    run(parameters(server), scenario)


def test_an_upload_survives_faults_of_all_its_requests(server: OssServer) -> None:
    async def scenario(driver: ObjectDriver, store: OssStore) -> None:
        content = [secrets.token_bytes(300_000) for _ in range(3)]
        for operation in ("PutObject", "InitiateMultipartUpload", "UploadPartCopy", "CompleteMultipartUpload"):
            server.front.faults.coming.append(Fault(operation, status=503, code="ServiceBusy"))
        size = await upload(driver, "docker/u/1", content)
        await driver.upload_commit("docker/u/1", size, "docker/blob/data")
        assert await driver.get("docker/blob/data") == b"".join(content)
        assert [one async for one in store.bucket.multiparts.list("")] == []

    run(parameters(server), scenario)


def test_a_completion_whose_answer_is_lost_is_success(server: OssServer) -> None:
    async def scenario(driver: ObjectDriver, store: OssStore) -> None:  # noqa: ARG001 -- as all
        content = [secrets.token_bytes(300_000) for _ in range(2)]
        size = await upload(driver, "docker/u/1", content)
        server.front.faults.coming.append(Fault("CompleteMultipartUpload", lost=True))
        await driver.upload_commit("docker/u/1", size, "docker/blob/data")
        assert await driver.get("docker/blob/data") == b"".join(content)

    run(parameters(server), scenario)


def test_content_that_cannot_be_put_together_leaves_nothing(server: OssServer) -> None:
    async def scenario(driver: ObjectDriver, store: OssStore) -> None:
        size = await upload(driver, "docker/u/1", [bytes(300_000), bytes(300_000)])
        server.front.faults.coming.append(Fault("UploadPartCopy", status=403, code="AccessDenied"))
        with pytest.raises(StorageError, match="oss:GetObject and oss:PutObject"):
            await driver.upload_commit("docker/u/1", size, "docker/blob/data")
        assert [one async for one in store.bucket.multiparts.list("")] == []
        with pytest.raises(NotFound):
            await driver.stat("docker/blob/data")
        await driver.upload_commit("docker/u/1", size, "docker/blob/data")
        assert await driver.get("docker/blob/data") == bytes(600_000)

    run(parameters(server), scenario)


async def write_all(writer: ContentWriter, chunks: Sequence[bytes]) -> None:
    for chunk in chunks:
        await writer.write([chunk])
    await writer.commit()


@pytest.mark.parametrize("operation", ["InitiateMultipartUpload", "UploadPart", "CompleteMultipartUpload"])
def test_content_that_cannot_be_written_leaves_nothing(server: OssServer, operation: str) -> None:
    async def scenario(driver: ObjectDriver, store: OssStore) -> None:
        server.front.faults.coming.append(Fault(operation, status=403, code="AccessDenied"))
        writer = await driver.content_open("docker/blob/data")
        with pytest.raises(StorageError, match="oss:PutObject"):
            await write_all(writer, [bytes(MIB)] * 12)
        await writer.discard()
        assert [one async for one in store.bucket.multiparts.list("")] == []
        with pytest.raises(NotFound):
            await driver.stat("docker/blob/data")

    run(parameters(server, chunksize=5 * MIB), scenario)


def test_listings_have_pages(server: OssServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matou.registry.drivers.oss.bucket.PAGE", 2)
    monkeypatch.setattr("matou.registry.drivers.oss.multipart.PAGE", 1)

    async def scenario(driver: ObjectDriver, store: OssStore) -> None:
        names = ["a", "b", "c-d", "c/d", "e"]
        for name in names:
            await driver.put(f"docker/{name}", b"")
            await store.bucket.multiparts.begin(store.key(f"docker/{name}"))
        server.front.faults.operations()
        assert sorted([path async for path, _ in driver.walk("docker")]) == sorted(f"docker/{name}" for name in names)
        assert sorted(await driver.list("docker")) == ["a", "b", "c", "c-d", "e"]
        assert await driver.sweep(0) == len(names)
        assert Counter(server.front.faults.operations())["ListObjectsV2"] >= 6

    run(parameters(server), scenario)


def refusal(given: OssParameters, path: str = "docker/a") -> str:
    """Return what is said of a put that is refused."""

    async def scenario() -> str:
        driver = ObjectDriver(OssStore(given, IMPATIENT))
        try:
            with pytest.raises(StorageError) as caught:
                await driver.put(path, b"content")
            return str(caught.value)
        finally:
            await driver.close()

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"accesskeyid": "LTAIother"},
            "InvalidAccessKeyId: the key id does not exist or is disabled: check storage.oss.",
        ),
        (
            {"accesskeysecret": "other"},
            "SignatureDoesNotMatch: the secret does not belong to the key id: check storage.",
        ),
        ({"region": "cn-beijing"}, "the bucket does not lie in the region cn-beijing: check storage.oss.region"),
        ({"bucket": "missing"}, "NoSuchBucket: the bucket does not exist: create it, or check storage.oss.bucket"),
        (
            {"accesskeyid": READER_KEY, "accesskeysecret": READER_SECRET},
            "AccessDenied: the key lacks the permission oss:PutObject: grant it in a RAM policy for acs:oss:*:*:regi",
        ),
        ({"endpoint": "http://127.0.0.1:1"}, "127.0.0.1:1 cannot be reached"),
        ({"endpoint": "https://127.0.0.1:1"}, "127.0.0.1:1 cannot be reached"),
    ],
)
def test_a_refusal_names_cause_and_remedy_on_one_line(server: OssServer, given: Mapping[str, Any], said: str) -> None:
    message = refusal(parameters(server, **given))
    assert said in message
    assert "\n" not in message
    for secret in ("secret-of", "Signature="):
        assert secret not in message


def test_a_wrong_clock_is_named(server: OssServer) -> None:
    server.front.clock = 3600.0
    assert "RequestTimeTooSkewed: the clock of this machine is more than 15 minutes wrong" in refusal(
        parameters(server)
    )


def test_a_refused_head_is_no_missing_object(server: OssServer) -> None:
    async def scenario(driver: ObjectDriver, store: OssStore) -> None:  # noqa: ARG001 -- as all
        with pytest.raises(StorageError, match="SignatureDoesNotMatch") as caught:
            await driver.stat("docker/a")
        assert not isinstance(caught.value, NotFound | Transient)

    run(parameters(server, accesskeysecret="other"), scenario)


@pytest.mark.parametrize("internal", [False, True])
def test_a_regions_endpoint_gets_the_bucket_before_it(
    server: OssServer, monkeypatch: pytest.MonkeyPatch, internal: bool
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    given = parameters(server, endpoint="", secure=False, internal=internal)

    async def scenario(driver: ObjectDriver, store: OssStore) -> None:  # noqa: ARG001 -- as all
        await driver.put("docker/a", b"content")
        assert await driver.list("docker") == ["a"]
        suffix = "-internal" if internal else ""
        host = f"{BUCKET}.oss-cn-hangzhou{suffix}.aliyuncs.com"
        assert {one.host for one in server.front.faults.seen} == {host}
        assert (await driver.url("docker/a", "GET", 60) or "").startswith(f"http://{host}/")

    run(given, scenario)


def test_a_bound_host_is_used_as_it_is(server: OssServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    server.front.aliases["blobs.example.com"] = BUCKET

    async def scenario(driver: ObjectDriver, store: OssStore) -> None:  # noqa: ARG001 -- as all
        await driver.put("docker/a", b"content")
        assert await driver.get("docker/a") == b"content"
        assert {one.host for one in server.front.faults.seen} == {"blobs.example.com"}

    run(parameters(server, endpoint="blobs.example.com", secure=False), scenario)


def test_another_regions_endpoint_is_told_the_right_one(server: OssServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    given = parameters(server, endpoint="http://oss-cn-beijing.aliyuncs.com")
    assert "the bucket lies at oss-cn-hangzhou.aliyuncs.com: set storage.oss.region to its region" in refusal(given)


def test_a_key_of_the_environment(server: OssServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OSS_SESSION_TOKEN", raising=False)
    given = parameters(server, accesskeyid="", accesskeysecret="")
    monkeypatch.setenv("OSS_ACCESS_KEY_ID", TEMPORARY_KEY)
    monkeypatch.setenv("OSS_ACCESS_KEY_SECRET", TEMPORARY_SECRET)
    assert "the temporary key has expired or is wrong: renew OSS_SESSION_TOKEN" in refusal(given)
    monkeypatch.setenv("OSS_SESSION_TOKEN", TOKEN)

    async def scenario(driver: ObjectDriver, store: OssStore) -> None:  # noqa: ARG001 -- as all
        await driver.put("docker/a", b"content")
        assert await driver.get("docker/a") == b"content"

    run(given, scenario)
