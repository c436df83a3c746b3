"""A disk that gets full: clients are told, nothing that was acknowledged is lost, and work goes on with the room."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.integration.hub import Hub
from tests.registry_http.client import codes
from tests.registry_http.content import blob
from tests.servers.matou_registry import MatouRegistry
from tests.servers.waiting import wait_until
from tests.soak.pusher import Pusher, at_work
from tests.soak.survey import check_links, check_pushers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import httpx

    from tests.integration.hub import Image

FULL = "no space left on the registry's storage"


class Disk:
    """A small file system of its own.

    Args:
        root: where it is mounted.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._filler = root / "filler"

    def fill(self) -> None:
        """Leave no byte free."""
        piece = 1 << 20
        with self._filler.open("ab", buffering=0) as file:
            while piece:
                try:
                    file.write(bytes(piece))
                except OSError:
                    piece //= 2

    def make_room(self) -> None:
        self._filler.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    root = tmp_path / "disk"
    root.mkdir()
    # Needs root, as the containers of other tests do.
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", root], check=True)
    try:
        yield Disk(root)
    finally:
        subprocess.run(["umount", "--lazy", root], check=True)


@pytest.fixture
def registry(disk: Disk, tmp_path: Path) -> Iterator[MatouRegistry]:
    registry = MatouRegistry(tmp_path / "registry")
    registry.tree = disk.root / "tree"
    registry.start()
    try:
        yield registry
        assert registry.tracebacks() == []
    finally:
        registry.stop()


@contextlib.contextmanager
def connected(registry: MatouRegistry) -> Iterator[Hub]:
    with contextlib.closing(Hub(registry.url)) as hub:
        yield hub


def test_pushes_on_a_disk_that_gets_full(disk: Disk, registry: MatouRegistry) -> None:
    with contextlib.ExitStack() as stack:
        hub = stack.enter_context(connected(registry))
        pushers = [Pusher(number, registry.url, number, tolerated=FULL) for number in range(3)]
        for pusher in pushers:
            stack.callback(pusher.close)
        _work(pushers, lambda: all(pusher.acknowledged >= 3 for pusher in pushers))
        # The disk gets full under their hands.
        with at_work(pushers):
            disk.fill()
            wait_until(lambda: all(pusher.refused >= 5 for pusher in pushers))
        disk.fill()
        assert check_pushers(hub, pushers, everything=True) > 0
        before = [pusher.acknowledged for pusher in pushers]
        disk.make_room()
        _work(
            pushers, lambda: all(pusher.acknowledged > count + 5 for pusher, count in zip(pushers, before, strict=True))
        )
        assert [pusher.failures for pusher in pushers] == [[]] * len(pushers)
        check_pushers(hub, pushers, everything=True)
        assert registry.stop() == 0
        registry.start()  # which brings links up to date for which there was no room
        assert registry.stop() == 0
        check_links(registry.tree)
        assert list((registry.tree / "matou" / "tmp").iterdir()) == []


def _work(pushers: list[Pusher], is_enough: Callable[[], bool]) -> None:
    with at_work(pushers):
        wait_until(is_enough)


def writes(hub: Hub, image: Image) -> dict[str, Callable[[], httpx.Response]]:
    """Return every kind of request that needs room; to begin an upload is to make a file without content."""
    uploads, small, large = "/v2/a/b/blobs/uploads/", blob(5000), blob(3 << 20)
    begun = hub.ask("POST", uploads)
    assert begun.status_code == 202
    location = begun.headers["location"]
    manifest, typed = image.manifest.content, {"Content-Type": image.manifest.media_type}
    return {
        "small blob": lambda: hub.ask("POST", uploads, params={"digest": small.digest}, content=small.content),
        "large blob": lambda: hub.ask("POST", uploads, params={"digest": large.digest}, content=large.content),
        "chunk": lambda: hub.ask("PATCH", location, content=large.content),
        "mount": lambda: hub.ask(
            "POST", "/v2/c/blobs/uploads/", params={"mount": image.blobs[0].digest, "from": "a/b"}
        ),
        "manifest": lambda: hub.ask("PUT", "/v2/a/b/manifests/new", content=manifest + b"\n", headers=typed),
        "tag": lambda: hub.ask("PUT", "/v2/a/b/manifests/other", content=manifest, headers=typed),
        "delete": lambda: hub.ask("DELETE", "/v2/a/b/manifests/gone"),
    }


def test_every_write_says_that_the_disk_is_full_and_works_when_there_is_room(
    disk: Disk, registry: MatouRegistry
) -> None:
    with connected(registry) as hub:
        image = hub.push_image("a/b", "t", "gone", layers=2)
        asked = writes(hub, image)
        disk.fill()
        for kind, ask in asked.items():
            answer = ask()
            assert (kind, answer.status_code, codes(answer)) == (kind, 503, ["UNAVAILABLE"])
            assert FULL in answer.text
            disk.fill()  # what was written of it is given back
        assert {answer.status for answer in hub.snapshot(image.paths("t", "gone")).values()} == {200}
        disk.make_room()
        for kind, ask in asked.items():
            assert (kind, ask().status_code) in {(kind, 201), (kind, 202)}
        assert {answer.status for answer in hub.snapshot(image.paths("t", "other")).values()} == {200}
        assert hub.tags("a/b") == ["new", "other", "t"]


def test_a_start_on_a_full_disk_serves_pulls(disk: Disk, registry: MatouRegistry) -> None:
    with connected(registry) as hub:
        image = hub.push_image("a/b", "t")
        disk.fill()
        assert registry.stop() == 0
        disk.fill()
        registry.start()
        assert {answer.status for answer in hub.snapshot(image.paths("t")).values()} == {200}
        disk.fill()
        small = blob(5000)
        pushed = hub.ask("POST", "/v2/a/b/blobs/uploads/", params={"digest": small.digest}, content=small.content)
        assert pushed.status_code == 503
        disk.make_room()
        after = hub.push_image("a/b", "after")
        registry.kill()
        disk.fill()
        registry.start()
        assert {answer.status for answer in hub.snapshot([*image.paths("t"), *after.paths("after")]).values()} == {200}


def test_a_first_start_on_a_full_disk_says_so(disk: Disk, registry: MatouRegistry) -> None:
    with connected(registry) as hub:
        image = hub.push_image("a/b", "t")
        assert registry.stop() == 0
        (registry.tree / "matou" / "index.db").unlink()
        (registry.tree / "matou" / "reserve").unlink()
        disk.fill()
        with pytest.raises(AssertionError, match="ended with 1"):
            registry.start()
        assert "no space left for the index; make room on the disk that holds the storage tree" in registry.tail()
        disk.make_room()
        registry.start()
        assert {answer.status for answer in hub.snapshot(image.paths("t")).values()} == {200}
