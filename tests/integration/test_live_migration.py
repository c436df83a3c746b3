"""``matou storage migrate --live``: pushes and pulls go on while the storage is exchanged for another one."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.integration.hub import Hub, Image
from tests.registry_http.content import OCI_CONFIG, blob, image
from tests.servers.docker_registry import running_docker_registry
from tests.servers.matou_registry import MatouRegistry
from tests.servers.program import MATOU, environment
from tests.servers.seaweedfs import SeaweedFS, section
from tests.servers.waiting import wait_until
from tests.soak.pusher import Pusher, at_work
from tests.soak.survey import check_links, check_pushers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.registry_http.content import Blob

NAME = "team/app"
PUSHERS = 3
SEED = int(os.environ.get("MATOU_SOAK_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)


class Storage:
    """Where images may be, with the configuration that names it.

    Args:
        folder: of the configuration.
        name: of both.
        section: of the driver; a directory unless given.
    """

    def __init__(self, folder: Path, name: str, section: dict[str, Any] | None = None) -> None:
        self.root = folder / name
        self.state = folder / "state"
        self.section = section or {"filesystem": {"rootdirectory": str(self.root)}}
        self.path = folder / f"{name}.yml"
        document = {
            "version": 0.1,
            "storage": {**self.section, "delete": {"enabled": True}, "redirect": {"disable": True}},
            "http": {"addr": "127.0.0.1:1"},
        }
        self.path.write_text(yaml.safe_dump(document))


def in_bucket(folder: Path, name: str, server: SeaweedFS) -> Storage:
    return Storage(folder, name, {"s3": section(server.url, rootdirectory=name, maxrequestspersecond=0)})


def registry_on(storage: Storage, folder: Path) -> MatouRegistry:
    """Return a registry that is started with a storage."""
    sections = {"storage": {**storage.section, "redirect": {"disable": True}}, "log": {"level": "warn"}}
    registry = MatouRegistry(folder, sections)
    registry.variables["MATOU_REGISTRY_STATE"] = str(storage.state)
    registry.tree = storage.root
    return registry


@contextlib.contextmanager
def migrating(source: Storage, destination: Storage, *options: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [MATOU, "storage", "migrate", "--live", "--from", source.path, "--to", destination.path, "--json", *options],
        env=environment(MATOU_REGISTRY_STATE=str(source.state)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def migrate(source: Storage, destination: Storage, *options: str) -> dict[str, Any]:
    """Migrate to the end; return the report."""
    with migrating(source, destination, *options) as process:
        out, err = process.communicate(timeout=240)
        assert (process.returncode, err) == (0, ""), (out, err)
    report: dict[str, Any] = json.loads(out)
    return report


@dataclass
class Puller:
    """A client that pulls the same image all the time, and notes every answer that is not right."""

    url: str
    pulled: Image
    wrong: list[str] = field(default_factory=list)
    count: int = 0

    def run(self, stop: threading.Event) -> None:
        with contextlib.closing(Hub(self.url)) as hub:
            while not stop.is_set():
                self._pull(hub)

    def _pull(self, hub: Hub) -> None:
        for path, content in (
            (f"/v2/{self.pulled.repository}/manifests/fixed", self.pulled.manifest.content),
            *((f"/v2/{self.pulled.repository}/blobs/{each.digest}", each.content) for each in self.pulled.blobs),
        ):
            try:
                answer = hub.get(path)
            except Exception as error:  # noqa: BLE001 -- whatever it is, it must not happen
                self.wrong.append(f"{path}: {error!r}")
                continue
            self.count += 1
            if answer.status != 200 or answer.body != content:
                self.wrong.append(f"{path}: {answer.status}, {len(answer.body)} bytes")


@contextlib.contextmanager
def pulling(puller: Puller) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=puller.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class Load:
    """Clients that push and pull all the time.

    Args:
        registry: that runs.
    """

    def __init__(self, registry: MatouRegistry) -> None:
        dice = random.Random(SEED)  # noqa: S311 -- no secret
        self.hub = Hub(registry.url)
        self.pushers = [Pusher(number, registry.url, dice.getrandbits(32), large=1000) for number in range(PUSHERS)]
        fixed = self.hub.push_image(NAME, "fixed", layers=2)
        self.puller = Puller(registry.url, fixed)

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        with at_work(self.pushers), pulling(self.puller):
            yield

    def check(self) -> None:
        """Check that nobody was refused, and that everything that was acknowledged is there."""
        assert self.puller.wrong == []
        assert [failure for pusher in self.pushers for failure in pusher.failures] == []
        assert [broken for pusher in self.pushers for broken in pusher.broken] == []
        assert self.puller.count > 0
        check_pushers(self.hub, self.pushers, everything=True)

    @property
    def acknowledged(self) -> int:
        return sum(pusher.acknowledged for pusher in self.pushers)

    def go_on(self, pushes: int) -> None:
        """Wait for so many pushes more."""
        wanted = self.acknowledged + pushes
        wait_until(lambda: self.acknowledged >= wanted)

    def close(self) -> None:
        self.hub.close()
        for pusher in self.pushers:
            pusher.close()


@contextlib.contextmanager
def running(registry: MatouRegistry) -> Iterator[MatouRegistry]:
    try:
        registry.start()
        yield registry
    finally:
        registry.stop()


def moved_under_load(
    registry: MatouRegistry, source: Storage, destination: Storage, load: Load, *options: str
) -> dict[str, Any]:
    """Migrate while clients are at work; they go on for a moment on the new storage."""
    with load.at_work():
        time.sleep(1)
        report = migrate(source, destination, *options)
        load.go_on(20)
    load.check()
    assert report["switched"]
    assert report["failed"] == 0
    assert report["changes"] > 0
    assert registry.tracebacks() == []
    return report


def test_under_load_nothing_acknowledged_is_lost_and_nobody_is_refused(tmp_path: Path) -> None:
    source, destination = Storage(tmp_path, "old"), Storage(tmp_path, "new")
    registry = registry_on(source, tmp_path / "registry")
    with contextlib.ExitStack() as stack:
        stack.enter_context(running(registry))
        load = Load(registry)
        stack.callback(load.close)
        moved_under_load(registry, source, destination, load)
        # A worker that dies is replaced by one that knows.
        os.kill(registry.worker_pids()[0], signal.SIGKILL)
        wait_until(lambda: len(registry.worker_pids()) == registry.workers)
        check_pushers(load.hub, load.pushers, everything=True)
        # Started with the old configuration, the registry follows.
        assert registry.stop() == 0
        check_links(destination.root)
        registry.start()
        assert "the images were moved to filesystem" in registry.log.read_text()
        check_pushers(load.hub, load.pushers, everything=True)
        after = load.hub.push_image(NAME, "after")
        assert registry.stop() == 0
        assert not (source.root / "docker/registry/v2/blobs").joinpath(*_parts(after.manifest.digest)).exists()
        # The new storage is a tree that others serve, and that indexes as it is.
        with (
            running_docker_registry(tmp_path, destination.root) as other,
            contextlib.closing(Hub(other.url)) as their_hub,
        ):
            check_pushers(their_hub, load.pushers, everything=True)
        destination.path.unlink()
        with pytest.raises(AssertionError, match=r"its configuration cannot be used: .*new\.yml: cannot be read"):
            registry.start()
        assert registry.tracebacks() == []


def _parts(digest: str) -> tuple[str, ...]:
    algorithm, _, hexadecimal = digest.partition(":")
    return algorithm, hexadecimal[:2], hexadecimal, "data"


class SlowPush:
    """A request whose body is sent in two halves.

    Args:
        hub: of the registry.
        method: of the request.
        path: of it.
        content: the body.
    """

    def __init__(self, hub: Hub, method: str, path: str, content: bytes) -> None:
        url = urlsplit(hub.url)
        assert url.hostname is not None
        self._connection = http.client.HTTPConnection(url.hostname, url.port, timeout=120)
        self._rest = content[len(content) // 2 :]
        self._connection.putrequest(method, path.removeprefix(hub.url))
        self._connection.putheader("Content-Type", "application/octet-stream")
        self._connection.putheader("Content-Length", str(len(content)))
        self._connection.endheaders()
        self._connection.send(content[: len(content) // 2])

    def end(self) -> http.client.HTTPResponse:
        self._connection.send(self._rest)
        answer = self._connection.getresponse()
        answer.read()
        return answer

    def close(self) -> None:
        self._connection.close()


def begun(hub: Hub) -> str:
    answer = hub.ask("POST", f"/v2/{NAME}/blobs/uploads/")
    assert answer.status_code == 202
    return str(answer.headers["location"])


@pytest.mark.parametrize("size", [3_000_000], ids=["3 MB"])
def test_pushes_that_take_longer_than_the_exchange_end_well(tmp_path: Path, size: int) -> None:
    source, destination = Storage(tmp_path, "old"), Storage(tmp_path, "new")
    registry = registry_on(source, tmp_path / "registry")
    contents = [blob(size) for _ in range(4)]
    with contextlib.ExitStack() as stack:
        stack.enter_context(running(registry))
        hub = stack.enter_context(contextlib.closing(Hub(registry.url)))
        old = hub.push_image(NAME, "old")
        # In one request; as an upload that is finished with its bytes; with a chunk under way; with one behind it.
        whole = SlowPush(hub, "POST", f"/v2/{NAME}/blobs/uploads/?digest={contents[0].digest}", contents[0].content)
        finishing = SlowPush(hub, "PUT", f"{begun(hub)}&digest={contents[1].digest}", contents[1].content)
        chunk = SlowPush(hub, "PATCH", begun(hub), contents[2].content)
        answer = hub.ask("PATCH", begun(hub), content=contents[3].content[:1_000_000])
        assert answer.status_code == 202
        for push in (whole, finishing, chunk):
            stack.callback(push.close)
        report = migrate(source, destination)
        assert report["switched"]
        assert [push.end().status for push in (whole, finishing)] == [201, 201]
        patched = chunk.end()
        assert patched.status == 202
        location = patched.headers["location"]
        assert hub.ask("PUT", f"{location}&digest={contents[2].digest}").status_code == 201
        answer = hub.ask("PATCH", answer.headers["location"], content=contents[3].content[1_000_000:])
        assert answer.status_code == 202, answer.text
        finished = hub.ask("PUT", f"{answer.headers['location']}&digest={contents[3].digest}")
        assert finished.status_code == 201, finished.text
        # Uploads that are given up, on either storage.
        for answer in (hub.ask("DELETE", begun(hub)), hub.ask("DELETE", _upload_left(hub, source))):
            assert answer.status_code == 204, answer.text
        config = hub.push_blob(NAME, blob())
        pushed = hub.push(NAME, image(config.descriptor(OCI_CONFIG), [each.descriptor() for each in contents]), "slow")
        slow = Image(NAME, pushed, tuple(contents))
        assert {found.status for found in hub.snapshot([*slow.paths("slow"), *old.paths("old")]).values()} == {200}
        assert _all_there(destination.root, contents)
        assert registry.stop() == 0
        check_links(destination.root)
        assert registry.tracebacks() == []


def test_uploads_survive_a_restart_with_either_configuration(tmp_path: Path) -> None:
    source, destination = Storage(tmp_path, "old"), Storage(tmp_path, "new")
    registry = registry_on(source, tmp_path / "registry")
    contents = [blob(300_000) for _ in range(2)]
    with contextlib.ExitStack() as stack:
        stack.enter_context(running(registry))
        hub = stack.enter_context(contextlib.closing(Hub(registry.url)))
        hub.push_image(NAME, "old")
        answers = [hub.ask("PATCH", begun(hub), content=each.content[:100_000]) for each in contents]
        assert migrate(source, destination)["switched"]
        for storage, answer, content in zip((source, destination), answers, contents, strict=True):
            assert registry.stop() == 0
            registry.sections["storage"] = {**storage.section, "redirect": {"disable": True}}
            registry.start()
            location = answer.headers["location"]
            assert hub.ask("GET", location).headers["range"] == "0-99999"
            location = hub.ask("PATCH", location, content=content.content[100_000:]).headers["location"]
            assert hub.ask("PUT", f"{location}&digest={content.digest}").status_code == 201
        assert hub.get(f"/v2/{NAME}/blobs/{contents[0].digest}").status == 200
        assert _all_there(destination.root, contents)
        # An old storage that is gone keeps nobody from starting, and stays gone.
        assert registry.stop() == 0
        shutil.rmtree(source.root)
        registry.start()
        assert hub.get(f"/v2/{NAME}/blobs/{contents[1].digest}").status == 200
        assert not source.root.exists()
        assert registry.tracebacks() == []


def _upload_left(hub: Hub, source: Storage) -> str:
    """Return the path of an upload that was begun on the old storage."""
    uploads = source.root / "docker/registry/v2/repositories" / NAME / "_uploads"
    name = "01234567-89ab-cdef-0123-456789abcdef"
    (uploads / name).touch()
    return f"{hub.url}/v2/{NAME}/blobs/uploads/{name}"


def _all_there(root: Path, contents: list[Blob]) -> bool:
    blobs = root / "docker/registry/v2/blobs"
    return all(blobs.joinpath(*_parts(each.digest)).read_bytes() == each.content for each in contents)


def test_a_migration_that_is_killed_leaves_one_storage_in_charge(tmp_path: Path) -> None:
    print(f"MATOU_SOAK_SEED={SEED}")  # noqa: T201 -- to repeat it
    dice = random.Random(SEED)  # noqa: S311 -- no secret
    source, destination = Storage(tmp_path, "old"), Storage(tmp_path, "new")
    registry = registry_on(source, tmp_path / "registry")
    killed = 0
    with contextlib.ExitStack() as stack:
        stack.enter_context(running(registry))
        load = Load(registry)
        stack.callback(load.close)
        with load.at_work():
            load.go_on(20)
            for _ in range(4):
                with migrating(source, destination) as process:
                    # It takes about a second until it begins.
                    time.sleep(dice.uniform(0.8, 3))
                    process.send_signal(signal.SIGKILL)
                    killed += process.wait() == -signal.SIGKILL
                load.go_on(5)
            report = migrate(source, destination)
            load.go_on(20)
        assert killed
        assert report["switched"]
        load.check()
        assert registry.stop() == 0
        check_links(destination.root)
        registry.start()
        check_pushers(load.hub, load.pushers, everything=True)
        assert registry.tracebacks() == []


def test_all_registries_of_a_storage_change_over_and_back_again(tmp_path: Path) -> None:
    source, destination = Storage(tmp_path, "old"), Storage(tmp_path, "new")
    registries = [registry_on(source, tmp_path / name) for name in ("one", "two")]
    with contextlib.ExitStack() as stack:
        hubs = []
        for registry in registries:
            stack.enter_context(running(registry))
            hubs.append(stack.enter_context(contextlib.closing(Hub(registry.url))))
        first = hubs[0].push_image(NAME, "first")
        for number, (here, there) in enumerate(((source, destination), (destination, source))):
            assert migrate(here, there)["switched"]
            for hub, other in (hubs, hubs[::-1]):
                pushed = hub.push_image(NAME, "latest")
                assert other.get(f"/v2/{NAME}/manifests/latest").body == pushed.manifest.content
                assert (there.root / "docker/registry/v2/blobs").joinpath(*_parts(pushed.manifest.digest)).exists()
                assert not (here.root / "docker/registry/v2/blobs").joinpath(*_parts(pushed.manifest.digest)).exists()
            assert {answer.status for answer in hubs[0].snapshot(first.paths("first")).values()} == {200}
            assert (source.root / "matou" / "moved.json").exists() == (number == 0)
        # Nobody holds anything of the storage that was left.
        for registry in registries:
            wait_until(partial(_has_left, registry, destination.root))
        # Again is no mistake: it is what one does when the first time was cut off.
        report = migrate(destination, source)
        assert (report["switched"], report["objects"]) == (True, 0)


def _has_left(registry: MatouRegistry, root: Path) -> bool:
    """Tell whether no process of a registry has a file of a storage open."""
    assert registry.process is not None
    for pid in (registry.process.pid, *registry.worker_pids()):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                if entry.readlink().is_relative_to(root):
                    return False
    return True


def test_to_object_storage_and_back_under_load(tmp_path: Path, seaweedfs: SeaweedFS) -> None:
    source, bucket = Storage(tmp_path, "old"), in_bucket(tmp_path, "bucket", seaweedfs)
    registry = registry_on(source, tmp_path / "registry")
    with contextlib.ExitStack() as stack:
        stack.enter_context(running(registry))
        load = Load(registry)
        stack.callback(load.close)
        moved_under_load(registry, source, bucket, load)
        # The directory still has what was deleted since.
        with migrating(bucket, source) as process:
            _, err = process.communicate(timeout=120)
        assert (process.returncode, "Add --delete" in err) == (1, True), err
        moved_under_load(registry, bucket, source, load, "--delete")
        assert registry.stop() == 0
        check_links(source.root)
        registry.start()
        check_pushers(load.hub, load.pushers, everything=True)
