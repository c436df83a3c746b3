"""Moving a store: interrupted by kill -9, equal in the end, and served from its new place."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
import yaml

from bench.tree import TreeWriter
from tests.integration.hub import Hub
from tests.integration.population import populate
from tests.servers.docker_registry import running_docker_registry
from tests.servers.matou_registry import MatouRegistry
from tests.servers.program import MATOU, environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SMALL_BLOBS = int(os.environ.get("MATOU_MIGRATION_BLOBS", "400"))
LARGE_BLOB = 20_000_000
LARGE_BLOBS = 3


def add_blob(root: Path, content: bytes) -> None:
    hexadecimal = hashlib.sha256(content).hexdigest()
    directory = root / "docker/registry/v2/blobs/sha256" / hexadecimal[:2] / hexadecimal
    directory.mkdir(parents=True)
    (directory / "data").write_bytes(content)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with many small blobs and some large ones."""
    root = tmp_path_factory.mktemp("store")
    writer = TreeWriter(root)
    for number in range(5):
        writer.repository(f"team/app{number}", 40)
    dice = random.Random(7)  # noqa: S311 -- no secret
    for _ in range(SMALL_BLOBS):
        add_blob(root, dice.randbytes(dice.randrange(1, 5000)))
    for _ in range(LARGE_BLOBS):
        add_blob(root, dice.randbytes(LARGE_BLOB))
    return root


def contents(root: Path) -> dict[str, str]:
    """Return the digest of every file of a tree."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((root / "docker").rglob("*"))
        if path.is_file()
    }


def written(folder: Path, name: str, storage: dict[str, object]) -> Path:
    path = folder / f"{name}.yml"
    path.write_text(yaml.safe_dump({"version": 0.1, "storage": storage, "http": {"addr": "127.0.0.1:1"}}))
    return path


def in_directory(folder: Path, name: str, root: Path) -> Path:
    return written(folder, name, {"filesystem": {"rootdirectory": str(root)}})


def migrate(source: Path, destination: Path, *options: str) -> dict[str, object]:
    """Migrate to the end; return the report."""
    done = subprocess.run(
        [MATOU, "storage", "migrate", "--from", source, "--to", destination, "--json", *options],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    report: dict[str, object] = json.loads(done.stdout)
    return report


@contextlib.contextmanager
def migrating(source: Path, destination: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [MATOU, "storage", "migrate", "--from", source, "--to", destination, "--json"],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_store_that_moves_is_equal_although_it_was_interrupted_twice(store: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    source, destination = in_directory(tmp_path, "a", store), in_directory(tmp_path, "b", moved)
    wanted = contents(store)
    for share in (0.2, 0.6):
        with migrating(source, destination) as process:
            while process.poll() is None and count(moved) < share * len(wanted):
                time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        assert contents(moved).items() <= wanted.items()
    report = migrate(source, destination)
    assert 0 < int(str(report["skipped"])) < len(wanted)
    assert (report["destination_count"], report["agree"], report["failed"]) == (len(wanted), True, 0)
    assert contents(moved) == wanted
    assert migrate(source, destination, "--verify")["copied"] == 0


def count(root: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(root / "docker"))


def test_a_registry_and_a_docker_registry_serve_what_was_moved(tmp_path: Path) -> None:
    registry = MatouRegistry(tmp_path / "registry")
    with contextlib.ExitStack() as stack:
        stack.callback(registry.stop)
        registry.start()
        hub = stack.enter_context(contextlib.closing(Hub(registry.url)))
        population = populate(hub)
        before = hub.snapshot(population.paths)
        assert registry.stop() == 0
        source = in_directory(tmp_path, "a", registry.tree)
        registry.tree = tmp_path / "new"
        report = migrate(source, in_directory(tmp_path, "b", registry.tree))
        assert report["index"] == "copied"
        registry.start()
        assert "indexed" not in registry.log.read_text()
        assert hub.snapshot(population.paths) == before
        pushed = hub.push_image("team/app", "after")
        assert {answer.status for answer in hub.snapshot(pushed.paths("after")).values()} == {200}
        assert registry.stop() == 0
        with (
            running_docker_registry(tmp_path, registry.tree) as other,
            contextlib.closing(Hub(other.url)) as their_hub,
        ):
            assert {answer.status for answer in their_hub.snapshot(pushed.paths("after")).values()} == {200}
            assert registry.tracebacks() == []
