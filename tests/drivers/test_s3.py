"""The s3 driver against SeaweedFS, which has encryption and keys that may only read, and against Swift's S3 API."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from matou.config.sections.s3 import S3Parameters
from matou.registry.drivers.base import NotFound, StorageError
from matou.registry.drivers.factory import ALONE
from matou.registry.drivers.object_driver import ObjectDriver
from matou.registry.drivers.object_store import Segment
from matou.registry.drivers.s3 import listing, parts
from matou.registry.drivers.s3.connection import Call
from matou.registry.drivers.s3.multipart import MultipartUpload
from matou.registry.drivers.s3.store import S3Store
from tests.drivers.conformance import DriverConformance
from tests.servers import seaweedfs, swift
from tests.servers.seaweedfs import running_seaweedfs
from tests.servers.swift import SwiftContainer, running_swift

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from tests.drivers.conformance import Opening

MIB = 1 << 20
OTHER = "other"  # a bucket
SSE = "x-amz-server-side-encryption"


@dataclass(frozen=True, slots=True)
class Service:
    """An S3 server with two buckets.

    Attributes:
        url: of its endpoint.
        key: id and secret.
        bucket: the first of them.
    """

    url: str
    key: tuple[str, str]
    bucket: str

    def parameters(self, **given: Any) -> S3Parameters:
        """Return the parameters of an empty root directory."""
        return S3Parameters(
            **{
                "accesskey": self.key[0],
                "secretkey": self.key[1],
                "region": "us-east-1",
                "regionendpoint": self.url,
                "has_path_style": True,
                "bucket": self.bucket,
                "rootdirectory": f"/{secrets.token_hex(8)}/tree",
                "maxretries": 3,
                **given,
            }
        )


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as server:
        service = Service(server.url, (seaweedfs.ACCESS_KEY, seaweedfs.SECRET_KEY), seaweedfs.BUCKET)
        run(service, lambda store: store._bucket.call(Call("CreateBucket", "PUT"), ""), bucket=OTHER)
        yield service


@pytest.fixture(scope="module")
def swift_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_swift(tmp_path_factory.mktemp("swift")) as server:
        for name in ("images", OTHER):
            with SwiftContainer(server.storage_url, name, server.token()) as container:
                assert container.ask("PUT").is_success
        yield Service(server.url, (swift.USER, swift.KEY), "images")


@pytest.fixture(params=["weed", "swift_service"])
def service(request: pytest.FixtureRequest) -> Service:
    found: Service = request.getfixturevalue(request.param)
    return found


def run(service: Service, scenario: Callable[[S3Store], Awaitable[object]], **given: Any) -> None:
    async def whole() -> None:
        store = S3Store(service.parameters(**given), ALONE)
        try:
            await scenario(store)
        finally:
            await store.close()

    asyncio.run(whole())


async def described(store: S3Store, key: str) -> Mapping[str, str]:
    return (await store._bucket.call(Call("HeadObject", "HEAD", store._bucket.key(key)), key)).headers


async def keys(store: S3Store) -> set[str]:
    return {item.key async for page in store.list("", directories=False) for item in page.objects}


async def uploads(store: S3Store) -> int:
    return len([upload async for upload in listing.multipart_uploads(store._bucket, "")])


async def read(store: S3Store, key: str, start: int, length: int) -> bytes:
    return b"".join([piece async for piece in store.read(key, start, length)])


class TestSeaweedFS(DriverConformance):
    @pytest.fixture
    def opening(self, weed: Service) -> Opening:
        given = weed.parameters(parallelwalk=True)
        return lambda: ObjectDriver(S3Store(given, ALONE))


class TestSwift(DriverConformance):
    @pytest.fixture
    def opening(self, swift_service: Service) -> Opening:
        given = swift_service.parameters(checksum_algorithm="sha256")
        return lambda: ObjectDriver(S3Store(given, ALONE))


@pytest.mark.parametrize(
    "sizes",
    [
        (3,),
        (5 * MIB + 1,),
        (6 * MIB, 5 * MIB, 1),
        (1, 5 * MIB, 3),
        (3 * MIB, 4, 7 * MIB, 6 * MIB),
        (2, 3, 4),
        (2, 11 * MIB, 5),
    ],
)
def test_segments_become_one_object(service: Service, sizes: tuple[int, ...]) -> None:
    async def scenario(store: S3Store) -> None:
        contents = [os.urandom(size) for size in sizes]
        segments = [Segment(f"upload/{index}", size) for index, size in enumerate(sizes)]
        for segment, content in zip(segments, contents, strict=True):
            await store.put(segment.key, [content])
        await store.assemble(segments, "blob")
        assert await store.get("blob") == b"".join(contents)
        assert await uploads(store) == 0

    run(service, scenario, multipartcopythresholdsize=5 * MIB, multipartcopychunksize=5 * MIB)


def test_more_segments_than_parts_are_put_together_in_two_steps(weed: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(store: S3Store) -> None:
        contents = [bytes([number]) * parts.SMALLEST for number in range(7)]
        segments = [Segment(f"upload/{number}", parts.SMALLEST) for number in range(7)]
        for segment, content in zip(segments, contents, strict=True):
            await store.put(segment.key, [content])
        await store.assemble(segments, "blob")
        assert await store.get("blob") == b"".join(contents)
        assert await keys(store) == {"blob", *(segment.key for segment in segments)}
        assert await uploads(store) == 0

    monkeypatch.setattr(parts, "MOST", 3)
    run(weed, scenario)


def test_a_segment_that_is_missing(service: Service) -> None:
    async def scenario(store: S3Store) -> None:
        await store.put("upload/0", [bytes(6 * MIB)])
        for segments in ([Segment("upload/0", 6 * MIB), Segment("upload/1", 6 * MIB)], [Segment("upload/1", 3)]):
            with pytest.raises(NotFound):
                await store.assemble(segments, "blob")
        assert await keys(store) == {"upload/0"}
        assert await uploads(store) == 0

    run(service, scenario)


def test_content_in_its_place(service: Service) -> None:
    async def scenario(store: S3Store) -> None:
        content = os.urandom(13 * MIB)
        writer = await store.open("blob")
        assert writer is not None
        for first in range(0, len(content), MIB):
            await writer.write([content[first : first + MIB]])
        assert await keys(store) == set()
        await writer.commit()
        await writer.discard()
        assert await store.get("blob") == content
        given_up = await store.open("other")
        assert given_up is not None
        await given_up.write([content])
        await given_up.discard()
        assert await keys(store) == {"blob"}
        assert await uploads(store) == 0

    run(service, scenario, chunksize=5 * MIB)


def test_ranges(service: Service) -> None:
    async def scenario(store: S3Store) -> None:
        content = os.urandom(3 * MIB)
        await store.put("blob", [content])
        for start, length in ((0, len(content)), (1, 1), (2 * MIB - 5, MIB), (len(content) - 1, 1)):
            assert await read(store, "blob", start, length) == content[start : start + length]
        for start, length in ((len(content) - 1, 2), (len(content), 1)):
            with pytest.raises(StorageError):
                await read(store, "blob", start, length)
        # A stream that is left in the middle gives its connection back.
        async for piece in store.read("blob", 0, len(content)):
            assert piece
            break

    run(service, scenario)


def test_signed_urls(service: Service) -> None:
    async def scenario(store: S3Store) -> str:
        await store.put("blob", [b"0123456789"])
        client = httpx.AsyncClient(trust_env=False)
        async with client:
            get, head = await store.url("blob", "GET", 60), await store.url("blob", "HEAD", 60)
            assert get is not None
            assert head is not None
            assert (await client.get(get)).content == b"0123456789"
            part = await client.get(get, headers={"Range": "bytes=2-4"})
            assert (part.status_code, part.content) == (206, b"234")
            described = await client.head(head)
            assert (described.status_code, described.headers["content-length"]) == (200, "10")
            assert (await client.get(get.replace("/blob?", "/blob2?"))).status_code == 403
            assert (await client.delete(get)).status_code == 403
            short = await store.url("blob", "GET", 0.1)
            assert short is not None
            await asyncio.sleep(2.1)
            assert (await client.get(short)).status_code == 403
        return get

    run(service, scenario)


@pytest.mark.parametrize("parallel", [False, True])
def test_listings_have_all_pages(service: Service, monkeypatch: pytest.MonkeyPatch, parallel: bool) -> None:
    names = {f"d/{first}/{second}" for first in "abc" for second in range(9)} | {"d/a-b/x", "d/a.", "dd"}

    async def scenario(store: S3Store) -> None:
        await asyncio.gather(*(store.put(name, [b"x"]) for name in names))
        found = [item.key async for page in store.list("d/", directories=False) for item in page.objects]
        assert len(found) == len(set(found))
        assert set(found) == names - {"dd"}
        pages = [page async for page in store.list("d/", directories=True)]
        assert {name for page in pages for name in page.directories} == {"a", "b", "c", "a-b"}
        assert {item.key for page in pages for item in page.objects} == {"d/a."}
        await store.delete([*sorted(names)[:20], "d/never"])
        await store.delete(sorted(names)[10:])
        assert await keys(store) == set()

    monkeypatch.setattr(listing, "PAGE", 5)
    run(service, scenario, parallelwalk=parallel, maxrequestspersecond=0)


def test_directories_that_have_become_empty_are_no_objects(weed: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(store: S3Store) -> None:
        names = {f"d/{first}/{second}" for first in "abc" for second in range(4)}
        await asyncio.gather(*(store.put(name, [b"x"]) for name in names))
        gone = {name for name in names if name.startswith("d/b/")}
        await store.delete(sorted(gone))
        assert await keys(store) == names - gone

    monkeypatch.setattr(listing, "PAGE", 5)
    run(weed, scenario, parallelwalk=True, maxrequestspersecond=0)


@pytest.mark.parametrize("size", [0, 3, 11 * MIB])
def test_copies_from_another_bucket(service: Service, size: int) -> None:
    async def scenario(store: S3Store) -> None:
        source = S3Store(service.parameters(bucket=OTHER, rootdirectory=""), ALONE)
        elsewhere = S3Store(service.parameters(regionendpoint="http://127.0.0.1:1"), ALONE)
        content = os.urandom(size)
        try:
            await source.put("a/blob", [content])
            assert await store.copy_from(source, "a/blob", size)
            assert await store.get("a/blob") == content
            with pytest.raises(NotFound):
                await store.copy_from(source, "a/no-such-blob", size)
            assert not await store.copy_from(elsewhere, "a/blob", size)
        finally:
            await source.close()
            await elsewhere.close()

    run(service, scenario, multipartcopythresholdsize=5 * MIB, multipartcopychunksize=5 * MIB)


def test_no_copy_of_what_may_not_be_read(weed: Service) -> None:
    async def scenario(store: S3Store) -> None:
        source = S3Store(weed.parameters(bucket="missing"), ALONE)
        assert not await store.copy_from(source, "a/blob", 3)
        assert source._bucket in store._unreadable
        await source.close()

    run(weed, scenario)


def test_multipart_uploads_that_were_left_are_aborted(service: Service) -> None:
    async def scenario(store: S3Store) -> None:
        left = "docker/registry/v2/repositories/a/_uploads/5f0a/data"  # as Distribution leaves them
        foreign = "backups/today"
        for key in (left, "matou/staging/x", foreign):
            await MultipartUpload.begin(store._bucket, key)
        assert await store.sweep(3600) == 0
        await asyncio.sleep(1.1)  # the service tells whole seconds
        assert await store.sweep(0) == 2
        assert await uploads(store) == 1

    run(service, scenario)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"encrypt": True}, {SSE: "AES256"}),
        (
            {"encrypt": True, "keyid": "registry-key"},
            {SSE: "aws:kms", f"{SSE}-aws-kms-key-id": "registry-key"},
        ),
        ({"storageclass": "STANDARD_IA"}, {"x-amz-storage-class": "STANDARD_IA"}),
    ],
)
def test_what_objects_are_stored_as(weed: Service, given: dict[str, Any], expected: dict[str, str]) -> None:
    async def scenario(store: S3Store) -> None:
        content = os.urandom(6 * MIB)
        await store.put("segment", [content])
        await store.assemble([Segment("segment", len(content))], "copy")
        await store.assemble([Segment("segment", len(content))] * 2, "parts")
        writer = await store.open("written")
        assert writer is not None
        await writer.write([content])
        await writer.commit()
        for key in ("segment", "copy", "parts", "written"):
            found = await described(store, key)
            assert {name: found.get(name) for name in expected} == expected
            assert found["content-type"] == "application/octet-stream"
            assert (await store.get(key))[: len(content)] == content

    run(weed, scenario, chunksize=5 * MIB, **given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"secretkey": "wrong"}, "SignatureDoesNotMatch.*storage.s3.secretkey"),
        ({"accesskey": "nobody"}, "InvalidAccessKeyId.*storage.s3.accesskey"),
        ({"bucket": "missing"}, "there is no bucket missing; create it"),
        (
            {"accesskey": seaweedfs.READER_KEY, "secretkey": seaweedfs.READER_SECRET},
            "allow s3:PutObject on arn:aws:s3:::registry/",
        ),
    ],
)
def test_refusals_of_a_real_server(weed: Service, given: dict[str, str], said: str) -> None:
    async def scenario(store: S3Store) -> None:
        with pytest.raises(StorageError, match=said) as caught:
            await (store.get("x") if "bucket" in given else store.put("x", [b"content"]))
        assert "\n" not in str(caught.value)
        assert "wrong" not in str(caught.value)

    run(weed, scenario, **given)


def test_a_server_without_tls(weed: Service) -> None:
    async def scenario(store: S3Store) -> None:
        with pytest.raises(StorageError, match=r"does not speak TLS; write storage\.s3\.regionendpoint with http:"):
            await store.get("x")

    run(weed, scenario, regionendpoint=weed.url.replace("http:", "https:"))


def test_requests_are_limited(weed: Service) -> None:
    async def scenario(store: S3Store) -> None:
        await store.put("x", [b""])
        began = time.monotonic()
        await asyncio.gather(*(store.get("x") for _ in range(20)))
        assert time.monotonic() - began >= 20 / 40 - 0.3  # a quarter of a second's worth may come at once

    run(weed, scenario, maxrequestspersecond=40)


def test_a_server_that_comes_back(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("restarted")
    with running_seaweedfs(folder) as server:
        service = Service(server.url, (seaweedfs.ACCESS_KEY, seaweedfs.SECRET_KEY), seaweedfs.BUCKET)

        async def scenario(store: S3Store) -> None:
            writer = await store.open("blob")
            assert writer is not None
            await writer.write([b"a" * 6 * MIB])
            await asyncio.sleep(0.2)
            await asyncio.to_thread(server.kill)
            writing = asyncio.create_task(writer.write([b"b" * 6 * MIB]))
            await asyncio.to_thread(server.start)
            await writing
            await writer.commit()
            assert await store.get("blob") == b"a" * 6 * MIB + b"b" * 6 * MIB

        run(service, scenario, chunksize=5 * MIB, maxretries=10)
