"""Reading a tree that lies in object storage: few requests, many at once, and nothing taken for what it is not."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING

import pytest

from matou.registry.blobs import layout
from matou.registry.content.digest import Digest
from matou.registry.drivers.base import StorageError
from matou.registry.drivers.object_driver import ObjectDriver
from matou.registry.index.connection import connect
from matou.registry.reindex import CONCURRENCY, Reindexer, Summary, is_complete
from tests.drivers.latency import LATENCY, DistantStore, seconds_of
from tests.drivers.memory_store import MemoryStore

if TYPE_CHECKING:
    from pathlib import Path

OCI = "application/vnd.oci.image.manifest.v1+json"


class Bucket:
    """Objects as a registry has stored them."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.driver = ObjectDriver(store)

    def put(self, path: str, content: bytes) -> None:
        self.store.objects[path] = (content, 0.0)

    def blob(self, content: bytes) -> Digest:
        digest = Digest.of(content)
        self.put(layout.blob_data(digest), content)
        return digest

    def image(self, name: str, tag: str, layers: list[bytes]) -> Digest:
        """Store an image as Distribution does; return its digest."""
        config, *digests = [self.blob(content) for content in (b"{}", *layers)]
        descriptors = [
            {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": len(content)}
            for digest, content in zip(digests, layers, strict=True)
        ]
        document = {
            "schemaVersion": 2,
            "mediaType": OCI,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
            "layers": descriptors,
        }
        manifest = self.blob(json.dumps(document).encode())
        for digest in (config, *digests):
            self.put(layout.layer_link(name, digest), digest.encode())
        self.put(layout.revision_link(name, manifest), manifest.encode())
        self.put(layout.tag_current(name, tag), manifest.encode())
        self.put(layout.tag_index(name, tag, manifest), manifest.encode())
        return manifest

    async def index(self, path: Path) -> Summary:
        return await Reindexer(self.driver, path, lambda _what, _done, _total: None).run()


def rows(path: Path, statement: str) -> list[tuple[object, ...]]:
    with contextlib.closing(connect(path, read_only=True)) as connection:
        return connection.execute(statement).fetchall()


def test_a_bucket_is_indexed_without_reading_what_a_listing_tells(tmp_path: Path) -> None:
    bucket = Bucket(MemoryStore())
    first = bucket.image("a", "t", [b"one", b"two"])
    second = bucket.image("a/b", "t", [b"two", b"three"])
    summary = asyncio.run(bucket.index(tmp_path / "index.db"))
    assert summary == Summary(repositories=2, manifests=2, tags=2, blobs=4, skipped=0)
    assert is_complete(tmp_path / "index.db")
    tags = rows(
        tmp_path / "index.db", "SELECT r.name, t.digest FROM tags t JOIN repositories r ON r.id = repository_id"
    )
    assert sorted(tags) == [("a", first), ("a/b", second)]
    assert rows(tmp_path / "index.db", "SELECT sum(size) FROM blobs") == [(len(b"{}onetwothree"),)]
    read = sorted(request.split()[1].rsplit("/", 1)[-1] for request in bucket.store.requests if request[:4] == "get ")
    assert read == ["data", "data", "link", "link"]  # the manifests, and what the tags name
    assert not any(request.startswith("head") for request in bucket.store.requests)


def test_thousands_of_repositories_are_read_many_at_a_time(tmp_path: Path) -> None:
    store, count = DistantStore(), 200
    bucket = Bucket(store)
    for number in range(count):
        bucket.image(f"group-{number % 10}/app-{number}", "latest", [b"base", b"%d" % number])
    seconds = seconds_of(bucket.index(tmp_path / "index.db"))
    assert rows(tmp_path / "index.db", "SELECT count(*) FROM tags") == [(count,)]
    assert CONCURRENCY <= store.most <= 2 * CONCURRENCY
    # Listing the directories; then, of each repository, four listings, a manifest and a tag, one after the other.
    assert seconds / LATENCY < 2 * (3 + (count + 260 + 6 * count) / CONCURRENCY)


def test_a_link_is_read_where_a_listing_does_not_tell_enough(tmp_path: Path) -> None:
    bucket = Bucket(MemoryStore())
    manifest = bucket.image("a", "t", [b"one"])
    whole, cut_off, missing = Digest.of(b"pushed by sha512", "sha512"), Digest.of(b"cut off"), Digest.of(b"missing")
    canonical = bucket.blob(b"pushed by sha512")
    bucket.put(layout.layer_link("a", whole), canonical.encode())  # as Distribution stores it
    bucket.put(layout.layer_link("a", Digest.of(b"x")), b"")
    bucket.put(layout.layer_link("a", Digest.of(b"y")), b"nonsense")
    bucket.put(layout.layer_link("a", cut_off), cut_off.encode())
    bucket.put(layout.blob_data(cut_off), b"")
    bucket.put(layout.layer_link("a", missing), missing.encode())
    bucket.put(f"{layout.revision_directory('a', manifest)}/signatures/sha256/{'0' * 64}/link", b"of an old registry")
    bucket.put(f"{layout.BLOBS}/sha256/00/stray", b"no blob")
    summary = asyncio.run(bucket.index(tmp_path / "index.db"))
    assert summary == Summary(repositories=1, manifests=1, tags=1, blobs=3, skipped=4)
    linked = rows(tmp_path / "index.db", "SELECT digest FROM repository_blobs")
    assert sorted(linked) == sorted([(Digest.of(b"{}"),), (Digest.of(b"one"),), (whole,)])
    assert bucket.store.objects[layout.blob_data(whole)][0] == b"pushed by sha512"


def test_a_blob_of_another_size_than_its_manifest_says_is_read_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bucket = Bucket(MemoryStore())
    for name in ("a", "b", "c"):
        bucket.image(name, "t", [b"content"])
    damaged = layout.blob_data(Digest.of(b"content"))
    bucket.put(damaged, b"con")
    summary = asyncio.run(bucket.index(tmp_path / "index.db"))
    assert (summary.tags, summary.blobs, summary.skipped) == (3, 1, 3)
    assert caplog.text.count("its content is damaged") == 3
    assert bucket.store.requests.count(f"read {damaged}") == 1


def test_a_storage_that_fails_ends_the_run_and_leaves_the_old_index(tmp_path: Path) -> None:
    class Failing(MemoryStore):
        async def get(self, key: str) -> bytes:
            await asyncio.sleep(0)
            if "/app-7/" in key:
                raise StorageError("refused")
            return await super().get(key)

    bucket = Bucket(Failing())
    for number in range(50):
        bucket.image(f"app-{number}", "t", [b"%d" % number])
    (tmp_path / "index.db").write_bytes(b"old")
    with pytest.raises(StorageError, match="refused"):
        asyncio.run(bucket.index(tmp_path / "index.db"))
    assert [path.name for path in tmp_path.iterdir()] == ["index.db"]
    assert (tmp_path / "index.db").read_bytes() == b"old"
