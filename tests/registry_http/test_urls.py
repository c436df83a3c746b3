"""REG-7: the URLs of answers, through any proxy; Distribution ``registry/api/v2/urls.go``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.registry_http.client import connected, next_page
from tests.registry_http.content import blob, image

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests.registry_http.client import Client

# What a proxy sends, and the scheme and host of the URLs then: {own} is the registry's own address, "" a path alone.
FORWARDED: list[tuple[dict[str, str], str]] = [
    ({}, "http://{own}"),
    ({"Host": "registry.example.com:5050"}, "http://registry.example.com:5050"),
    ({"Host": "[2001:db8::1]:5000"}, "http://[2001:db8::1]:5000"),
    ({"X-Forwarded-Proto": "https"}, "https://{own}"),
    ({"X-Forwarded-Proto": "HTTPS"}, "https://{own}"),
    ({"X-Forwarded-Proto": "https, http"}, "https://{own}"),
    ({"X-Forwarded-Host": "a.example.com"}, "http://a.example.com"),
    ({"X-Forwarded-Proto": "https", "X-Forwarded-Host": "a.example.com:8443"}, "https://a.example.com:8443"),
    ({"X-Forwarded-Host": "a.example.com, b.example.com"}, "http://a.example.com"),
    ({"Forwarded": "proto=https"}, "https://{own}"),
    ({"Forwarded": "for=192.0.2.1;proto=https;host=a.example.com"}, "https://a.example.com"),
    ({"Forwarded": 'for=192.0.2.1; Proto="https"; HOST="a.example.com:8443"'}, "https://a.example.com:8443"),
    ({"Forwarded": "host=a.example.com;proto=https, host=b.example.com;proto=http"}, "https://a.example.com"),
    ({"Forwarded": "proto=https", "X-Forwarded-Proto": "http"}, "https://{own}"),
    ({"Forwarded": "for=192.0.2.1", "X-Forwarded-Host": "a.example.com"}, "http://{own}"),
    # What is no scheme and no host is not put into a URL.
    ({"X-Forwarded-Proto": "javascript"}, "http://{own}"),
    ({"X-Forwarded-Host": "a.example.com/evil?"}, ""),
    ({"X-Forwarded-Host": "user@a.example.com"}, ""),
    ({"Forwarded": "host=<script>"}, ""),
    ({"Host": "a b"}, ""),
]


@pytest.mark.parametrize(("headers", "expected"), FORWARDED)
def test_absolute(client: Client, name: str, headers: dict[str, str], expected: str) -> None:
    expected = expected.format(own=client.registry.address)
    for answer, path in answers(client, name, headers):
        assert answer.headers["location"].startswith(f"{expected}/v2/{name}{path}"), answer.headers


def answers(client: Client, name: str, headers: dict[str, str]) -> Iterator[tuple[httpx.Response, str]]:
    """Yield each kind of answer that has a ``Location``, and what the path begins with below the repository."""
    content = blob()
    digest = content.digest
    begun = client.ask("POST", f"/{name}/blobs/uploads/", headers=headers)
    yield begun, "/blobs/uploads/"
    uploads = f"{client.base}/{name}/blobs/uploads/"
    here = uploads + begun.headers["location"].rpartition("/")[2]
    patched = client.ask("PATCH", here, headers=headers, content=content.content)
    yield patched, "/blobs/uploads/"
    yield client.ask("GET", here, headers=headers), "/blobs/uploads/"
    here = uploads + patched.headers["location"].rpartition("/")[2]
    yield client.ask("PUT", here, headers=headers, params={"digest": digest}), f"/blobs/{digest}"
    yield (
        client.ask("POST", f"/{name}/blobs/uploads/", headers=headers, params={"mount": digest, "from": name}),
        f"/blobs/{digest}",
    )
    made = image(content.descriptor())
    pushed = client.ask(
        "PUT", f"/{name}/manifests/t", headers=headers | {"Content-Type": made.media_type}, content=made.content
    )
    yield pushed, f"/manifests/{made.digest}"


@pytest.fixture(scope="module")
def relative(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with connected(tmp_path_factory.mktemp("r") / "relative", {"http": {"relativeurls": True}}) as client:
        yield client


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """``http.host`` wins over what proxies say and over ``relativeurls``."""
    http = {"host": "https://registry.example.com", "relativeurls": True}
    with connected(tmp_path_factory.mktemp("r") / "hosted", {"http": http}) as client:
        yield client


@pytest.fixture(scope="module")
def prefixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with connected(tmp_path_factory.mktemp("r") / "prefixed", {"http": {"prefix": "/my/registry/"}}) as client:
        yield client


@pytest.mark.parametrize("headers", [{}, {"X-Forwarded-Proto": "https"}, {"Forwarded": "host=a.example.com"}])
def test_relative(relative: Client, name: str, headers: dict[str, str]) -> None:
    for answer, path in answers(relative, name, headers):
        assert answer.headers["location"].startswith(f"/v2/{name}{path}")


def test_relative_locations_work(relative: Client, name: str) -> None:
    made = relative.push_image(name, "t")
    content = blob(200)
    answer = relative.chunk(relative.begin(name), content.content, 0)
    answer = relative.follow(answer, "PUT", params={"digest": content.digest})
    assert relative.follow(answer, "GET").content == content.content
    assert relative.ask("GET", f"/{name}/manifests/t").content == made.content


@pytest.mark.parametrize(
    "headers", [{}, {"X-Forwarded-Proto": "http", "X-Forwarded-Host": "a"}, {"Forwarded": "host=a"}]
)
def test_host(hosted: Client, name: str, headers: dict[str, str]) -> None:
    for answer, path in answers(hosted, name, headers):
        assert answer.headers["location"].startswith(f"https://registry.example.com/v2/{name}{path}")


def test_prefix(prefixed: Client, name: str) -> None:
    for answer, path in answers(prefixed, name, {}):
        assert answer.headers["location"].startswith(f"{prefixed.registry.url}/my/registry/v2/{name}{path}")
    made = prefixed.push_image(name, "a", "b", "c")
    for _ in range(3):
        assert prefixed.ask("GET", f"/{name}/manifests/b").content == made.content
    page = prefixed.ask("GET", f"/{name}/tags/list", params={"n": "1"})
    assert page.headers["link"] == f'</my/registry/v2/{name}/tags/list?last=a&n=1>; rel="next"'
    following = next_page(page)
    assert following is not None
    assert prefixed.ask("GET", following).json()["tags"] == ["b"]


def test_nothing_outside_the_prefix(prefixed: Client, name: str) -> None:
    prefixed.push_image(name, "t")
    for path in (f"/v2/{name}/manifests/t", "/v2/", "/my/registry", "/my/registryv2/", "//my/registry/v2/"):
        assert prefixed.status_of(f"{prefixed.registry.url}{path}") == 404
    assert prefixed.status_of(f"{prefixed.registry.url}/") == 200
