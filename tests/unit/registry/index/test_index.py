from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING

import pytest

from matou.registry.index import changes
from matou.registry.index.connection import connect
from matou.registry.index.migrate import SchemaError, upgrade
from matou.registry.index.reader import Reader
from matou.registry.index.records import MissingReferences, NewManifest
from matou.registry.index.writer import IndexFailed, Writer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


def manifest(
    name: str,
    *,
    blobs: tuple[str, ...] = (),
    children: tuple[str, ...] = (),
    subject: str | None = None,
    artifact_type: str | None = None,
) -> NewManifest:
    return NewManifest(
        f"sha256:{name}", "type/m", b"{}", artifact_type, subject, {"k": name}, blobs, blobs, children, children
    )


def run(path: Path, scenario: Callable[[Writer, Reader], Awaitable[None]]) -> None:
    upgrade(path)

    async def whole() -> None:
        writer, reader = Writer(path, asyncio.get_running_loop()), Reader(path)
        try:
            await scenario(writer, reader)
        finally:
            await writer.close()
            reader.close()

    asyncio.run(whole())


async def put_blob(writer: Writer, repository: str, digest: str, size: int = 1) -> None:
    await writer.run(lambda connection: changes.put_blob(connection, repository, digest, size, "me"))


async def put(writer: Writer, repository: str, new: NewManifest, *tags: str) -> None:
    await writer.run(lambda connection: changes.put_manifest(connection, repository, new, tags, "me"))


def test_blobs_belong_to_repositories(tmp_path: Path) -> None:
    async def scenario(writer: Writer, reader: Reader) -> None:
        await put_blob(writer, "a", "sha256:1", 7)
        assert reader.blob_size("a", "sha256:1") == 7
        assert reader.blob_size("b", "sha256:1") is None
        assert reader.stored_blob_size("sha256:1") == 7
        assert reader.repositories_with_blob("sha256:1", 5) == ["a"]
        mounted = await writer.run(lambda c: changes.mount_blob(c, "b", "a", "sha256:1", "me"))
        assert mounted is not None
        assert reader.blob_size("b", "sha256:1") == 7
        assert await writer.run(lambda c: changes.mount_blob(c, "c", "nowhere", "sha256:1", "me")) is None
        assert reader.tags("c", "", 1) is None
        assert await writer.run(lambda c: changes.delete_blob(c, "a", "sha256:1", "me")) is not None
        assert await writer.run(lambda c: changes.delete_blob(c, "a", "sha256:1", "me")) is None
        assert reader.blob_size("a", "sha256:1") is None

    run(tmp_path / "index.db", scenario)


def test_a_manifest_needs_what_it_refers_to(tmp_path: Path) -> None:
    async def scenario(writer: Writer, reader: Reader) -> None:
        new = manifest("m", blobs=("sha256:1", "sha256:2"), children=("sha256:c",))
        await put_blob(writer, "a", "sha256:2")
        with pytest.raises(MissingReferences) as caught:
            await put(writer, "a", new, "latest")
        assert caught.value.digests == ("sha256:1", "sha256:c")
        assert reader.manifest_by_tag("a", "latest") is None
        await put_blob(writer, "a", "sha256:1")
        await put(writer, "a", manifest("c"))
        await put(writer, "a", new, "latest")
        found = reader.manifest_by_tag("a", "latest")
        assert found is not None
        assert found.digest == "sha256:m"

    run(tmp_path / "index.db", scenario)


def test_a_tag_moves_and_a_deleted_manifest_takes_its_tags_along(tmp_path: Path) -> None:
    async def scenario(writer: Writer, reader: Reader) -> None:
        await put(writer, "a", manifest("1"), "x", "y")
        await put(writer, "a", manifest("2"), "x")
        assert reader.tag_digest("a", "x") == "sha256:2"
        assert reader.tag_digest("a", "y") == "sha256:1"
        projections = await writer.run(lambda c: changes.delete_manifest(c, "a", "sha256:1", "me"))
        assert projections is not None
        assert [(p.kind, p.name) for p in projections] == [("tag", "y"), ("manifest", "sha256:1")]
        assert reader.tags("a", "", 10) == ["x"]
        assert reader.manifest_by_digest("a", "sha256:1") is None
        assert await writer.run(lambda c: changes.delete_manifest(c, "a", "sha256:1", "me")) is None
        assert await writer.run(lambda c: changes.delete_tag(c, "a", "x", "me")) is not None
        assert await writer.run(lambda c: changes.delete_tag(c, "a", "x", "me")) is None
        assert reader.tags("a", "", 10) == []
        assert reader.manifest_by_digest("a", "sha256:2") is not None

    run(tmp_path / "index.db", scenario)


def test_a_manifest_stays_while_another_repository_holds_it(tmp_path: Path) -> None:
    async def scenario(writer: Writer, reader: Reader) -> None:
        for repository in ("a", "b"):
            await put(writer, repository, manifest("1"), "t")
        await writer.run(lambda c: changes.delete_manifest(c, "a", "sha256:1", "me"))
        assert reader.manifest_by_tag("b", "t") is not None
        await writer.run(lambda c: changes.delete_manifest(c, "b", "sha256:1", "me"))
        assert reader.counts() == (2, 0, 0, 0)

    run(tmp_path / "index.db", scenario)


