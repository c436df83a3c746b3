from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from matou.registry.http.message import Request
from matou.registry.http.urls import Urls
from tests.unit.registry.observe.scopes import FakeHeaders

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def nothing() -> AsyncIterator[bytes]:
    for piece in (b"",):
        yield piece


def request(authority: str | None = None, scheme: str = "https", **headers: str) -> Request:
    named = FakeHeaders({name.replace("_", "-"): value for name, value in headers.items()})
    return Request("GET", "/v2/", "", named, scheme, nothing(), "1", authority)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (request("r.example.com"), "https://r.example.com"),  # HTTP/2 has no Host
        (request("r.example.com:8443", "http"), "http://r.example.com:8443"),
        (request("a.example.com", host="b.example.com"), "https://b.example.com"),
        (request("a.example.com", x_forwarded_host="b.example.com"), "https://b.example.com"),
        (request("user@a.example.com"), ""),
        (request(), ""),
    ],
)
def test_authority(asked: Request, expected: str) -> None:
    assert Urls("", "", relative=False).blob(asked, "a/b", "sha256:0") == f"{expected}/v2/a/b/blobs/sha256:0"


@pytest.mark.parametrize(
    ("host", "prefix", "relative", "expected"),
    [
        ("", "", True, "/v2/a"),
        ("", "/my", True, "/my/v2/a"),
        ("", "/my", False, "https://r.example.com/my/v2/a"),
        ("http://h.example.com:5000", "", False, "http://h.example.com:5000/v2/a"),
        ("https://h.example.com/sub/", "/my", False, "https://h.example.com/sub/my/v2/a"),
        ("https://h.example.com", "", True, "https://h.example.com/v2/a"),  # http.host wins
    ],
)
def test_configuration(host: str, prefix: str, relative: bool, expected: str) -> None:
    urls = Urls(host, prefix, relative=relative)
    asked = request("r.example.com")
    assert urls.manifest(asked, "a", "t") == f"{expected}/manifests/t"
    assert urls.upload(asked, "a", "u", "s+/=") == f"{expected}/blobs/uploads/u?_state=s%2B%2F="
