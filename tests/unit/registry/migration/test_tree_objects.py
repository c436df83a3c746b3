"""Objects are told apart by their paths."""

from __future__ import annotations

import pytest

from matou.registry.blobs import layout
from matou.registry.content.digest import Digest
from matou.registry.migration.tree_objects import Stage, directory_of_tag, own_directory, stage_of

DIGEST = Digest.of(b"content")
STRONG = Digest.of(b"content", "sha512")
NAME = "a/deep/name"


@pytest.mark.parametrize(
    ("path", "stage"),
    [
        (layout.blob_data(DIGEST), Stage.BLOBS),
        (layout.layer_link(NAME, DIGEST), Stage.LINKS),
        (layout.revision_link(NAME, STRONG), Stage.LINKS),
        (layout.tag_current(NAME, "latest"), Stage.TAGS),
        (layout.tag_current(NAME, "_uploads"), Stage.TAGS),
        (layout.tag_index(NAME, "_manifests", DIGEST), Stage.TAGS),
        (layout.upload(NAME, "uuid"), None),
        (layout.upload_started_at(NAME, "uuid"), None),
        ("docker/registry/v2/repositories/a/notes", Stage.LINKS),
        ("docker/notes", Stage.LINKS),
    ],
)
def test_stages(path: str, stage: Stage | None) -> None:
    assert stage_of(path) is stage


def test_what_goes_with_an_object() -> None:
    assert own_directory(layout.blob_data(DIGEST)) == layout.blob_directory(DIGEST)
    assert own_directory(layout.layer_link(NAME, DIGEST)) == layout.layer_directory(NAME, DIGEST)
    assert own_directory(layout.revision_link(NAME, DIGEST)) == layout.revision_directory(NAME, DIGEST)
    assert own_directory(layout.tag_index(NAME, "t", DIGEST)) == layout.tag_index(NAME, "t", DIGEST)[: -len("/link")]
    assert own_directory(layout.tag_current(NAME, "t")) == f"{layout.tag_directory(NAME, 't')}/current"
    assert own_directory("docker/notes") == "docker/notes"
    assert directory_of_tag(layout.tag_current(NAME, "t")) == layout.tag_directory(NAME, "t")
    assert directory_of_tag(layout.tag_index(NAME, "t", DIGEST)) is None
    assert directory_of_tag("docker/registry/v2/repositories/current/link") is None