def test_pages_are_in_byte_order(tmp_path: Path) -> None:
    async def scenario(writer: Writer, reader: Reader) -> None:
        await put(writer, "b/x", manifest("1"), "v10", "v9", "V1", "_", "a.b")
        await put(writer, "a", manifest("1"))
        await put_blob(writer, "only-blobs", "sha256:1")
        assert reader.tags("b/x", "", 10) == ["V1", "_", "a.b", "v10", "v9"]
        assert reader.tags("b/x", "_", 2) == ["a.b", "v10"]
        assert reader.tags("nowhere", "", 10) is None
        assert reader.catalog("", 10) == ["a", "b/x"]
        assert reader.catalog("a", 1) == ["b/x"]

    run(tmp_path / "index.db", scenario)


def test_referrers(tmp_path: Path) -> None:
    async def scenario(writer: Writer, reader: Reader) -> None:
        await put(writer, "a", manifest("s2", subject="sha256:m", artifact_type="sig"))
        await put(writer, "a", manifest("s1", subject="sha256:m", artifact_type="sbom"))
        await put(writer, "b", manifest("s3", subject="sha256:m", artifact_type="sig"))
        assert [r.digest for r in reader.referrers("a", "sha256:m", None, "", 9)[0]] == ["sha256:s1", "sha256:s2"]
        assert [r.digest for r in reader.referrers("a", "sha256:m", "sig", "", 9)[0]] == ["sha256:s2"]
        assert [r.digest for r in reader.referrers("a", "sha256:m", None, "sha256:s1", 9)[0]] == ["sha256:s2"]
        assert reader.referrers("a", "sha256:other", None, "", 9) == ([], False)
        assert reader.referrers("a", "sha256:m", "sig", "", 9)[0][0].annotations == {"k": "s2"}

    run(tmp_path / "index.db", scenario)


def test_every_change_is_journalled_and_marked(tmp_path: Path) -> None:
    path = tmp_path / "index.db"

    async def scenario(writer: Writer, reader: Reader) -> None:
        await put_blob(writer, "a", "sha256:1")
        await put(writer, "a", manifest("m", blobs=("sha256:1",)), "t")
        await writer.run(lambda c: changes.delete_tag(c, "a", "t", "me"))
        marks = reader.projections(changes.now_us() + 1, 100)
        assert [(mark.kind, mark.name) for mark in marks] == [
            ("layer", "sha256:1"),
            ("manifest", "sha256:m"),
            ("tag", "t"),
            ("tag", "t"),
        ]
        await writer.run(lambda c: changes.clear_projections(c, [mark.id for mark in marks if mark.id is not None]))
        assert reader.projections(changes.now_us() + 1, 100) == []
        assert await writer.run(lambda c: changes.trim_journal(c, changes.now_us() + 1, 2)) == 2

    run(path, scenario)
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT action, digest, tag, actor FROM journal").fetchall()
    connection.close()
    assert rows == [("delete", "sha256:m", "t", "me")]


def test_one_failed_change_does_not_take_others_back(tmp_path: Path) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO repositories (name, created) VALUES ('half', 0)")
        raise KeyError("mine")

    async def scenario(writer: Writer, reader: Reader) -> None:
        results = await asyncio.gather(
            put_blob(writer, "a", "sha256:1"),
            writer.run(fail),
            writer.run(lambda c: c.execute("SELECT nonsense").fetchone()),
            put_blob(writer, "b", "sha256:1"),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [type(None), KeyError, IndexFailed, type(None)]
        assert reader.tags("a", "", 1) is not None
        assert reader.tags("b", "", 1) is not None
        assert reader.tags("half", "", 1) is None

    run(tmp_path / "index.db", scenario)


def test_the_version_changes_with_every_commit(tmp_path: Path) -> None:
    async def scenario(writer: Writer, reader: Reader) -> None:
        before = reader.version()
        assert reader.version() == before
        await put_blob(writer, "a", "sha256:1")
        assert reader.version() != before

    run(tmp_path / "index.db", scenario)


def test_many_writers_of_many_connections(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    upgrade(path)

    async def scenario() -> None:
        writers = [Writer(path, asyncio.get_running_loop()) for _ in range(4)]
        await asyncio.gather(
            *(put_blob(writers[number % 4], f"r{number % 7}", f"sha256:{number}") for number in range(400))
        )
        for writer in writers:
            await writer.close()

    asyncio.run(scenario())
    reader = Reader(path)
    assert reader.counts() == (7, 0, 0, 400)
    reader.close()


def test_readers_cannot_write(tmp_path: Path) -> None:
    upgrade(tmp_path / "index.db")
    connection = connect(tmp_path / "index.db", read_only=True)
    with pytest.raises(sqlite3.OperationalError):
        connection.execute("DELETE FROM tags")
    connection.close()


def test_a_newer_schema_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "index.db"
    upgrade(path)
    upgrade(path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(SchemaError, match="reindex"):
        upgrade(path)
