"""Moving a store: interrupted by kill -9, equal in the end, and served from its new place."""

from __future__ import annotations

import asyncio
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
from matou.config.distribution import load_configuration
from matou.registry.drivers.factory import open_driver
from tests.integration.hub import Hub
from tests.integration.population import populate
from tests.servers.docker_registry import running_docker_registry
from tests.servers.matou_registry import MatouRegistry
from tests.servers.program import MATOU, environment
from tests.servers.seaweedfs import SeaweedFS, section

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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


def in_bucket(folder: Path, name: str, server: SeaweedFS, root: str) -> Path:
    return written(folder, name, {"s3": section(server.url, rootdirectory=root, maxrequestspersecond=0)})


def in_directory(folder: Path, name: str, root: Path) -> Path:
    return written(folder, name, {"filesystem": {"rootdirectory": str(root)}})


def migrate(source: Path, destination: Path, *options: str) -> dict[str, object]:
    """Migrate to the end; return the report."""
    done = subprocess.run(
        [MATOU, "storage", "migrate", "--from", source, "--to", destination, "--json", *options],
        env=environment(MATOU_REGISTRY_STATE=str(source.parent / "state")),
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
        [MATOU, "storage", "migrate", "--from", source, "--to", destination, "--jobs", "1"],
        env=environment(MATOU_REGISTRY_STATE=str(source.parent / "state")),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def interrupted_twice(source: Path, destination: Path, so_far: Callable[[], int], total: int) -> dict[str, object]:
    """Migrate, with two runs that are killed on the way; return the report of the third."""
    for share in (0.2, 0.5):
        with migrating(source, destination) as process:
            while process.poll() is None and so_far() < share * total:
                time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
    report = migrate(source, destination)
    assert 0 < int(str(report["skipped"])) < total
    assert (report["destination_count"], report["agree"], report["failed"]) == (total, True, 0)
    return report


def test_a_store_that_moves_is_equal_although_it_was_interrupted_twice(store: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    source, destination = in_directory(tmp_path, "a", store), in_directory(tmp_path, "b", moved)
    wanted = contents(store)
    interrupted_twice(source, destination, lambda: count(moved), len(wanted))
    assert contents(moved) == wanted
    assert migrate(source, destination, "--verify")["copied"] == 0


def test_a_store_moves_to_object_storage_and_back(store: Path, tmp_path: Path, seaweedfs: SeaweedFS) -> None:
    back = tmp_path / "back"
    source, bucket = in_directory(tmp_path, "a", store), in_bucket(tmp_path, "b", seaweedfs, "moved")
    destination = in_directory(tmp_path, "c", back)
    wanted = contents(store)
    interrupted_twice(source, bucket, lambda: count_objects(bucket), len(wanted))
    assert migrate(source, bucket, "--verify")["copied"] == 0
    interrupted_twice(bucket, destination, lambda: count(back), len(wanted))
    assert contents(back) == wanted


def count_objects(configuration: Path) -> int:
    async def counted() -> int:
        driver = open_driver(load_configuration(configuration, {}))
        try:
            return len([path async for path, _ in driver.walk("docker")])
        finally:
            await driver.close()

    return asyncio.run(counted())


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


def test_a_bucket_that_another_machine_serves_is_no_destination_until_that_one_stops(
    tmp_path: Path, seaweedfs: SeaweedFS
) -> None:
    here, bucket = tmp_path / "here", in_bucket(tmp_path, "b", seaweedfs, "machines")
    storage = yaml.safe_load(bucket.read_text())["storage"]
    elsewhere = MatouRegistry(tmp_path / "elsewhere", {"storage": storage | {"redirect": {"disable": True}}})
    with contextlib.ExitStack() as stack:
        stack.callback(elsewhere.stop)
        first = MatouRegistry(here)
        stack.callback(first.stop)
        hubs = []
        for registry in (first, elsewhere):
            registry.start()
            hubs.append(stack.enter_context(contextlib.closing(Hub(registry.url))))
        moved = hubs[0].push_image("team/app", "moved")
        theirs = hubs[1].push_image("team/app", "theirs")
        assert first.stop() == 0
        source = in_directory(tmp_path, "a", first.tree)
        refused = subprocess.run(
            [MATOU, "storage", "migrate", "--from", source, "--to", bucket],
            env=environment(MATOU_REGISTRY_STATE=str(tmp_path / "state")),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "(index in " in refused.stderr.splitlines()[-1]
        assert "serves the storage of --to" in refused.stderr.splitlines()[-1]
        assert hubs[1].ask("HEAD", "/v2/team/app/manifests/moved").status_code == 404
        assert elsewhere.stop() == 0
        assert migrate(source, bucket)["failed"] == 0
        # Its own index does not know of what has come.
        elsewhere.start()
        for image, tag in ((moved, "moved"), (theirs, "theirs")):
            assert {answer.status for answer in hubs[1].snapshot(image.paths(tag)).values()} == {200}
        assert elsewhere.tracebacks() == []
