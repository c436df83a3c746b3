"""Trees that are damaged, or hold what is no part of one: indexed with warnings, and served as far as they go."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest

from tests.integration.hub import Hub, Image
from tests.registry_http.content import Blob, digest_of
from tests.servers.matou_registry import MatouRegistry, running_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAME = "team/app"


class Tree:
    """The files of a stopped registry with two images; the first is tagged ``first`` and ``same``, the other ``second``.

    Args:
        folder: of the registry.
        first: image.
        second: image.
    """

    def __init__(self, folder: Path, first: Image, second: Image) -> None:
        self.folder = folder
        self.root = folder / "tree" / "docker" / "registry" / "v2"
        self.repository = self.root / "repositories" / NAME
        self.first = first
        self.second = second

    def data(self, digest: str) -> Path:
        algorithm, _, hexadecimal = digest.partition(":")
        return self.root / "blobs" / algorithm / hexadecimal[:2] / hexadecimal / "data"

    def layer(self) -> Path:
        return self.data(self.first.blobs[1].digest)

    def manifest(self) -> Path:
        return self.data(self.first.manifest.digest)

    def link(self, kind: str, digest: str) -> Path:
        return self.repository / kind / digest.replace(":", "/") / "link"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    with running_registry(tmp_path) as registry, contextlib.closing(Hub(registry.url)) as hub:
        first, second = hub.push_image(NAME, "first", "same"), hub.push_image(NAME, "second")
    (tmp_path / "tree" / "matou" / "index.db").unlink()
    return Tree(tmp_path, first, second)


@contextlib.contextmanager
def served(tree: Tree) -> Iterator[tuple[MatouRegistry, Hub]]:
    with running_registry(tree.folder) as registry, contextlib.closing(Hub(registry.url)) as hub:
        yield registry, hub
        assert registry.tracebacks() == []


def empty(path: Path) -> None:
    assert path.stat().st_size
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[5] ^= 1
    path.write_bytes(content)


def replace_by_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


LAYER, CONFIG, BY_TAG, BY_SAME, BY_DIGEST = "layer", "config", "manifests/first", "manifests/same", "manifests/digest"

# What is done, which answers become 404, and what the log says of it.
DAMAGE: list[tuple[str, Callable[[Tree], None], set[str], str]] = [
    ("tag link empty", lambda t: empty(t.repository / "_manifests/tags/first/current/link"), {BY_TAG}, "tag first"),
    (
        "tag link is nonsense",
        lambda t: cut(t.repository / "_manifests/tags/first/current/link"),
        {BY_TAG},
        "tag first of team/app: its link is broken",
    ),
    (
        "tag without link",
        lambda t: shutil.rmtree(t.repository / "_manifests/tags/first/current"),
        {BY_TAG},
        "tag first of team/app: its link is missing",
    ),
    (
        "manifest link empty",
        lambda t: empty(t.link("_manifests/revisions", t.first.manifest.digest)),
        {BY_TAG, BY_SAME, BY_DIGEST},
        "the link is broken",
    ),
    (
        "manifest link is a directory",
        lambda t: replace_by_directory(t.link("_manifests/revisions", t.first.manifest.digest)),
        {BY_TAG, BY_SAME, BY_DIGEST},
        "which is not in the repository",
    ),
    ("layer link empty", lambda t: empty(t.link("_layers", t.first.blobs[1].digest)), {LAYER}, "the link is broken"),
    ("layer gone", lambda t: t.layer().unlink(), {LAYER}, "its content is missing"),
    ("layer's directory gone", lambda t: shutil.rmtree(t.layer().parent), {LAYER}, "its content is missing"),
    ("layer empty", lambda t: empty(t.layer()), {LAYER}, "its content is missing"),
    ("layer cut off", lambda t: cut(t.layer()), {LAYER}, "its content is damaged"),
    ("config is a directory", lambda t: replace_by_directory(t.data(t.first.blobs[0].digest)), {CONFIG}, "is missing"),
    ("manifest gone", lambda t: t.manifest().unlink(), {BY_TAG, BY_SAME, BY_DIGEST}, "its content is missing"),
    ("manifest empty", lambda t: empty(t.manifest()), {BY_TAG, BY_SAME, BY_DIGEST}, "its content is damaged"),
    ("manifest flipped", lambda t: flip(t.manifest()), {BY_TAG, BY_SAME, BY_DIGEST}, "its content is damaged"),
]


@pytest.mark.parametrize(("damage", "lost", "message"), [row[1:] for row in DAMAGE], ids=[row[0] for row in DAMAGE])
def test_what_is_damaged_is_told_and_the_rest_is_served(
    damage: Callable[[Tree], None], lost: set[str], message: str, tree: Tree
) -> None:
    damage(tree)
    with served(tree) as (registry, hub):
        first = tree.first
        paths = {
            BY_TAG: f"/v2/{NAME}/manifests/first",
            BY_SAME: f"/v2/{NAME}/manifests/same",
            BY_DIGEST: f"/v2/{NAME}/manifests/{first.manifest.digest}",
            CONFIG: f"/v2/{NAME}/blobs/{first.blobs[0].digest}",
            LAYER: f"/v2/{NAME}/blobs/{first.blobs[1].digest}",
        }
        assert {name for name, path in paths.items() if hub.get(path).status == 404} == lost
        assert {name for name, path in paths.items() if hub.get(path).status == 200} == set(paths) - lost
        tags = {name.rpartition("/")[2] for name in {BY_TAG, BY_SAME} - lost} | {"second"}
        assert hub.tags(NAME) == sorted(tags)
        assert {answer.status for answer in hub.snapshot(tree.second.paths("second")).values()} == {200}
        assert message in registry.log.read_text()
        # Pushing it again mends it.
        for content in first.blobs:
            hub.push_blob(NAME, content)
        hub.push(NAME, first.manifest, "first", "same")
        answers = hub.snapshot(first.paths("first", "same"))
    assert {answer.status for answer in answers.values()} == {200}
    for content in (*first.blobs, first.manifest):
        assert digest_of(tree.data(content.digest).read_bytes()) == content.digest


def test_what_is_no_part_of_a_tree_is_passed_over(tree: Tree) -> None:
    repositories = tree.root / "repositories"
    (repositories / ".DS_Store").write_bytes(b"x")
    (repositories / "Upper" / "_manifests" / "tags" / "a" / "current").mkdir(parents=True)
    (repositories / "round").symlink_to(repositories)
    (tree.repository / "_manifests" / "tags" / "@eaDir").mkdir()
    (tree.repository / "_manifests" / "stray").write_bytes(b"x")
    (tree.repository / "_layers" / "sha256" / "README" / "link").mkdir(parents=True)
    (tree.repository / "_layers" / "sha256" / "notes").mkdir()
    (tree.repository / "_layers" / "sha256" / "notes" / "link").write_bytes(b"sha256:no")
    (tree.repository / "_layers" / "tarsum.v1" / "sha256").mkdir(parents=True)
    left = tree.repository / "_uploads" / "1c9f4a0e-3a55-4b0a-9d3c-2f1a6f0f7e11"
    left.mkdir(parents=True)
    (left / "data").write_bytes(b"half")
    (tree.root / "blobs" / "sha256" / "zz").mkdir()
    with served(tree) as (registry, hub):
        for image, tags in ((tree.first, ("first", "same")), (tree.second, ("second",))):
            assert {answer.status for answer in hub.snapshot(image.paths(*tags)).values()} == {200}
        assert hub.tags(NAME) == ["first", "same", "second"]
        text = registry.log.read_text()
        for reason in ("Upper", "@eaDir", "notes"):
            assert reason in text
        assert "Upper" not in hub.get("/v2/_catalog").body.decode()


def test_a_blob_that_vanishes_while_it_is_served_is_an_error_and_can_be_pushed_again(tree: Tree) -> None:
    with served(tree) as (_registry, hub):
        layer = tree.first.blobs[1]
        path = f"/v2/{NAME}/blobs/{layer.digest}"
        assert hub.get(path).body == layer.content
        tree.layer().unlink()
        assert hub.get(path).status in {404, 500, 503}
        hub.push_blob(NAME, Blob(layer.content, layer.digest))
        assert hub.get(path).body == layer.content


@pytest.mark.parametrize("content", [b"", b"this is no database, and was never one" * 1000])
def test_an_index_that_is_no_database_is_built_anew(content: bytes, tree: Tree) -> None:
    index = tree.folder / "tree" / "matou" / "index.db"
    index.write_bytes(content)
    with served(tree) as (_registry, hub):
        assert hub.tags(NAME) == ["first", "same", "second"]
    assert sqlite3.connect(index).execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert (index.with_name("index.db.damaged")).exists() == bool(content)
