from __future__ import annotations

from typing import Any

import pytest

from matou.config.sections.oss import OssParameters
from matou.registry.drivers.oss.endpoint import Endpoint, Style, endpoint_of


def endpoint(**given: Any) -> Endpoint:
    return endpoint_of(OssParameters(**{"region": "oss-cn-hangzhou", "bucket": "images", **given}))


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "https://oss-cn-hangzhou.aliyuncs.com"),
        ({"region": "cn-hangzhou"}, "https://oss-cn-hangzhou.aliyuncs.com"),
        ({"internal": True}, "https://oss-cn-hangzhou-internal.aliyuncs.com"),
        ({"region": "oss-us-west-1-internal"}, "https://oss-us-west-1-internal.aliyuncs.com"),
        ({"secure": False}, "http://oss-cn-hangzhou.aliyuncs.com"),
    ],
)
def test_the_endpoint_of_a_region(given: dict[str, Any], url: str) -> None:
    assert endpoint(**given).url == url
    assert endpoint(**given).style is Style.BEFORE_HOST


@pytest.mark.parametrize("region", ["oss-cn-hangzhou", "cn-hangzhou", "oss-cn-hangzhou-internal"])
def test_signatures_name_the_region_without_its_prefix(region: str) -> None:
    assert endpoint(region=region).region == "cn-hangzhou"
    assert endpoint(region=region, endpoint="images.example.com").region == "cn-hangzhou"


@pytest.mark.parametrize(
    ("given", "url", "style"),
    [
        ("images.oss-cn-hangzhou.aliyuncs.com", "https://images.oss-cn-hangzhou.aliyuncs.com", Style.IN_HOST),
        ("blobs.example.com", "https://blobs.example.com", Style.IN_HOST),
        ("Blobs.Example.com:8443/", "https://blobs.example.com:8443", Style.IN_HOST),
        ("http://blobs.example.com", "http://blobs.example.com", Style.IN_HOST),
        ("oss-cn-hangzhou.aliyuncs.com", "https://oss-cn-hangzhou.aliyuncs.com", Style.BEFORE_HOST),
        ("https://oss-accelerate.aliyuncs.com", "https://oss-accelerate.aliyuncs.com", Style.BEFORE_HOST),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000", Style.IN_PATH),
        ("[::1]:9000", "https://[::1]:9000", Style.IN_PATH),
        ("http://localhost:9000", "http://localhost:9000", Style.IN_PATH),
    ],
)
def test_an_endpoint_that_is_given(given: str, url: str, style: Style) -> None:
    found = endpoint(endpoint=given, internal=True)
    assert (found.url, found.style) == (url, style)


def test_the_scheme_of_an_endpoint_that_has_none_is_that_of_secure() -> None:
    assert endpoint(endpoint="blobs.example.com", secure=False).url == "http://blobs.example.com"
    assert endpoint(endpoint="https://blobs.example.com", secure=False).url == "https://blobs.example.com"


def test_buckets_of_one_region_are_at_one_place_by_whatever_name() -> None:
    places = {
        endpoint(internal=internal, endpoint=given).place
        for internal in (False, True)
        for given in ("", "blobs.example.com", "oss-cn-hangzhou.aliyuncs.com")
    }
    assert len(places) == 1
    assert endpoint(region="cn-beijing").place not in places
    assert endpoint(endpoint="http://127.0.0.1:9000").place not in places
