"""What the driver makes of answers that are none of S3."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matou.registry.drivers.base import NotFound, StorageError
from tests.servers.scripted_http import Answer
from tests.unit.registry.drivers.s3.test_faults import run

if TYPE_CHECKING:
    from matou.registry.drivers.s3.store import S3Store
    from tests.servers.scripted_http import ScriptedServer


@pytest.mark.parametrize("body", [b"<html><body>A web page.</body></html>", b"<!DOCTYPE html><html><meta>"])
def test_no_service_at_all(body: bytes) -> None:
    async def scenario(store: S3Store, server: ScriptedServer) -> None:
        with pytest.raises(StorageError, match=r"S3; check storage\.s3\.regionendpoint") as caught:
            [page async for page in store.list("a/", directories=False)]
        assert not isinstance(caught.value, NotFound)
        assert server.asked

    run(lambda _: Answer(200, body, {"Content-Type": "text/html"}), scenario)


@pytest.mark.parametrize(
    "body",
    [
        b"<ListBucketResult><Contents><Key>a/x</Key></Contents></ListBucketResult>",
        b"<ListBucketResult><Contents><Key>a/x</Key><Size>many</Size></Contents></ListBucketResult>",
        b"<ListBucketResult><IsTruncated>true</IsTruncated><NextMarker>a/x</NextMarker></ListBucketResult>",
        b"<ListBucketResult><IsTruncated>false</IsTruncated>",
    ],
)
def test_a_listing_that_is_not_whole_is_none(body: bytes) -> None:
    async def scenario(store: S3Store, _: ScriptedServer) -> None:
        with pytest.raises(StorageError, match=r"does not speak S3; check storage\.s3\.regionendpoint"):
            [page async for page in store.list("a/", directories=False)]

    run(lambda _: Answer(200, body), scenario)


@pytest.mark.parametrize("status", [301, 307])
def test_a_web_server_that_sends_elsewhere_is_not_followed(status: int) -> None:
    async def scenario(store: S3Store, server: ScriptedServer) -> None:
        with pytest.raises(StorageError, match=r"look at https://s3\.example\.com; set .*\.regionendpoint") as caught:
            await store.get("blob")
        assert "signature" not in str(caught.value)
        assert len(server.asked) == 1

    location = "https://user:signature@s3.example.com/images/blob?X-Amz-Signature=signature"
    run(lambda _: Answer(status, b"<html></html>", {"Location": location}), scenario)
