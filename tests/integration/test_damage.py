"""Trees that are damaged, or hold what is no part of one: indexed with warnings, and served as far as they go."""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.integration.hub import Answer, Hub
from tests.registry_http.content import digest_of
from tests.servers.matou_registry import running_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from tests.integration.hub import Image
    from tests.servers.matou_registry import MatouRegistry


class Tree:
    """A repository of a stopped registry: one image tagged ``first`` and ``same``, another tagged ``second``.

    Args:
        root: of the storage tree's version 2.
        first: image.
        second: image.
    """

    def __init__(self, root: Path, first: Image, second: Image) -> None:
        self.root = root
        self.name = first.repository
        self.repository = root / "repositories" / self.name
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


def trees(folder: Path, names: Iterable[str]) -> dict[str, Tree]:
    """Fill a tree with a repository of each name, and leave it without an index."""
    root = folder / "tree" / "docker" / "registry" / "v2"
    with running_registry(folder, workers=1) as registry, contextlib.closing(Hub(registry.url)) as hub:
        made = {
            name: Tree(root, hub.push_image(name, "first", "same"), hub.push_image(name, "second")) for name in names
        }
    (folder / "tree" / "matou" / "index.db").unlink()
    return made


@contextlib.contextmanager
def served(folder: Path) -> Iterator[tuple[MatouRegistry, Hub]]:
    with running_registry(folder, workers=1) as registry, contextlib.closing(Hub(registry.url)) as hub:
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
    (
        "tag link empty",
        lambda t: empty(t.repository / "_manifests/tags/first/current/link"),
        {BY_TAG},
        "tag first of {name}: its link is broken",
    ),
    (
        "tag link is nonsense",
        lambda t: cut(t.repository / "_manifests/tags/first/current/link"),
        {BY_TAG},
        "tag first of {name}: its link is broken",
    ),
    (
        "tag without link",
        lambda t: shutil.rmtree(t.repository / "_manifests/tags/first/current"),
        {BY_TAG},
        "tag first of {name}: its link is missing",
    ),
    (
        "manifest link empty",
        lambda t: empty(t.link("_manifests/revisions", t.first.manifest.digest)),
        {BY_TAG, BY_SAME, BY_DIGEST},
        "{name}/_manifests/revisions/.*: the link is broken",
    ),
    (
        "manifest link is a directory",
        lambda t: replace_by_directory(t.link("_manifests/revisions", t.first.manifest.digest)),
        {BY_TAG, BY_SAME, BY_DIGEST},
        "tag first of {name}: it names {manifest}, which is not in the repository",
    ),
    (
        "layer link empty",
        lambda t: empty(t.link("_layers", t.first.blobs[1].digest)),
        {LAYER},
        "{name}/_layers/.*: the link is broken",
    ),
    ("layer gone", lambda t: t.layer().unlink(), {LAYER}, "layer {layer} of {name}: its content is missing"),
    (
        "layer's directory gone",
        lambda t: shutil.rmtree(t.layer().parent),
        {LAYER},
        "layer {layer} of {name}: its content is missing",
    ),
    ("layer empty", lambda t: empty(t.layer()), {LAYER}, "layer {layer} of {name}: its content is missing"),
    ("layer cut off", lambda t: cut(t.layer()), {LAYER}, "layer {layer} of {name}: its content is damaged"),
    (
        "config is a directory",
        lambda t: replace_by_directory(t.data(t.first.blobs[0].digest)),
        {CONFIG},
        "of {name}: its content is missing",
    ),
    (
        "manifest gone",
        lambda t: t.manifest().unlink(),
        {BY_TAG, BY_SAME, BY_DIGEST},
        "manifest {manifest}: its content is missing",
    ),
    (
        "manifest empty",
        lambda t: empty(t.manifest()),
        {BY_TAG, BY_SAME, BY_DIGEST},
        "manifest {manifest}: its content is damaged",
    ),
    (
        "manifest flipped",
        lambda t: flip(t.manifest()),
        {BY_TAG, BY_SAME, BY_DIGEST},
        "manifest {manifest}: its content is damaged",
    ),
]


class Damaged(NamedTuple):
    """A served tree of damaged repositories, one for each case."""

    trees: dict[str, Tree]
    hub: Hub
    log: str


def repository_of(case: str) -> str:
    return f"damaged/{re.sub('[^a-z]+', '-', case)}"


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Damaged]:
    folder = tmp_path_factory.mktemp("damaged")
    made = trees(folder, [repository_of(row[0]) for row in DAMAGE])
    for case, damage, _lost, _message in DAMAGE:
        damage(made[repository_of(case)])
    with served(folder) as (registry, hub):
        yield Damaged(made, hub, registry.log.read_text())


