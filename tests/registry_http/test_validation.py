"""``validation`` of config.yml: foreign URLs, and which images of an index must be there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.registry_http.client import connected, detail, error_of
from tests.registry_http.content import DOCKER_FOREIGN, OCI_MANIFEST, OCI_NONDISTRIBUTABLE, blob, image, index

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.registry_http.client import Client

MISSING = "sha256:" + "0" * 64
AMD64 = {"os": "linux", "architecture": "amd64"}
ARM64 = {"os": "linux", "architecture": "arm64"}


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Some URLs alone are allowed, and the images of one platform must be there."""
    manifests = {
        "urls": {"allow": ["^https://([^/]+\\.)?example\\.com/"], "deny": ["^https://internal\\.example\\.com/"]},
        "indexes": {"platforms": "list", "platformlist": [{"os": "linux", "architecture": "amd64"}]},
    }
    with connected(tmp_path_factory.mktemp("r") / "strict", {"validation": {"manifests": manifests}}) as client:
        yield client


@pytest.fixture(scope="module")
def off(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with connected(tmp_path_factory.mktemp("r") / "off", {"validation": {"disabled": True}}) as client:
        yield client


def put_foreign(client: Client, name: str, *urls: str, media_type: str = OCI_NONDISTRIBUTABLE) -> Any:
    layer = {"mediaType": media_type, "digest": MISSING, "size": 12, "urls": list(urls)}
    return client.put(name, image(client.push_blob(name, blob()).descriptor(), [layer]))


@pytest.mark.parametrize("media_type", [OCI_NONDISTRIBUTABLE, DOCKER_FOREIGN])
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://example.com/a", None),
        ("https://store.example.com/a?b=c", None),
        ("https://internal.example.com/a", "is denied by validation.manifests.urls.deny"),
        ("https://example.org/a", "is not allowed by validation.manifests.urls.allow"),
        ("http://example.com/a", "is not allowed by validation.manifests.urls.allow"),
    ],
)
def test_urls_of_a_configuration(strict: Client, name: str, url: str, reason: str | None, media_type: str) -> None:
    answer = put_foreign(strict, name, "https://example.com/fine", url, media_type=media_type)
    if reason is None:
        assert answer.status_code == 201
    else:
        assert error_of(answer) == (400, ["MANIFEST_INVALID"])
        assert detail(answer) == {"digest": MISSING, "url": url, "reason": reason}


NO_URLS = [
    "",
    "example.com/a",
    "/a",
    "//example.com/a",
    "ftp://example.com/a",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "https://",
    "https:///a",
    "https://example.com/a#b",
    "https://[::1/a",
    "gopher://127.0.0.1:6379/_x",
]


@pytest.mark.parametrize("url", NO_URLS)
def test_what_is_no_url_of_a_layer(client: Client, off: Client, name: str, url: str) -> None:
    """Also with validation off, as in Distribution."""
    for registry in (client, off):
        answer = put_foreign(registry, name, url)
        assert error_of(answer) == (400, ["MANIFEST_INVALID"])
        assert detail(answer)["url"] == url


def test_urls_without_rules(client: Client, off: Client, name: str) -> None:
    """Without lists any absolute http or https URL is allowed: the registry never fetches it."""
    for registry in (client, off):
        assert put_foreign(registry, name, "http://localhost/a?b", "https://[::1]:8443/c").status_code == 201


def child(digest: str, platform: dict[str, str]) -> dict[str, Any]:
    return {"mediaType": OCI_MANIFEST, "digest": digest, "size": 12, "platform": platform}


@pytest.mark.parametrize(
    ("missing", "strictly", "by_default"), [(AMD64, 400, 400), (ARM64, 201, 400), ({"os": "windows"}, 201, 400)]
)
def test_sparse_index(
    strict: Client, off: Client, client: Client, name: str, missing: dict[str, str], strictly: int, by_default: int
) -> None:
    for registry, status in ((strict, strictly), (off, 201), (client, by_default)):
        there = registry.push_image(name)
        answer = registry.put(name, index([child(there.digest, AMD64), child(MISSING, missing)]), "t")
        assert answer.status_code == status
        if status == 400:
            assert error_of(answer) == (400, ["MANIFEST_BLOB_UNKNOWN"])
            assert detail(answer) == MISSING


def test_index_of_children_without_platform(strict: Client, name: str) -> None:
    entry = child(MISSING, {})
    del entry["platform"]
    assert strict.put(name, index([entry])).status_code == 201
