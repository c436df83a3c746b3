"""Names in a container of Swift."""

from __future__ import annotations

import pytest

from matou.registry.drivers.swift.naming import (
    Naming,
    claim_of,
    claim_type,
    claimed_key,
    is_manifest_prefix,
    part_of,
    segment_prefix,
    upload_of,
)

UPLOAD = "docker/registry/v2/repositories/a/b/_uploads/c"


@pytest.mark.parametrize(
    ("prefix", "root"), [("", ""), ("p", "p/"), ("//p/q", "p/q/"), ("p/", "p//"), ("/", ""), ("/p/", "p//")]
)
def test_names_are_those_of_distribution(prefix: str, root: str) -> None:
    names = Naming("c", prefix)
    assert names.name("docker/x") == f"{root}files/docker/x"
    assert names.name("segments/abc/def") == f"{root}segments/abc/def"
    assert names.name("") == f"{root}files/"
    for key in ("docker/x", "segments/abc/def"):
        assert names.key(names.name(key)) == key
    assert names.key(f"{root}other") is None
    assert names.key("other/files/docker/x") is None


def test_what_lies_below_an_upload_tells_its_upload() -> None:
    for key in (f"{segment_prefix(UPLOAD)}data.0-1", claim_of(UPLOAD), part_of(UPLOAD, 0, 7)):
        assert key.startswith(f"segments/matou/{UPLOAD}/")
        assert upload_of(key) == UPLOAD


@pytest.mark.parametrize("key", ["docker/registry/v2/blobs/sha256/ab/abc/data", 'a "b";c/é', "a%2Fb"])
def test_a_claim_names_its_blob_in_its_content_type(key: str) -> None:
    assert claim_type(key).isascii()
    assert claimed_key(claim_type(key)) == key
    assert claimed_key(claim_type(key).replace("; ", ";")) == key  # as Swift writes it


@pytest.mark.parametrize("content_type", ["", "application/octet-stream", 'application/x-matou-claim; key="a"; b'])
def test_another_content_type_claims_nothing(content_type: str) -> None:
    assert claimed_key(content_type) is None


@pytest.mark.parametrize(
    ("key", "is_one"),
    [
        (f"segments/{'a' * 3}/{'0' * 37}", True),
        (f"segments/{'a' * 3}/{'0' * 37}/", True),
        (f"{segment_prefix(UPLOAD)}data.", True),
        ("segments/", False),
        ("segments/m", False),
        ("segments/matou/", False),
        (segment_prefix(UPLOAD), False),
        (f"segments/{'a' * 3}/{'0' * 36}", False),
        (f"segments/{'a' * 3}/", False),
        ("docker/", False),
        ("", False),
    ],
)
def test_manifests_whose_segments_may_be_deleted(key: str, is_one: bool) -> None:
    assert is_manifest_prefix(key) == is_one
