from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matou.registry.content.manifests import parse_manifest
from matou.registry.content.mediatypes import (
    DOCKER_FOREIGN_LAYER,
    DOCKER_MANIFEST,
    DOCKER_MANIFEST_LIST,
    FOREIGN_LAYERS,
    OCI_INDEX,
    OCI_MANIFEST,
)
from matou.registry.errors import RegistryError
from tests.unit.registry.content.attempt import attempt


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def descriptor(number: int, media_type: str = "type/x", **members: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest(number), "size": number, **members}


def image(**members: Any) -> bytes:
    body = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor(1, "type/config"), "layers": []}
    return json.dumps(body | members).encode()


def index(*children: dict[str, Any], **members: Any) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children} | members).encode()


def test_image() -> None:
    layers = [descriptor(2), descriptor(3), descriptor(2)]
    parsed = parse_manifest(image(layers=layers, annotations={"a": "b"}, subject=descriptor(9)), OCI_MANIFEST)
    assert parsed.media_type == OCI_MANIFEST
    assert parsed.blob_references == parsed.required_blobs == (digest(1), digest(2), digest(3))
    assert parsed.child_references == ()
    assert (parsed.subject, parsed.annotations) == (digest(9), {"a": "b"})


def test_index() -> None:
    platform = {"os": "linux", "architecture": "amd64"}
    parsed = parse_manifest(index(descriptor(1, platform=platform), descriptor(2), descriptor(1)), OCI_INDEX)
    assert parsed.media_type == OCI_INDEX
    assert parsed.child_references == (digest(1), digest(2))
    assert parsed.children[0].platform == platform
    assert parsed.blob_references == ()


@pytest.mark.parametrize(
    ("content", "content_type", "expected"),
    [
        (image(), OCI_MANIFEST, "type/config"),  # the config's type stands in
        (image(artifactType=""), OCI_MANIFEST, "type/config"),
        (image(artifactType="type/artifact"), OCI_MANIFEST, "type/artifact"),
        (image(config=descriptor(1, "")), OCI_MANIFEST, ""),
        (index(), OCI_INDEX, None),  # in an index nothing does
        (index(artifactType="type/artifact"), OCI_INDEX, "type/artifact"),
    ],
)
def test_artifact_type(content: bytes, content_type: str, expected: str | None) -> None:
    """OCI Distribution Specification 1.1, "Listing Referrers"."""
    assert parse_manifest(content, content_type).artifact_type == expected


@pytest.mark.parametrize("media_type", sorted(FOREIGN_LAYERS))
def test_foreign_layers_are_references_that_need_not_be_there(media_type: str) -> None:
    """A collector must not take them if they are: Docker can be told to push them."""
    layers = [descriptor(2), descriptor(3, media_type, urls=["https://example.com/x"]), descriptor(4, media_type)]
    parsed = parse_manifest(image(layers=layers), OCI_MANIFEST)
    assert parsed.blob_references == (digest(1), digest(2), digest(3), digest(4))
    assert parsed.required_blobs == (digest(1), digest(2), digest(4))


def test_urls_alone_make_no_layer_foreign() -> None:
    parsed = parse_manifest(image(layers=[descriptor(2, "type/layer", urls=["https://example.com/x"])]), OCI_MANIFEST)
    assert digest(2) in parsed.required_blobs
    assert DOCKER_FOREIGN_LAYER in FOREIGN_LAYERS


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (OCI_MANIFEST, OCI_MANIFEST),
        (f"{OCI_MANIFEST}; charset=utf-8", OCI_MANIFEST),
        (f" {OCI_MANIFEST.upper()} ;", OCI_MANIFEST),
        (None, OCI_MANIFEST),
    ],
)
def test_content_type(content_type: str | None, expected: str) -> None:
    assert parse_manifest(image(), content_type).media_type == expected


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"schemaVersion": 2, "config": descriptor(1)}, OCI_MANIFEST),
        ({"schemaVersion": 2, "manifests": []}, OCI_INDEX),
        ({"schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": descriptor(1)}, DOCKER_MANIFEST),
        ({"schemaVersion": 2, "mediaType": DOCKER_MANIFEST_LIST, "manifests": None}, DOCKER_MANIFEST_LIST),
    ],
)
def test_type_of_stored_content(document: dict[str, Any], expected: str) -> None:
    """Only OCI lets mediaType be left out."""
    assert parse_manifest(json.dumps(document).encode(), None).media_type == expected


def test_stored_content_is_taken_as_other_registries_took_it() -> None:
    """Distribution takes a name that occurs twice; an image must not be lost for it."""
    content = image().replace(b'"layers": []', b'"layers": [], "layers": []')
    assert parse_manifest(content, None).media_type == OCI_MANIFEST
    with pytest.raises(RegistryError, match="MANIFEST_INVALID"):
        parse_manifest(content, OCI_MANIFEST)


def test_refusal_says_where() -> None:
    with pytest.raises(RegistryError) as caught:
        parse_manifest(image(layers=[descriptor(1), descriptor(2) | {"digest": "sha256:x"}]), OCI_MANIFEST)
    assert caught.value.detail["field"] == "layers[1].digest"
    assert "64 lower-case hexadecimal digits" in caught.value.detail["reason"]


@pytest.mark.parametrize("depth", [63, 64, 65, 1000, 50_000])
def test_depth(depth: int) -> None:
    """The document is the first level."""
    content = image().replace(b'"layers": []', b'"x": ' + b"[" * (depth - 1) + b"]" * (depth - 1))
    if depth <= 64:
        assert parse_manifest(content, OCI_MANIFEST).media_type == OCI_MANIFEST
    else:
        with pytest.raises(RegistryError, match="64 levels"):
            parse_manifest(content, OCI_MANIFEST)


@pytest.mark.parametrize("text", ["\\ud83d\\udc33", "\\u4f60\\u597d", "\\\\ud83d", "\\u0000", "\\uD83D\\uDC33"])
def test_escapes_of_whole_characters_are_fine(text: str) -> None:
    content = image(annotations={"a": "@"}).replace(b"@", text.encode())
    assert parse_manifest(content, OCI_MANIFEST).annotations["a"]


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([digest(1), OCI_INDEX]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = st.sampled_from(
    [
        "schemaVersion",
        "mediaType",
        "artifactType",
        "config",
        "layers",
        "manifests",
        "subject",
        "annotations",
        "fsLayers",
    ]
)


@settings(max_examples=150, deadline=None)
@given(
    members=st.dictionaries(MEMBERS, JSON_VALUES | st.builds(descriptor, st.integers(0, 9)), max_size=4),
    content_type=st.sampled_from([None, OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, "x"]),
)
def test_whatever_comes_in_is_parsed_or_refused(members: dict[str, Any], content_type: str | None) -> None:
    for content in (image(**members), index(**members), json.dumps(members).encode()):
        parsed = attempt(parse_manifest, content, content_type)
        if isinstance(parsed, RegistryError):
            assert parsed.code == "MANIFEST_INVALID"
            assert json.dumps(parsed.document())
        else:
            assert set(parsed.required_blobs) <= set(parsed.blob_references)


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=60), content_type=st.none() | st.text(max_size=20))
def test_whatever_bytes_come_in_are_refused(content: bytes, content_type: str | None) -> None:
    with pytest.raises(RegistryError, match="MANIFEST_INVALID"):
        parse_manifest(content, content_type)
