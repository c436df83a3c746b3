"""What the driver makes of a service that fails, by answers that no real server gives on demand."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from matou.config.sections.s3 import S3Parameters
from matou.registry.drivers.base import NotFound, StorageError, StorageFull, Transient
from matou.registry.drivers.factory import Surroundings
from matou.registry.drivers.object_store import Segment
from matou.registry.drivers.s3.store import S3Store
from tests.servers.scripted_http import Answer, Asked, ScriptedServer, scripted_server

if TYPE_CHECKING:
    from collections.abc import Awaitable

Script = Callable[[Asked], Answer]
CONTENT = bytes(range(256)) * 1000
SECRET = "a-secret-key"
MIB = 1 << 20


class Counted:
    """Counts retries."""

    def __init__(self) -> None:
        self.throttled: list[bool] = []

    def retried(self, *, throttled: bool) -> None:
        self.throttled.append(throttled)

    def waited(self, seconds: float) -> None:
        pass


def error(status: int, code: str, text: str = "Text.", **fields: str) -> Answer:
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in {"Code": code, "Message": text, **fields}.items())
    return Answer(status, f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}</Error>'.encode())


def run(
    script: Script,
    scenario: Callable[[S3Store, ScriptedServer], Awaitable[None]],
    observer: Counted | None = None,
    **given: Any,
) -> None:
    async def whole() -> None:
        async with scripted_server(script) as server:
            parameters = S3Parameters(
                **{
                    "accesskey": "AKIA",
                    "secretkey": SECRET,
                    "region": "eu-central-1",
                    "bucket": "images",
                    "regionendpoint": server.url,
                    "has_path_style": True,
                    "maxretries": 2,
                    **given,
                }
            )
            store = S3Store(parameters, Surroundings(observer=observer or Counted()))
            try:
                await scenario(store, server)
            finally:
                await store.close()

    asyncio.run(whole())


def in_turn(*answers: Answer) -> Script:
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def ranged(asked: Asked, cut: int | None = None) -> Answer:
    """Answer a GET as S3 does; break the connection after ``cut`` bytes."""
    first, last = map(int, re.findall(r"[0-9]+", asked.headers["range"]))
    body = CONTENT[first : last + 1]
    headers = {"Content-Range": f"bytes {first}-{first + len(body) - 1}/{len(CONTENT)}"}
    return Answer(206, body if cut is None else body[:cut], headers, len(body))


async def read(store: S3Store, start: int, length: int) -> bytes:
    return b"".join([piece async for piece in store.read("blob", start, length)])


@pytest.mark.parametrize(
    ("answer", "throttled"),
    [
        (error(503, "SlowDown"), True),
        (Answer(503, headers={"Retry-After": "0.01"}), True),
        (error(429, "TooManyRequests"), True),
        (error(500, "InternalError"), False),
        (error(400, "RequestTimeout"), False),
        (error(400, "BadDigest"), False),
        (Answer(502, b"<html>Bad Gateway</html>"), False),
        (Answer(200, b"short", length=10), False),
        (Answer(200, b"cont", length=-1), False),
    ],
)
def test_what_may_pass_is_repeated(answer: Answer, throttled: bool) -> None:
    async def scenario(store: S3Store, server: ScriptedServer) -> None:
        assert await store.get("link") == b"content"
        assert len(server.asked) == 2

    observer = Counted()
    run(in_turn(answer, Answer(200, b"content")), scenario, observer)
    assert observer.throttled == [throttled]


def test_it_is_not_repeated_for_ever() -> None:
    async def scenario(store: S3Store, server: ScriptedServer) -> None:
        with pytest.raises(Transient, match="s3 PutObject of link: ServiceUnavailable: Text"):
            await store.put("link", [b"x"])
        assert len(server.asked) == 3

    run(lambda _: error(503, "ServiceUnavailable"), scenario)


def test_what_will_not_pass_is_not_repeated() -> None:
    async def scenario(store: S3Store, server: ScriptedServer) -> None:
        with pytest.raises(StorageError, match=r"storage\.s3\.secretkey"):
            await store.put("link", [b"x"])
        with pytest.raises(StorageFull):
            await store.put("link", [b"x"])
        assert len(server.asked) == 2

    run(in_turn(error(403, "SignatureDoesNotMatch"), error(507, "InsufficientStorage")), scenario)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(301, headers={"x-amz-bucket-region": "us-west-2"}),
        Answer(400, headers={"x-amz-bucket-region": "us-west-2"}),
        error(301, "PermanentRedirect", Endpoint="images.s3-us-west-2.amazonaws.com", Region="us-west-2"),
        error(400, "AuthorizationHeaderMalformed", Region="us-west-2"),
        error(
            400,
            "AuthorizationHeaderMalformed",
            "The authorization header is malformed; the region 'eu-central-1' is wrong; expecting 'us-west-2'",
        ),
    ],
)
def test_a_wrong_region_is_named_and_not_worked_around(answer: Answer) -> None:
    async def scenario(store: S3Store, server: ScriptedServer) -> None:
        with pytest.raises(StorageError, match=r"set storage\.s3_v2\.region: us-west-2"):
            await (store.head("blob") if not answer.body else store.get("blob"))
        assert len(server.asked) == 1

    run(lambda _: answer, scenario, section="storage.s3_v2")


def test_a_missing_right_for_head_is_named() -> None:
    async def scenario(store: S3Store, _: ScriptedServer) -> None:
        with pytest.raises(StorageError, match=r"s3:GetObject .* s3:ListBucket") as caught:
            await store.head("blob")
        assert not isinstance(caught.value, NotFound)

    run(lambda _: Answer(403), scenario)


def test_nobody_listens() -> None:
    async def scenario(store: S3Store, _: ScriptedServer) -> None:
        with pytest.raises(Transient, match=r"nothing listens at 127\.0\.0\.1:1; check storage\.s3\.regionendpoint"):
            await store.get("x")

    run(lambda _: Answer(500), scenario, regionendpoint="http://127.0.0.1:1", maxretries=0)


def test_an_unknown_name() -> None:
    async def scenario(store: S3Store, _: ScriptedServer) -> None:
        with pytest.raises(Transient, match=r"the name s3\.invalid is not known"):
            await store.get("x")

    run(lambda _: Answer(500), scenario, regionendpoint="http://s3.invalid", maxretries=0)


def test_a_broken_stream_goes_on_where_it_broke() -> None:
    async def scenario(store: S3Store, server: ScriptedServer) -> None:
        assert await read(store, 10, len(CONTENT) - 10) == CONTENT[10:]
        ranges = [asked.headers["range"] for asked in server.asked]
        assert ranges == [f"bytes={first}-{len(CONTENT) - 1}" for first in (10, 100_010, 200_010)]

    run(lambda asked: ranged(asked, 100_000 if "200010" not in asked.headers["range"] else None), scenario)


def test_a_stream_that_breaks_for_good_is_an_error() -> None:
    async def scenario(store: S3Store, server: ScriptedServer) -> None:
        with pytest.raises(Transient):
            await read(store, 0, len(CONTENT))
        assert len(server.asked) == 3

    script = in_turn(Answer(206, CONTENT[:50], {"Content-Range": f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"}, 99_999))

    def once_then_nothing(asked: Asked) -> Answer:
        return script(asked) if asked.headers["range"].startswith("bytes=0-") else error(503, "SlowDown")

    run(once_then_nothing, scenario)


@pytest.mark.parametrize("answer", [Answer(200, CONTENT), error(416, "InvalidRange")])
def test_a_service_that_sends_something_else_is_an_error(answer: Answer) -> None:
    async def scenario(store: S3Store, server: ScriptedServer) -> None:
        with pytest.raises(StorageError) as caught:
            await read(store, 5, 10)
        assert not isinstance(caught.value, Transient)
        assert len(server.asked) == 1

    run(lambda _: answer, scenario)


def test_an_object_that_is_shorter_is_an_error() -> None:
    async def scenario(store: S3Store, _: ScriptedServer) -> None:
        with pytest.raises(StorageError, match="were asked for, the storage has bytes 0-"):
            await read(store, 0, len(CONTENT) + 1)

    run(ranged, scenario)


def multipart(asked: Asked) -> Answer | None:
    """Answer what a multipart upload needs, but for its parts."""
    if asked.method == "POST" and "uploads" in asked.path:
        return Answer(200, b"<InitiateMultipartUploadResult><UploadId>one</UploadId></InitiateMultipartUploadResult>")
    if asked.method == "POST":
        return Answer(200, b"<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>")
    return None


COPIED = Answer(200, b"<CopyPartResult><ETag>&quot;e&quot;</ETag></CopyPartResult>")
SEGMENTS = [Segment(f"upload/{number}", 10 * MIB) for number in range(3)]


def test_an_upload_that_cannot_be_put_together_is_aborted() -> None:
    async def scenario(store: S3Store, server: ScriptedServer) -> None:
        with pytest.raises(NotFound, match="upload/1 does not exist"):
            await store.assemble(SEGMENTS, "blob")
        assert (server.asked[-1].method, server.asked[-1].path) == ("DELETE", "/images/blob?uploadId=one")

    def script(asked: Asked) -> Answer:
        if asked.method == "DELETE":
            return Answer(204)
        if "upload/1" in asked.headers.get("x-amz-copy-source", ""):
            return error(404, "NoSuchKey")
        return multipart(asked) or COPIED

    run(script, scenario)


def test_an_error_after_200_is_one() -> None:
    async def scenario(store: S3Store, server: ScriptedServer) -> None:
        await store.assemble(SEGMENTS[:1], "blob")
        assert len(server.asked) == 2

    failed = error(200, "InternalError")
    copied = Answer(200, b"<CopyObjectResult><ETag>x</ETag></CopyObjectResult>")
    run(in_turn(failed, copied), scenario)


@pytest.mark.parametrize("size", [30 * MIB, 5])
def test_the_answer_to_a_completion_may_be_lost(size: int) -> None:
    async def scenario(store: S3Store, server: ScriptedServer) -> None:
        if size == 30 * MIB:
            await store.assemble(SEGMENTS, "blob")
            assert server.asked[-1].method == "HEAD"
        else:
            with pytest.raises(StorageError, match="was aborted by another program"):
                await store.assemble(SEGMENTS, "blob")

    completions = [Answer(500), error(404, "NoSuchUpload")]

    def script(asked: Asked) -> Answer:
        if asked.method == "HEAD":
            return Answer(200, bytes(size), {"Last-Modified": "Wed, 25 Nov 2026 22:00:00 GMT"})
        if asked.method == "POST" and "uploadId" in asked.path:
            return completions.pop(0)
        return error(404, "NoSuchUpload") if asked.method == "DELETE" else multipart(asked) or COPIED

    run(script, scenario)


def test_keys_that_could_not_be_deleted_are_tried_again() -> None:
    async def scenario(store: S3Store, server: ScriptedServer) -> None:
        await store.delete(["a", "b", "c"])
        assert [asked.body.count(b"<Key>") for asked in server.asked] == [3, 1]
        assert all(asked.headers["content-md5"] for asked in server.asked)
        with pytest.raises(StorageError, match=r"allow s3:DeleteObject"):
            await store.delete(["a", "b"])

    def result(*errors: tuple[str, str]) -> Answer:
        inner = "".join(f"<Error><Key>{key}</Key><Code>{code}</Code></Error>" for key, code in errors)
        return Answer(200, f"<DeleteResult>{inner}</DeleteResult>".encode())

    run(
        in_turn(result(("b", "InternalError"), ("c", "NoSuchKey")), result(), result(("a", "AccessDenied"))),
        scenario,
    )


def test_what_is_sent_with_writes() -> None:
    async def scenario(store: S3Store, server: ScriptedServer) -> None:
        await store.put("small", [b"x"])
        await store.put("large", [bytes(MIB)])
        await store.assemble(SEGMENTS[:1], "copy")
        await store.assemble(SEGMENTS, "parts")
        written = [asked for asked in server.asked if "uploadId" not in asked.path]
        assert len(written) == 4
        for asked in written:
            assert asked.headers["x-amz-server-side-encryption"] == "aws:kms"
            assert asked.headers["x-amz-server-side-encryption-aws-kms-key-id"] == "the-key"
            assert asked.headers["x-amz-storage-class"] == "STANDARD_IA"
            assert asked.headers["x-amz-acl"] == "bucket-owner-full-control"
            assert asked.headers["content-type"] == "application/octet-stream"
        small, large = server.asked[:2]
        assert small.headers["x-amz-content-sha256"] == hashlib.sha256(b"x").hexdigest()
        assert large.headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
        assert "x-amz-checksum-crc32" in re.findall(r"SignedHeaders=([^,]+)", large.headers["authorization"])[0]
        assert large.body == bytes(MIB)
        assert not any("expect" in asked.headers for asked in server.asked)
        assert {asked.headers["user-agent"] for asked in server.asked} == {"registry/1"}

    def script(asked: Asked) -> Answer:
        copied = Answer(200, b"<CopyObjectResult><ETag>x</ETag></CopyObjectResult>")
        return multipart(asked) or (copied if asked.path.endswith("/copy") else COPIED)

    run(
        script,
        scenario,
        encrypt=True,
        keyid="the-key",
        storageclass="standard_ia",
        objectacl="bucket-owner-full-control",
        useragent="registry/1",
    )


def test_nothing_is_sent_that_was_not_asked_for() -> None:
    async def scenario(store: S3Store, server: ScriptedServer) -> None:
        await store.put("small", [b"x"])
        (asked,) = server.asked
        assert not {"x-amz-acl", "x-amz-storage-class", "x-amz-server-side-encryption"} & asked.headers.keys()
        assert asked.headers["content-md5"]
        assert "x-amz-checksum-crc32" not in asked.headers
        assert "matou/" in asked.headers["user-agent"]

    run(lambda _: Answer(200), scenario, storageclass="NONE", objectownership=True, checksum_disabled=True)


def test_multipart_uploads_are_listed_page_by_page_and_aborted() -> None:
    def page(key: str, initiated: str, marker: str = "") -> Answer:
        upload = f"<Upload><Key>{key}</Key><UploadId>u</UploadId><Initiated>{initiated}</Initiated></Upload>"
        more = f"<NextKeyMarker>{marker}</NextKeyMarker><NextUploadIdMarker>u</NextUploadIdMarker>" if marker else ""
        truncated = "true" if marker else "false"
        content = f"<ListMultipartUploadsResult><IsTruncated>{truncated}</IsTruncated>{more}{upload}"
        return Answer(200, f"{content}</ListMultipartUploadsResult>".encode())

    def script(asked: Asked) -> Answer:
        if asked.method == "DELETE":
            return Answer(204)
        if "prefix=root%2Fmatou" in asked.path:
            return page("root/other", "2020-01-01T00:00:00Z")
        if "key-marker" in asked.path:
            return page("root/docker/registry/v2/b", "2020-01-01T00:00:00Z")
        return page("root/docker/registry/v2/a", "2100-01-01T00:00:00Z", "root/docker/registry/v2/a")

    async def scenario(store: S3Store, server: ScriptedServer) -> None:
        assert await store.sweep(3600) == 1
        deleted = [asked.path for asked in server.asked if asked.method == "DELETE"]
        assert deleted == ["/images/root/docker/registry/v2/b?uploadId=u"]

    run(script, scenario, rootdirectory="root")


def test_log_of_requests(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(store: S3Store, _: ScriptedServer) -> None:
        with pytest.raises(StorageError):
            await store.get("blob")
        await store.put("link", [b"x"])

    refusal = error(403, "AccessDenied")
    answers = in_turn(Answer(403, refusal.body, {"x-amz-request-id": "R1"}), Answer(200))
    with caplog.at_level("INFO", logger="matou.registry"):
        run(answers, scenario, loglevel="debugWithSigning")
    refused, stored = [record.getMessage() for record in caplog.records]
    assert re.fullmatch(r"s3 request: GetObject of blob: 403 AccessDenied in [0-9.]+ s, request id R1", refused)
    assert re.fullmatch(r"s3 request: PutObject of link: 200 in [0-9.]+ s, request id unknown", stored)
    assert SECRET not in caplog.text
    caplog.clear()
    with caplog.at_level("INFO", logger="matou.registry"):
        run(in_turn(refusal, Answer(200)), scenario, loglevel="debugwithrequesterrors")
    assert len(caplog.records) == 1
