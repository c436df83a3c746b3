"""The oss driver against the stand-in for OSS."""

from __future__ import annotations

import secrets
from collections import Counter
from typing import TYPE_CHECKING

import aiohttp
import httpx
import pytest

from matou.registry.drivers.base import NotFound
from matou.registry.drivers.factory import ALONE
from matou.registry.drivers.object_driver import ObjectDriver
from matou.registry.drivers.oss.store import OssStore
from matou.registry.drivers.part_plan import PartRules
from tests.drivers.conformance import DriverConformance
from tests.drivers.oss_storage import parameters, read, run, upload
from tests.servers.oss.server import (
    BUCKET,
    READER_KEY,
    READER_SECRET,
    SECOND_BUCKET,
    OssServer,
    running_oss,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.drivers.conformance import Opening

MIB = 1 << 20
COPYING = ("CopyObject", "UploadPartCopy", "UploadPart", "GetObject")
ENCRYPTED = {"PutObject", "CopyObject", "InitiateMultipartUpload"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OssServer]:
    with running_oss(tmp_path_factory.mktemp("oss")) as running:
        yield running


class TestOss(DriverConformance):
    @pytest.fixture
    def opening(self, server: OssServer) -> Opening:
        given = parameters(server)
        return lambda: ObjectDriver(OssStore(given, ALONE))


@pytest.mark.parametrize(
    ("sizes", "operations"),
    [
        ((300_000,), {"CopyObject": 1}),
        ((300_000, 200_000), {"UploadPartCopy": 2}),
        # The second one is too small for a part: it is read, with as much of the third as a part needs.
        ((300_000, 5, 300_000, 7), {"UploadPartCopy": 3, "UploadPart": 1, "GetObject": 2}),
        ((5, 6, 7), {"UploadPart": 1, "GetObject": 3}),
    ],
)
def test_segments_are_put_together_inside_the_service(
    server: OssServer, sizes: Sequence[int], operations: Mapping[str, int]
) -> None:
    async def scenario(driver: ObjectDriver, store: OssStore) -> None:
        content = [secrets.token_bytes(size) for size in sizes]
        size = await upload(driver, "docker/u/1", content)
        server.front.faults.operations()
        await driver.upload_commit("docker/u/1", size, "docker/blob/data")
        seen = Counter(server.front.faults.operations())
        assert {name: seen[name] for name in COPYING if seen[name]} == operations
        assert await driver.get("docker/blob/data") == b"".join(content)
        assert [path async for path, _ in driver.walk("")] == ["docker/blob/data"]
        assert [one async for one in store.bucket.multiparts.list("")] == []

    run(parameters(server), scenario)


def test_content_of_several_parts_is_written_in_its_place(server: OssServer) -> None:
    async def scenario(driver: ObjectDriver, store: OssStore) -> None:
        content = secrets.token_bytes(12 * MIB)
        server.front.faults.operations()
        writer = await driver.content_open("docker/blob/data")
        for first in range(0, len(content), MIB):
            await writer.write([content[first : first + MIB]])
        await writer.commit()
        assert Counter(server.front.faults.operations()) == {
            "InitiateMultipartUpload": 1,
            "UploadPart": 3,
            "CompleteMultipartUpload": 1,
        }
        assert await read(driver, "docker/blob/data", 0, len(content)) == content
        assert await read(driver, "docker/blob/data", MIB - 1, 5 * MIB) == content[MIB - 1 : 6 * MIB - 1]
        assert [one async for one in store.bucket.multiparts.list("")] == []

    run(parameters(server, chunksize=5 * MIB), scenario)


def test_keys_are_distributions(server: OssServer) -> None:
    async def scenario(driver: ObjectDriver, store: OssStore) -> None:
        await driver.put("docker/registry/v2/x", b"1")
        assert await store.bucket.get("a b/镜像/docker/registry/v2/x") == b"1"
        assert [path async for path, _ in driver.walk("")] == ["docker/registry/v2/x"]
        assert await driver.list("docker") == ["registry"]
        await driver.delete("docker")
        assert await driver.list("") == []

    run(parameters(server, rootdirectory="/a b/镜像/"), scenario)


@pytest.mark.parametrize(("given", "shown"), [({}, "AES256"), ({"encryptionkeyid": "key-of-tests"}, "KMS")])
def test_everything_that_is_written_is_encrypted(server: OssServer, given: Mapping[str, str], shown: str) -> None:
    async def scenario(driver: ObjectDriver, store: OssStore) -> None:
        server.front.faults.operations()
        await driver.put("docker/small", b"1")
        size = await upload(driver, "docker/u/1", [bytes(MIB)])
        await driver.upload_commit("docker/u/1", size, "docker/copied")
        size = await upload(driver, "docker/u/2", [bytes(MIB), bytes(MIB)])
        await driver.upload_commit("docker/u/2", size, "docker/assembled")
        writer = await driver.content_open("docker/streamed")
        await writer.write([bytes(6 * MIB)])
        await writer.commit()
        assert [path async for path, _ in driver.walk("")] != []
        writes = [one for one in server.front.faults.seen if one.operation in ENCRYPTED]
        assert {one.operation for one in writes} == ENCRYPTED
        for one in writes:
            assert one.headers["x-oss-server-side-encryption"] == shown
            assert one.headers.get("x-oss-server-side-encryption-key-id") == given.get("encryptionkeyid")
        async with aiohttp.ClientSession() as session:
            for name in ("small", "copied", "assembled", "streamed"):
                url = await driver.url(f"docker/{name}", "HEAD", 60)
                assert url is not None
                async with session.head(url) as answer:
                    assert answer.headers["x-oss-server-side-encryption"] == shown
        assert store.bucket.name == BUCKET

    run(parameters(server, encrypt=True, chunksize=5 * MIB, **given), scenario)


def test_signed_urls_serve_whoever_has_them(server: OssServer) -> None:
    async def scenario(driver: ObjectDriver, store: OssStore) -> None:  # noqa: ARG001 -- as all
        await driver.put("docker/a", b"0123456789")
        get, head = await driver.url("docker/a", "GET", 60), await driver.url("docker/a", "HEAD", 60)
        expired = await driver.url("docker/a", "GET", -1)
        far = await driver.url("docker/a", "GET", 30 * 24 * 3600)
        assert get is not None
        assert head is not None
        async with httpx.AsyncClient(trust_env=False) as client:
            assert (await client.get(get)).content == b"0123456789"
            ranged = await client.get(get, headers={"Range": "bytes=2-4"})
            assert (ranged.status_code, ranged.content) == (206, b"234")
            assert (await client.head(head)).headers["content-length"] == "10"
            assert (await client.get(str(far))).content == b"0123456789"
            for wrong in (head, str(expired), get.replace("docker", "matou"), get[:-1]):
                assert (await client.get(wrong)).status_code in (400, 403)

    run(parameters(server), scenario)


def test_many_objects_are_deleted_at_once_and_what_is_left_one_by_one(server: OssServer) -> None:
    async def scenario(driver: ObjectDriver, store: OssStore) -> None:
        for number in range(5):
            await driver.put(f"docker/d/{number}", b"")
        server.front.faults.operations()
        server.front.undeletable = {store.key("docker/d/3")}
        try:
            await driver.delete("docker/d")
        finally:
            server.front.undeletable = set()
        assert [one for one in server.front.faults.operations() if one.startswith("Delete")] == [
            "DeleteMultipleObjects",
            "DeleteObject",
        ]
        assert await driver.list("docker/d") == []

    run(parameters(server), scenario)


def test_content_is_copied_between_buckets_of_one_region(server: OssServer) -> None:
    given = parameters(server)

    async def scenario(driver: ObjectDriver, store: OssStore) -> None:  # noqa: ARG001 -- as all
        await driver.put("docker/a", b"content")
        for other, is_copied in (
            (parameters(server, bucket=SECOND_BUCKET), True),
            (parameters(server, rootdirectory="elsewhere"), True),
            (parameters(server, region="cn-beijing"), False),
        ):
            destination = ObjectDriver(OssStore(other, ALONE))
            try:
                assert await destination.copy_from(driver, "docker/a", 7) is is_copied
                if is_copied:
                    assert await destination.get("docker/a") == b"content"
                    with pytest.raises(NotFound):
                        await destination.copy_from(driver, "docker/no", 7)
            finally:
                await destination.close()

    run(given, scenario)


def test_large_content_is_copied_in_ranges(server: OssServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matou.registry.drivers.oss.assembly.LARGEST_COPY", MIB)
    monkeypatch.setattr("matou.registry.drivers.oss.assembly.PARTS", PartRules(smallest=128 << 10, preferred=MIB))

    async def scenario(driver: ObjectDriver, store: OssStore) -> None:
        content = secrets.token_bytes(3 * MIB + 5)
        await store.put("docker/a", [content])
        destination = ObjectDriver(OssStore(parameters(server, bucket=SECOND_BUCKET), ALONE))
        try:
            server.front.faults.operations()
            assert await destination.copy_from(driver, "docker/a", len(content))
            assert Counter(server.front.faults.operations())["UploadPartCopy"] == 4
            assert await read(destination, "docker/a", 0, len(content)) == content
        finally:
            await destination.close()

    run(parameters(server), scenario)


def test_a_bucket_that_may_not_be_read_is_not_copied_from(server: OssServer) -> None:
    async def scenario(driver: ObjectDriver, store: OssStore) -> None:  # noqa: ARG001 -- as all
        await driver.put("docker/a", b"content")
        reader = parameters(server, accesskeyid=READER_KEY, accesskeysecret=READER_SECRET)
        destination = ObjectDriver(OssStore(reader, ALONE))
        try:
            assert not await destination.copy_from(driver, "docker/a", 7)
        finally:
            await destination.close()

    run(parameters(server), scenario)


def test_old_multipart_uploads_of_a_registry_are_swept(server: OssServer) -> None:
    async def scenario(driver: ObjectDriver, store: OssStore) -> None:
        for key in ("docker/registry/v2/blobs/a", "matou/b", "of-others"):
            await store.bucket.multiparts.begin(store.key(key))
        assert await driver.sweep(3600) == 0
        assert await driver.sweep(0) == 2
        left = [one.key async for one in store.bucket.multiparts.list(store.key(""))]
        assert left == [store.key("of-others")]

    run(parameters(server), scenario)
