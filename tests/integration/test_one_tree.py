"""Several processes on one storage tree: what is safe works, what is not is refused with the reason."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from bench.tree import TreeWriter
from tests.integration.hub import Hub
from tests.registry_http.content import blob
from tests.servers.matou_registry import MatouRegistry, running_registry
from tests.servers.program import MATOU
from tests.servers.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "team/app"
TAGS = 10_000


@contextlib.contextmanager
def another(folder: Path, tree: Path) -> Iterator[tuple[MatouRegistry, Hub]]:
    """Yield another registry on a tree."""
    registry = MatouRegistry(folder)
    registry.tree = tree
    try:
        registry.start()
        with contextlib.closing(Hub(registry.url)) as hub:
            yield registry, hub
    finally:
        registry.stop()


def test_two_registries_on_one_tree_agree(tmp_path: Path) -> None:
    with (
        running_registry(tmp_path / "one") as one,
        contextlib.closing(Hub(one.url)) as first,
        another(tmp_path / "two", one.tree) as (two, second),
    ):
        old = first.push_image(NAME, "t")
        assert second.get(f"/v2/{NAME}/manifests/t").body == old.manifest.content
        new = first.push_image(NAME, "t")
        assert second.get(f"/v2/{NAME}/manifests/t").body == new.manifest.content
        second.delete(f"/v2/{NAME}/manifests/t")
        assert first.get(f"/v2/{NAME}/manifests/t").status == 404
        # An upload that was begun here is finished there.
        content = blob(300_000)
        answer = first.ask("POST", f"/v2/{NAME}/blobs/uploads/")
        for hub, start in ((second, 0), (first, 100_000), (second, 200_000)):
            location = str(answer.headers["location"]).removeprefix(first.url).removeprefix(second.url)
            answer = hub.ask("PATCH", location, content=content.content[start : start + 100_000])
            assert answer.status_code == 202
        location = str(answer.headers["location"]).removeprefix(second.url)
        assert first.ask("PUT", f"{location}&digest={content.digest}").status_code == 201
        assert second.get(f"/v2/{NAME}/blobs/{content.digest}").body == content.content
        one.kill()
        assert {answer.status for answer in second.snapshot(new.paths()).values()} == {200}
        after = second.push_image(NAME, "after")
        one.start()
        assert {answer.status for answer in first.snapshot(after.paths("after")).values()} == {200}
        assert [*one.tracebacks(), *two.tracebacks()] == []


def reindex(registry: MatouRegistry) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [MATOU, "registry", "reindex", "--json", registry.folder / "config.yml"],
        capture_output=True,
        text=True,
        check=False,
    )


def test_reindex_is_refused_while_a_registry_runs(tmp_path: Path) -> None:
    with running_registry(tmp_path) as registry, contextlib.closing(Hub(registry.url)) as hub:
        image = hub.push_image(NAME, "t")
        refused = reindex(registry)
        assert refused.returncode == 1
        assert f"a registry runs on {registry.tree}; stop it first, reindex, and start it again" in refused.stderr
        assert {answer.status for answer in hub.snapshot(image.paths("t")).values()} == {200}
    done = reindex(registry)
    assert (done.returncode, json.loads(done.stdout)["tags"]) == (0, 1)


@contextlib.contextmanager
def tree_held(tree: Path) -> Iterator[None]:
    """Hold the lock of a tree alone, as one who indexes it does."""
    descriptor = os.open(tree / "matou" / "lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def test_a_registry_waits_for_one_who_indexes_and_does_it_itself_when_that_one_is_killed(tmp_path: Path) -> None:
    with running_registry(tmp_path) as registry, contextlib.closing(Hub(registry.url)) as hub:
        image = hub.push_image(NAME, "t")
        registry.stop()
        (registry.tree / "matou" / "index.db").unlink()
        with tree_held(registry.tree), (tmp_path / "waiting").open("wb") as output:
            process = subprocess.Popen(
                [MATOU, "registry", "serve", tmp_path / "config.yml"],
                stdout=subprocess.DEVNULL,
                stderr=output,
            )
            try:
                wait_until(lambda: "waiting: another process is working" in (tmp_path / "waiting").read_text())
                assert process.poll() is None
                assert not (registry.tree / "matou" / "index.db").exists()
            except BaseException:
                process.kill()
                raise
        registry.process = process
        wait_until(lambda: answers(registry))
        assert {answer.status for answer in hub.snapshot(image.paths("t")).values()} == {200}


def answers(registry: MatouRegistry) -> bool:
    with contextlib.suppress(Exception), contextlib.closing(Hub(registry.url)) as hub:
        return hub.ask("GET", "/v2/").status_code == 200
    return False


@pytest.fixture(scope="module")
def large_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of Distribution's with 10,000 tags."""
    tree = tmp_path_factory.mktemp("large")
    TreeWriter(tree).repository(NAME, TAGS)
    return tree


def test_a_large_tree_is_indexed_once(large_tree: Path, tmp_path: Path) -> None:
    with another(tmp_path, large_tree) as (registry, hub):
        tags = hub.tags(NAME)
        assert tags is not None
        assert len(tags) == TAGS
        text = registry.log.read_text()
        assert f"indexed the storage tree: 1 repositories, 100 manifests, {TAGS} tags, 2 blobs, 0 skipped" in text
        registry.stop()
        before = len(text)
        registry.start()
        assert "indexed" not in registry.log.read_text()[before:]
    done = reindex(registry)
    assert json.loads(done.stdout) == {"repositories": 1, "manifests": 100, "tags": TAGS, "blobs": 2, "skipped": 0}


def test_a_reindex_that_is_killed_leaves_the_old_index(large_tree: Path, tmp_path: Path) -> None:
    with another(tmp_path, large_tree) as (registry, hub):
        registry.stop()
        index = registry.tree / "matou" / "index.db"
        before = index.read_bytes()
        process = subprocess.Popen(
            [MATOU, "registry", "reindex", tmp_path / "config.yml"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        building = index.with_name("index.db.building")
        wait_until(lambda: building.exists() or process.poll() is not None)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert index.read_bytes() == before
        registry.start()
        assert len(hub.tags(NAME) or ()) == TAGS
        assert reindex(registry).returncode == 1
        registry.stop()
    assert reindex(registry).returncode == 0
    assert not building.exists()