@pytest.mark.parametrize(("case", "lost", "message"), [(row[0], *row[2:]) for row in DAMAGE])
def test_what_is_damaged_is_told_and_the_rest_is_served(
    case: str, lost: set[str], message: str, damaged: Damaged
) -> None:
    hub, tree = damaged.hub, damaged.trees[repository_of(case)]
    name, first = tree.name, tree.first
    paths = {
        BY_TAG: f"/v2/{name}/manifests/first",
        BY_SAME: f"/v2/{name}/manifests/same",
        BY_DIGEST: f"/v2/{name}/manifests/{first.manifest.digest}",
        CONFIG: f"/v2/{name}/blobs/{first.blobs[0].digest}",
        LAYER: f"/v2/{name}/blobs/{first.blobs[1].digest}",
    }
    assert {name for name, path in paths.items() if hub.get(path).status == 404} == lost
    assert {name for name, path in paths.items() if hub.get(path).status == 200} == set(paths) - lost
    tags = {name.rpartition("/")[2] for name in {BY_TAG, BY_SAME} - lost} | {"second"}
    assert hub.tags(name) == sorted(tags)
    assert {answer.status for answer in hub.snapshot(tree.second.paths("second")).values()} == {200}
    assert re.search(
        message.format(name=name, manifest=first.manifest.digest, layer=first.blobs[1].digest), damaged.log
    )

    # Pushing it again mends it.
    for content in first.blobs:
        hub.push_blob(name, content)
    hub.push(name, first.manifest, "first", "same")
    assert {answer.status for answer in hub.snapshot(first.paths("first", "same")).values()} == {200}
    for digest in (*(content.digest for content in first.blobs), first.manifest.digest):
        assert digest_of(tree.data(digest).read_bytes()) == digest


def test_what_is_no_part_of_a_tree_is_passed_over(tmp_path: Path) -> None:
    tree = trees(tmp_path, ["team/app"])["team/app"]
    repositories = tree.root / "repositories"
    (repositories / ".DS_Store").write_bytes(b"x")
    (repositories / "Upper" / "_manifests" / "tags" / "a" / "current").mkdir(parents=True)
    (repositories / "circle").mkdir()
    (repositories / "circle" / "round").symlink_to(repositories / "circle")
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
    with served(tmp_path) as (registry, hub):
        for image, tags in ((tree.first, ("first", "same")), (tree.second, ("second",))):
            assert {answer.status for answer in hub.snapshot(image.paths(*tags)).values()} == {200}
        assert hub.tags(tree.name) == ["first", "same", "second"]
        text = registry.log.read_text()
        for reason in ("Upper", "@eaDir", "notes"):
            assert reason in text
        assert "Upper" not in hub.get("/v2/_catalog").body.decode()


def test_a_blob_that_vanishes_while_it_is_served_is_unknown_and_can_be_pushed_again(tmp_path: Path) -> None:
    tree = trees(tmp_path, ["team/app"])["team/app"]
    with served(tmp_path) as (registry, hub):
        layer = tree.first.blobs[1]
        path = f"/v2/{tree.name}/blobs/{layer.digest}"
        assert hub.get(path).body == layer.content
        tree.layer().unlink()
        assert hub.get(path) == Answer(404, ("BLOB_UNKNOWN",), b"")
        assert hub.ask("HEAD", path).status_code == 404
        mount = {"mount": layer.digest, "from": tree.name}
        assert hub.ask("POST", "/v2/other/blobs/uploads/", params=mount).status_code == 202
        assert f"storage lacks blob {layer.digest}" in registry.log.read_text()
        hub.push_blob(tree.name, layer)
        assert hub.get(path).body == layer.content


@pytest.mark.parametrize("content", [b"", b"this is no database, and was never one" * 1000])
def test_an_index_that_is_no_database_is_built_anew(content: bytes, tmp_path: Path) -> None:
    tree = trees(tmp_path, ["team/app"])["team/app"]
    index = tmp_path / "tree" / "matou" / "index.db"
    index.write_bytes(content)
    with served(tmp_path) as (_registry, hub):
        assert hub.tags(tree.name) == ["first", "same", "second"]
    with contextlib.closing(sqlite3.connect(index)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert (index.with_name("index.db.damaged")).exists() == bool(content)
