from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from bench.tree import TAGS_A_MANIFEST, TreeWriter, repository_name, tag_name

if TYPE_CHECKING:
    from pathlib import Path


def test_tree_is_complete_and_verifies(tmp_path: Path) -> None:
    TreeWriter(tmp_path).repository("a/b", TAGS_A_MANIFEST + 1)
    v2 = tmp_path / "docker/registry/v2"
    blobs = {}
    for data in v2.glob("blobs/sha256/*/*/data"):
        content = data.read_bytes()
        assert data.parent.name == hashlib.sha256(content).hexdigest()
        assert data.parent.parent.name == data.parent.name[:2]
        blobs[f"sha256:{data.parent.name}"] = content
    repository = v2 / "repositories/a/b"
    revisions = {path.read_text() for path in repository.glob("_manifests/revisions/sha256/*/link")}
    layers = {path.read_text() for path in repository.glob("_layers/sha256/*/link")}
    assert len(revisions) == 2
    assert revisions | layers == set(blobs)
    for revision in revisions:
        manifest = json.loads(blobs[revision])
        assert {manifest["config"]["digest"], manifest["layers"][0]["digest"]} == layers
    tags = sorted((repository / "_manifests/tags").iterdir())
    assert [tag.name for tag in tags] == [tag_name(number) for number in range(TAGS_A_MANIFEST + 1)]
    for tag in tags:
        current = (tag / "current/link").read_text()
        assert current in revisions
        assert (tag / "index" / current.replace(":", "/") / "link").read_text() == current


def test_names_sort_as_their_numbers() -> None:
    numbers = [0, 9, 10, 99, 100, 101, 9_999, 10_000, 99_999]
    for name in (tag_name, repository_name):
        assert [name(number) for number in numbers] == sorted(name(number) for number in numbers)
