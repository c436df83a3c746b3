"""The index at a start and at a rebuilding: what is kept, what is refused, and what is set aside."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from typing import TYPE_CHECKING

import pytest

from matou.config.distribution import load_configuration
from matou.registry.content.digest import Digest
from matou.registry.drivers.base import StorageError
from matou.registry.files import FileLock, RegistryFiles, TreeInUse
from matou.registry.index import changes
from matou.registry.index.migrate import SchemaError
from matou.registry.index.records import NewManifest
from matou.registry.index.writer import Writer
from matou.registry.preparation import prepare, reindex

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matou.config.distribution import Configuration
    from matou.registry.index.reader import Reader

CONTENT = json.dumps(
    {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}
).encode()
DIGEST = Digest.of(CONTENT)


class Tree:
    """A storage tree on which no server runs.

    Args:
        root: its directory.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = RegistryFiles(root / "matou")
        path = root / "config.yml"
        path.write_text(f"{{version: 0.1, storage: {{filesystem: {{rootdirectory: {root}}}}}, http: {{addr: ':1'}}}}")
        self.configuration: Configuration = load_configuration(path, {})

    @contextlib.contextmanager
    def prepared(self) -> Iterator[Reader]:
        """Yield the index as a server finds it."""
        self.files.directory.mkdir(exist_ok=True)
        with (
            contextlib.closing(FileLock(self.files.lock)) as lock,
            prepare(self.configuration, self.files, lock) as reader,
        ):
            yield reader

    def push_without_links(self, tag: str) -> None:
        """Do what a push does, up to where the machine loses its power: the index has it, links do not."""
        data = self.root / "docker/registry/v2/blobs/sha256" / DIGEST.hex[:2] / DIGEST.hex / "data"
        data.parent.mkdir(parents=True, exist_ok=True)
        data.write_bytes(CONTENT)
        manifest = NewManifest(
            DIGEST, "application/vnd.oci.image.index.v1+json", CONTENT, None, None, {}, (), (), (), ()
        )

        async def push() -> None:
            writer = Writer(self.files.index, asyncio.get_running_loop())
            await writer.run(lambda connection: changes.put_manifest(connection, "a/b", manifest, [tag], "me"))
            await writer.close()

        asyncio.run(push())

    def link(self, tag: str) -> Path:
        return self.root / "docker/registry/v2/repositories/a/b/_manifests/tags" / tag / "current/link"

    def reindex(self) -> dict[str, int]:
        summary = reindex(self.configuration, lambda _what, _done, _total: None)
        return {"tags": summary.tags, "skipped": summary.skipped}

    def change(self, statement: str) -> None:
        with contextlib.closing(sqlite3.connect(self.files.index)) as connection, connection:
            connection.execute(statement)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path)
    with tree.prepared():
        pass
    return tree


def test_what_was_acknowledged_is_projected_at_the_start(tree: Tree) -> None:
    tree.push_without_links("t")
    assert not tree.link("t").exists()
    with tree.prepared() as reader:
        assert tree.link("t").read_text() == DIGEST
        assert reader.tags("a/b", "", 10) == ["t"]
        assert reader.projections(changes.now_us() + 1, 10) == []


def test_what_was_acknowledged_survives_a_reindex(tree: Tree) -> None:
    tree.push_without_links("t")
    assert tree.reindex() == {"tags": 1, "skipped": 0}
    with tree.prepared() as reader:
        assert reader.tags("a/b", "", 10) == ["t"]


def test_ids_of_the_journal_are_never_given_twice(tree: Tree) -> None:
    for tag in ("t", "u"):
        tree.push_without_links(tag)
    tree.change("DELETE FROM journal")
    tree.reindex()
    tree.push_without_links("v")
    with contextlib.closing(sqlite3.connect(tree.files.index)) as connection:
        assert connection.execute("SELECT id, tag FROM journal").fetchall() == [(3, "v")]


def test_an_index_of_a_newer_version_is_refused_and_can_be_rebuilt(tree: Tree) -> None:
    tree.push_without_links("t")
    with tree.prepared():
        pass
    tree.change("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SchemaError, match="matou registry reindex CONFIG"), tree.prepared():
        pass
    assert tree.reindex() == {"tags": 1, "skipped": 0}
    with tree.prepared() as reader:
        assert reader.tags("a/b", "", 10) == ["t"]


def test_another_version_beside_a_running_one_is_refused(tree: Tree) -> None:
    with tree.prepared():
        tree.change("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(SchemaError, match="another registry runs on the tree; stop that one"), tree.prepared():
            pass


def test_an_index_that_vanished_under_a_running_registry_is_not_rebuilt_beside_it(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("matou.registry.preparation.ATTEMPTS", 2)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    with tree.prepared():
        tree.files.index.unlink()
        with pytest.raises(StorageError, match="is missing, and another registry runs on the tree"), tree.prepared():
            pass
        with pytest.raises(TreeInUse):
            tree.reindex()


def test_a_damaged_index_is_kept_aside_and_a_new_one_is_built(tree: Tree, caplog: pytest.LogCaptureFixture) -> None:
    tree.push_without_links("t")
    with tree.prepared():
        pass
    content = bytearray(tree.files.index.read_bytes())
    content[:16] = b"no longer SQLite"
    tree.files.index.write_bytes(content)
    with tree.prepared() as reader:
        assert reader.tags("a/b", "", 10) == ["t"]
    assert tree.files.index.with_name("index.db.damaged").read_bytes() == content
    assert "is damaged" in caplog.text


def test_a_damaged_index_does_not_hinder_a_reindex(tree: Tree) -> None:
    tree.push_without_links("t")
    with tree.prepared():
        pass
    tree.files.index.write_bytes(b"no longer SQLite" * 100)
    assert tree.reindex() == {"tags": 1, "skipped": 0}
