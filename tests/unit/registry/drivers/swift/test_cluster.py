"""What a cluster of Swift tells about itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from matou.registry.drivers.swift.cluster import Cluster, cluster_of, info_url

TELLING = {
    "swift": {"version": "2.30.1", "container_listing_limit": 500},
    "slo": {"max_manifest_segments": 20},
    "bulk_delete": {"max_deletes_per_request": 30},
    "tempurl": {"methods": ["GET", "HEAD"], "allowed_digests": ["sha512", "sha1", "sha256"]},
}


def read(told: Any, methods: tuple[str, ...] = (), *, container_keys: bool = False) -> Cluster:
    return cluster_of(json.dumps(told).encode(), methods, container_keys=container_keys)


def test_all_that_counts() -> None:
    assert read(TELLING, ("PUT",)) == Cluster(
        manifest_segments=20,
        bulk_deletes=30,
        listing=500,
        url_methods=("GET", "HEAD"),
        url_algorithm="sha256",
        container_keys=True,
    )


@pytest.mark.parametrize(
    ("version", "has_keys"), [("2.2.2", False), ("2.3.0", True), ("2.10.1", True), ("1.13.1", False), ("", False)]
)
def test_containers_have_keys_since_2_3(version: str, has_keys: bool) -> None:
    assert read({"swift": {"version": version}}).container_keys == has_keys


@pytest.mark.parametrize(
    ("digests", "algorithm"), [(["sha1"], "sha1"), (["sha256", "sha1"], "sha256"), (None, "sha1"), (["sha512"], "")]
)
def test_signatures(digests: list[str] | None, algorithm: str) -> None:
    urls: dict[str, Any] = {"methods": ["GET"]} | ({} if digests is None else {"allowed_digests": digests})
    found = read({"tempurl": urls})
    assert found.url_algorithm == algorithm
    assert found.url_methods == (("GET",) if algorithm else ())


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b"7"])
def test_a_cluster_that_tells_nothing_is_what_the_configuration_says(content: bytes) -> None:
    assert cluster_of(content, ["GET"], container_keys=True) == Cluster(url_methods=("GET",), container_keys=True)


def test_nonsense_is_not_believed() -> None:
    found = read({"swift": {"container_listing_limit": 0}, "slo": {"max_manifest_segments": "x"}, "bulk_delete": None})
    assert (found.listing, found.manifest_segments, found.bulk_deletes) == (10_000, 1000, 0)


@pytest.mark.parametrize(
    ("account", "url"),
    [
        ("https://x/v1/AUTH_a", "https://x/info"),
        ("https://x/swift/v1", "https://x/swift/info"),
        ("https://x/swift/v1/AUTH_a", "https://x/swift/info"),
    ],
)
def test_where_it_tells(account: str, url: str) -> None:
    assert info_url(account) == url
