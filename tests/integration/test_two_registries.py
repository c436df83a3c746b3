"""Two registries on one bucket: of one machine they work together, of two machines one waits for the other."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import shutil
import signal
import sqlite3
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import httpx
import pytest

from matou.config.distribution import load_configuration
from matou.registry.blobs import layout
from matou.registry.drivers.factory import open_driver
from matou.registry.ownership.records import Record, Records, State
from tests.integration.hub import Hub
from tests.registry_http.content import blob
from tests.servers.matou_registry import MatouRegistry
from tests.servers.program import refusal
from tests.servers.seaweedfs import SeaweedFS, section
from tests.servers.waiting import wait_until
from tests.soak.pusher import Pusher, at_work
from tests.soak.survey import check_pushers

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from matou.registry.drivers.base import Driver

NAME = "team/app"
ROUNDS = int(os.environ.get("MATOU_SOAK_ROUNDS", "4"))
SEED = int(os.environ.get("MATOU_SOAK_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
PUSHERS = 3
LOST_UPLOAD = "BLOB_UPLOAD_UNKNOWN"  # what a killed process was storing has arrived after another went on


class Site:
    """A bucket and the registries on it.

    Args:
        seaweedfs: has the bucket.
        folder: for their files.
        stack: ends what was started.
    """

    def __init__(self, seaweedfs: SeaweedFS, folder: Path, stack: contextlib.ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self.storage: dict[str, Any] = {"s3": section(seaweedfs.url), "redirect": {"disable": True}}

    def registry(self, name: str, machine: str, workers: int = 1) -> MatouRegistry:
        """Return a registry that is not started.

        Args:
            name: of its folder.
            machine: that it runs on: those of one machine have one directory for their index.
            workers: processes.
        """
        state = {"MATOU_REGISTRY_STATE": str(self.folder / machine)}
        registry = MatouRegistry(self.folder / name, {"storage": self.storage}, workers, state)
        self._stack.callback(registry.stop)
        return registry

    def hub(self, registry: MatouRegistry) -> Hub:
        return self._stack.enter_context(contextlib.closing(Hub(registry.url)))

    def index(self, machine: str) -> Path:
        (directory,) = (self.folder / machine).iterdir()
        return directory / "index.db"

    def ask(self, registry: MatouRegistry, work: Callable[[Driver], Coroutine[Any, Any, Any]]) -> Any:
        """Ask the bucket something."""

        async def whole() -> Any:
            driver = open_driver(load_configuration(registry.folder / "config.yml", {}))
            try:
                return await work(driver)
            finally:
                await driver.close()

        return asyncio.run(whole())


@pytest.fixture
def site(seaweedfs: SeaweedFS, tmp_path: Path) -> Iterator[Site]:
    with contextlib.ExitStack() as stack:
        yield Site(seaweedfs, tmp_path, stack)


class EitherHub(Hub):
    """A client whose every request goes to one of several registries.

    Args:
        urls: of them.
        seed: of the choices.
    """

    def __init__(self, urls: list[str], seed: int) -> None:
        super().__init__(urls[0])
        self._urls = urls
        self._random = random.Random(seed)  # noqa: S311 -- no secret

    def ask(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        target = httpx.URL(urljoin(self.url, path)).raw_path.decode()
        return super().ask(method, self._random.choice(self._urls) + target, **arguments)


def test_kill_of_either_loses_nothing(site: Site) -> None:
    print(f"MATOU_SOAK_SEED={SEED}")  # noqa: T201 -- to repeat it
    dice = random.Random(SEED)  # noqa: S311 -- no secret
    registries = [site.registry("one", "machine"), site.registry("two", "machine")]
    for registry in registries:
        registry.start()
    urls = [registry.url for registry in registries]
    pushers = [Pusher(number, urls[0], dice.getrandbits(32), LOST_UPLOAD) for number in range(PUSHERS)]
    for pusher in pushers:
        pusher.close()
        pusher.hub = EitherHub(urls, dice.getrandbits(32))
        site._stack.callback(pusher.close)
    pulled = 0
    for number in range(ROUNDS):
        victim = dice.choice(registries)
        with at_work(pushers):
            time.sleep(dice.uniform(0.3, 1.5))
            if number % 3 == 0:
                os.kill(dice.choice(victim.worker_pids()), signal.SIGKILL)
                time.sleep(dice.uniform(0.1, 0.5))
            else:
                victim.kill(parent_only=dice.random() < 0.5)
                time.sleep(dice.uniform(0.1, 0.5))
                victim.start()
        failures = [failure for pusher in pushers for failure in pusher.failures]
        assert failures == [], f"round {number}: {failures}\n{registries[0].tail()}\n{registries[1].tail()}"
        wait_until(lambda: all(registry._is_up() for registry in registries))
        pulled += check_pushers(site.hub(dice.choice(registries)), pushers, everything=False)
    acknowledged, resumed, refused = (
        sum(getattr(pusher, name) for pusher in pushers) for name in ("acknowledged", "resumed", "refused")
    )
    print(f"{ROUNDS} rounds: {acknowledged} pushes, {resumed} resumed, {refused} lost uploads, {pulled} pulled")  # noqa: T201 -- as above
    assert acknowledged > ROUNDS
    check_pushers(site.hub(registries[0]), pushers, everything=True)
    for registry in registries:
        assert registry.stop() == 0
        assert registry.tracebacks() == []
    # Started once more: what a killed process left is brought up to date. Then the bucket says what the index says.
    registries[0].start()
    assert registries[0].stop() == 0
    site.ask(registries[0], lambda driver: check_bucket(driver, site.index("machine")))
    shutil.rmtree(site.folder / "machine")
    registries[0].start()
    check_pushers(site.hub(registries[0]), pushers, everything=True)


async def check_bucket(driver: Driver, index: Path) -> None:
    """Check that the links in a bucket say what the index says, all of it and nothing else."""
    with contextlib.closing(sqlite3.connect(index)) as connection:
        rows = connection.execute(
            "SELECT r.name, t.name, t.digest FROM tags t JOIN repositories r ON r.id = repository_id"
        ).fetchall()
        expected = {layout.tag_current(name, tag): digest for name, tag, digest in rows}
        rows = connection.execute(
            "SELECT r.name, l.digest, '_layers' FROM repository_blobs l JOIN repositories r ON r.id = repository_id "
            "UNION ALL SELECT r.name, l.digest, '_manifests/revisions' FROM repository_manifests l "
            "JOIN repositories r ON r.id = repository_id"
        ).fetchall()
        expected |= {
            f"{layout.repository(name)}/{part}/{digest.replace(':', '/')}/link": digest for name, digest, part in rows
        }
        sizes = dict(connection.execute("SELECT digest, size FROM blobs").fetchall())
    links = [path async for path, _ in driver.walk(layout.REPOSITORIES) if path.endswith("/link")]
    found = {path: (await driver.get(path)).decode() for path in links if "/index/sha256/" not in path}
    assert found == expected
    stored = {path: item.size async for path, item in driver.walk(layout.BLOBS)}
    for digest, size in sizes.items():
        algorithm, _, hexadecimal = digest.partition(":")
        assert stored[f"{layout.BLOBS}/{algorithm}/{hexadecimal[:2]}/{hexadecimal}/data"] == size


def test_another_machine_takes_over_from_one_that_was_stopped_and_not_from_one_that_runs(site: Site) -> None:
    one, other = site.registry("one", "machine"), site.registry("other", "another-machine")
    one.start()
    image = site.hub(one).push_image(NAME, "t")
    line = refusal(other.write_configuration(), **other.variables)
    assert re.search(r"matou: the registry on \S+ \(index in .*/machine/.*\) serves this storage.*stop that one", line)
    assert site.hub(one).push_image(NAME, "still").manifest
    assert one.stop() == 0
    other.start()
    hub = site.hub(other)
    assert {answer.status for answer in hub.snapshot(image.paths("t")).values()} == {200}
    newer = hub.push_image(NAME, "newer")
    assert other.stop() == 0
    # And back again: the old index does not know of what was pushed there.
    one.start()
    assert {answer.status for answer in site.hub(one).snapshot(newer.paths("newer")).values()} == {200}
    assert "has served the storage meanwhile; building the index again" in one.log.read_text()
    assert "indexed the storage tree" in one.log.read_text()
    assert [*one.tracebacks(), *other.tracebacks()] == []


def test_a_registry_that_was_succeeded_serves_pulls_only(site: Site) -> None:
    registry = site.registry("one", "machine", workers=2)
    registry.start()
    hub = site.hub(registry)
    image = hub.push_image(NAME, "t")
    other = Record("f" * 32, 99, 1, State.OWNER, "another-machine", "/var/lib/matou/registry")
    site.ask(registry, lambda driver: Records(driver).put(other))
    wait_until(lambda: "the registry on another-machine" in registry.log.read_text())
    for _ in range(6):
        answer = hub.ask("POST", f"/v2/{NAME}/blobs/uploads/", params={"digest": blob(b"x").digest}, content=b"x")
        assert answer.status_code == 503
        assert answer.json()["errors"][0]["message"] == "another registry serves this storage now"
        answer = hub.ask("DELETE", f"/v2/{NAME}/manifests/t")
        assert answer.status_code == 503
    assert {answer.status for answer in hub.snapshot(image.paths("t")).values()} == {200}
    assert registry.stop() == 0
    assert registry.tracebacks() == []
