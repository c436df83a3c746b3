"""Read-only mode, deletes switched off, upload purging, and what killed processes leave: STO-6."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.hub import Hub
from tests.registry_http.client import codes
from tests.registry_http.content import blob
from tests.servers.matou_registry import MatouRegistry, running_registry
from tests.servers.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "team/app"


@contextlib.contextmanager
def running(folder: Path, **storage: Any) -> Iterator[tuple[MatouRegistry, Hub]]:
    with running_registry(folder, {"storage": storage}) as registry, contextlib.closing(Hub(registry.url)) as hub:
        yield registry, hub
        assert registry.tracebacks() == []


def test_read_only_serves_and_writes_nothing(tmp_path: Path) -> None:
    with running(tmp_path) as (_registry, hub):
        image = hub.push_image(NAME, "t")
        location = hub.ask("POST", f"/v2/{NAME}/blobs/uploads/").headers["location"].removeprefix(hub.url)
        expected = hub.snapshot(image.paths("t"))
    before = files(tmp_path / "tree" / "docker")
    with running(tmp_path, maintenance={"readonly": {"enabled": True}}) as (_registry, hub):
        assert hub.snapshot(image.paths("t")) == expected
        assert hub.tags(NAME) == ["t"]
        digest, typed = image.manifest.digest, {"Content-Type": image.manifest.media_type}
        for method, path, arguments in (
            ("POST", f"/v2/{NAME}/blobs/uploads/", {}),
            ("PATCH", location, {"content": b"x"}),
            ("PUT", f"{location}&digest={blob(b'').digest}", {}),
            ("DELETE", location, {}),
            ("PUT", f"/v2/{NAME}/manifests/new", {"content": image.manifest.content, "headers": typed}),
            ("DELETE", f"/v2/{NAME}/manifests/t", {}),
            ("DELETE", f"/v2/{NAME}/manifests/{digest}", {}),
            ("DELETE", f"/v2/{NAME}/blobs/{image.blobs[0].digest}", {}),
        ):
            answer = hub.ask(method, path, **arguments)
            assert (method, path, answer.status_code, codes(answer)) == (method, path, 405, ["UNSUPPORTED"])
            assert "maintenance" in answer.text
    assert files(tmp_path / "tree" / "docker") == before


def files(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_deletes_are_refused_unless_switched_on(tmp_path: Path) -> None:
    with running(tmp_path, delete={"enabled": False}) as (_registry, hub):
        image = hub.push_image(NAME, "t")
        for path in (*image.paths("t"), f"/v2/{NAME}/tags/reference/t"):
            answer = hub.ask("DELETE", path)
            assert (answer.status_code, codes(answer)) == (405, ["UNSUPPORTED"])
            assert "storage.delete.enabled" in answer.text
        assert {answer.status for answer in hub.snapshot(image.paths("t")).values()} == {200}
        # An upload is not content yet: it can be cancelled.
        location = hub.ask("POST", f"/v2/{NAME}/blobs/uploads/").headers["location"]
        assert hub.ask("DELETE", location).status_code == 204


def make_upload(tree: Path, started: str | None, data: bytes | None, name: str = NAME) -> Path:
    """Make what an upload leaves in storage."""
    directory = tree / "docker" / "registry" / "v2" / "repositories" / name / "_uploads" / str(uuid.uuid4())
    directory.mkdir(parents=True)
    if started is not None:
        (directory / "startedat").write_text(started)
    if data is not None:
        (directory / "data").write_bytes(data)
        (directory / "hashstates" / "sha256").mkdir(parents=True)
        (directory / "hashstates" / "sha256" / "4").write_bytes(b"x")
    return directory


def make_file(tree: Path, content: bytes, age: float) -> Path:
    """Make what an upload of ours leaves in storage: one file."""
    path = tree / "docker" / "registry" / "v2" / "repositories" / NAME / "_uploads" / str(uuid.uuid4())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (time.time() - age,) * 2)
    return path


def clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


@pytest.mark.parametrize("is_dry", [False, True])
def test_abandoned_uploads_are_purged(is_dry: bool, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    abandoned = [
        make_upload(tree, clock(-7200), b"half"),
        make_upload(tree, clock(-7200).replace("Z", ".123456789Z"), b"half", "deep/er/name"),
        make_upload(tree, clock(-7200), None),
        make_upload(tree, "nonsense", b"half"),
        make_upload(tree, None, b"half"),
        make_upload(tree, None, None),
        make_file(tree, b"half", 7200),
        make_file(tree, b"", 7200),
    ]
    for directory in abandoned[3:6]:
        os.utime(directory, (time.time() - 7200,) * 2)
    kept = [
        make_upload(tree, clock(0), b"half"),
        make_upload(tree, clock(0), None),
        make_upload(tree, None, b"new"),
        make_file(tree, b"half", 60),
        make_file(tree, b"", 60),
    ]
    purging = {"enabled": True, "age": "1h", "interval": "1s", "dryrun": is_dry}
    with running(tmp_path, maintenance={"uploadpurging": purging}) as (registry, hub):
        image = hub.push_image(NAME, "t")
        if is_dry:
            wait_until(lambda: "would be deleted" in registry.log.read_text())
            assert all(directory.exists() for directory in (*abandoned, *kept))
        else:
            wait_until(lambda: not any(directory.exists() for directory in abandoned))
            assert all(directory.exists() for directory in kept)
        text = registry.log.read_text()
        for directory in abandoned:
            assert f"{'would purge' if is_dry else 'purging'} upload {directory.name} of" in text
        assert {answer.status for answer in hub.snapshot(image.paths("t")).values()} == {200}


def test_what_killed_processes_left_is_swept_at_the_start(tmp_path: Path) -> None:
    with running(tmp_path) as (registry, hub):
        image = hub.push_image(NAME, "t")
        registry.kill()
        temporary = registry.tree / "matou" / "tmp"
        (temporary / "left").write_bytes(b"half")
        (temporary.parent / "index.db.building").write_bytes(b"half")
        registry.start()
        assert list(temporary.iterdir()) == []
        assert {answer.status for answer in hub.snapshot(image.paths("t")).values()} == {200}
    assert reindexed(registry)
    assert not (temporary.parent / "index.db.building").exists()


def reindexed(registry: MatouRegistry) -> bool:
    """Build the index anew at a start."""
    (registry.tree / "matou" / "index.db").unlink()
    registry.start()
    return registry.stop() == 0


def test_links_that_a_killed_worker_did_not_write_are_written_at_the_start(tmp_path: Path) -> None:
    """As after a loss of power: the index has what was acknowledged, storage does not show it yet."""
    with running(tmp_path) as (registry, hub):
        first, second = hub.push_image(NAME, "t"), hub.push_image(NAME, "t")
        gone = hub.push_image(NAME, "gone")
        hub.delete(f"/v2/{NAME}/manifests/{gone.manifest.digest}")
        registry.kill()
        repository = registry.tree / "docker" / "registry" / "v2" / "repositories" / NAME
        link = repository / "_manifests" / "tags" / "t" / "current" / "link"
        revision = repository / "_manifests" / "revisions" / second.manifest.digest.replace(":", "/") / "link"
        layer = repository / "_layers" / second.blobs[1].digest.replace(":", "/") / "link"
        back = repository / "_manifests" / "tags" / "gone" / "current"
        link.write_text(first.manifest.digest)
        revision.write_bytes(b"")
        layer.unlink()
        back.mkdir(parents=True)
        (back / "link").write_text(gone.manifest.digest)
        registry.start()
        assert link.read_text() == revision.read_text() == second.manifest.digest
        assert layer.read_text() == second.blobs[1].digest
        assert not back.exists()
        assert hub.tags(NAME) == ["t"]
    with contextlib.closing(sqlite3.connect(registry.tree / "matou" / "index.db")) as connection:
        assert connection.execute("SELECT count(*) FROM projections").fetchone() == (0,)
