"""How requests are addressed and signed, which signed URLs show without a service."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from matou.config.sections.s3 import S3Parameters
from matou.registry.drivers.factory import ALONE
from matou.registry.drivers.s3.store import S3Store

KEYS = {"accesskey": "AKIAEXAMPLE", "secretkey": "secret", "region": "eu-central-1", "bucket": "images"}


def url(method: str = "GET", seconds: float = 1200, **given: Any) -> str:
    async def whole() -> str:
        store = S3Store(S3Parameters(**{**KEYS, **given}), ALONE)
        try:
            return await store.url("docker/registry/v2/blobs/data", method, seconds) or ""
        finally:
            await store.close()

    return asyncio.run(whole())


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({}, "https://images.s3.eu-central-1.amazonaws.com/docker/registry/v2/blobs/data"),
        ({"secure": False}, "http://images.s3.eu-central-1.amazonaws.com/docker/registry/v2/blobs/data"),
        ({"has_path_style": True}, "https://s3.eu-central-1.amazonaws.com/images/docker/registry/v2/blobs/data"),
        ({"rootdirectory": "/a/b/"}, "https://images.s3.eu-central-1.amazonaws.com/a/b/docker/registry/v2/blobs/data"),
        ({"region": "cn-north-1"}, "https://images.s3.cn-north-1.amazonaws.com.cn/docker/registry/v2/blobs/data"),
        (
            {"usedualstack": True},
            "https://images.s3.dualstack.eu-central-1.amazonaws.com/docker/registry/v2/blobs/data",
        ),
        (
            {"usefipsendpoint": True, "region": "us-gov-west-1"},
            "https://images.s3-fips.us-gov-west-1.amazonaws.com/docker/registry/v2/blobs/data",
        ),
        ({"accelerate": True}, "https://images.s3-accelerate.amazonaws.com/docker/registry/v2/blobs/data"),
        (
            {"regionendpoint": "minio:9000", "has_path_style": True, "secure": False},
            "http://minio:9000/images/docker/registry/v2/blobs/data",
        ),
        (
            {"regionendpoint": "https://minio.example.com/", "has_path_style": True},
            "https://minio.example.com/images/docker/registry/v2/blobs/data",
        ),
        (
            {"regionendpoint": "https://bucket.vpce-1-a.s3.us-east-1.vpce.amazonaws.com"},
            "https://images.bucket.vpce-1-a.s3.us-east-1.vpce.amazonaws.com/docker/registry/v2/blobs/data",
        ),
        (
            {
                "regionendpoint": "http://10.0.0.1:9000",
                "redirectendpoint": "https://s3.example.com",
                "has_path_style": True,
            },
            "https://s3.example.com/images/docker/registry/v2/blobs/data",
        ),
        (
            {"regionendpoint": "http://10.0.0.1:9000", "redirectendpoint": "https://s3.example.com"},
            "https://images.s3.example.com/docker/registry/v2/blobs/data",
        ),
        (
            {"bucket": "arn:aws:s3:eu-central-1:123456789012:accesspoint/images"},
            "https://images-123456789012.s3-accesspoint.eu-central-1.amazonaws.com/docker/registry/v2/blobs/data",
        ),
    ],
)
def test_where_clients_are_sent(given: dict[str, Any], place: str) -> None:
    assert url(**given).partition("?")[0] == place


def test_urls_are_signed_for_their_method_and_time() -> None:
    query = parse_qs(urlsplit(url(seconds=90.5)).query)
    assert query["X-Amz-Expires"] == ["90"]
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["X-Amz-Credential"][0].startswith("AKIAEXAMPLE/")
    assert "X-Amz-Security-Token" not in query
    assert parse_qs(urlsplit(url("HEAD")).query)["X-Amz-Signature"] != query["X-Amz-Signature"]
    assert parse_qs(urlsplit(url(sessiontoken="t")).query)["X-Amz-Security-Token"] == ["t"]


@pytest.mark.parametrize(("seconds", "expires"), [(0.2, "1"), (10 * 86400, str(7 * 86400))])
def test_the_time_of_urls_has_bounds(seconds: float, expires: str) -> None:
    assert parse_qs(urlsplit(url(seconds=seconds)).query)["X-Amz-Expires"] == [expires]
