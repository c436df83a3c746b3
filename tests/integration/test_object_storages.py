"""The registry, and people's clients, on each object storage: clients are sent on to the storage, and not."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from matou.config.distribution import load_configuration
from matou.registry.drivers.factory import open_driver
from tests.clients.programs import Client, Podman, Skopeo
from tests.integration.hub import Hub
from tests.registry_http.content import OCTETS, Blob, blob
from tests.servers.matou_registry import MatouRegistry, running_registry
from tests.servers.object_storages import OBJECT_STORAGES, ObjectStorage
from tests.servers.oci_layout import PLATFORMS, write_layout

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "team/app"
TREE = "docker/registry/v2"
MODES = ("redirected", "streamed")


@pytest.fixture(scope="module", params=OBJECT_STORAGES)
def storage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStorage]:
    with OBJECT_STORAGES[request.param](tmp_path_factory.mktemp("storage")) as running:
        yield running


@pytest.fixture(scope="module")
def started(storage: ObjectStorage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, MatouRegistry]]:
    """Yield two registries of one machine on one storage: one sends clients on to it, the other does not."""
    folder = tmp_path_factory.mktemp("registries")
    variables = {**storage.variables, "MATOU_REGISTRY_STATE": str(folder / "state")}
    with contextlib.ExitStack() as stack:
        found = {}
        for mode in MODES:
            redirect = {"disable": mode == "streamed"}
            sections = {"storage": {**storage.section, "redirect": redirect}, "log": {"level": "debug"}}
            found[mode] = stack.enter_context(running_registry(folder / mode, sections, 1, variables))
        yield found
    for registry in found.values():
        assert registry.tracebacks() == []
        for log in (registry.log, registry.access_log):
            assert not any(secret in log.read_text() for secret in storage.secrets)


@pytest.fixture
def pair(started: dict[str, MatouRegistry]) -> dict[str, MatouRegistry]:
    """Return them running, whatever the test before has done."""
    for registry in started.values():
        if registry.process is None:
            registry.start()
    return started


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def registry(pair: dict[str, MatouRegistry], mode: str) -> MatouRegistry:
    return pair[mode]


@pytest.fixture
def hub(registry: MatouRegistry) -> Iterator[Hub]:
    with contextlib.closing(Hub(registry.url)) as client:
        yield client


@pytest.fixture(params=[Skopeo, Podman])
def client(request: pytest.FixtureRequest, registry: MatouRegistry) -> Iterator[Client]:
    with tempfile.TemporaryDirectory(prefix="m") as short:  # podman's sockets have short paths
        yield request.param(Path(short) / "client", registry.address)


def pulled(hub: Hub, content: Blob) -> bytes:
    """Return a blob, wherever it comes from."""
    answer = hub.ask("GET", f"/v2/{NAME}/blobs/{content.digest}", follow_redirects=True)
    assert answer.status_code == 200, answer.text
    return answer.content


def paths(registry: MatouRegistry) -> set[str]:
    """Return the paths of all that the storage has."""

    async def walked() -> set[str]:
        driver = open_driver(load_configuration(registry.folder / "config.yml", {}))
        try:
            return {path async for path, _ in driver.walk("")}
        finally:
            await driver.close()

    with pytest.MonkeyPatch.context() as environment:
        for name, value in registry.variables.items():
            environment.setenv(name, value)
        return asyncio.run(walked())


def test_push_and_pull(client: Client, mode: str) -> None:
    reference = client.reference(f"team/{mode}-{type(client).__name__.lower()}", "one")
    client.push(reference)
    client.pull(reference)


def test_all_platforms_and_deleting(registry: MatouRegistry, mode: str, tmp_path: Path) -> None:
    skopeo = Skopeo(tmp_path / "skopeo", registry.address)
    write_layout(tmp_path / "layout", "two", f"two platforms of {tmp_path}")
    first, second = (skopeo.reference(f"{mode}/{name}", "two") for name in ("first", "second"))
    skopeo.push_layout(tmp_path / "layout", "two", first)
    skopeo.copy(first, second)
    skopeo.pull_layout(second, tmp_path / "back")
    ours, theirs = (tmp_path / name / "blobs" / "sha256" for name in ("layout", "back"))
    assert {path.name: path.read_bytes() for path in theirs.iterdir()} == {
        path.name: path.read_bytes() for path in ours.iterdir()
    }
    assert len(json.loads(skopeo.inspect(second))["manifests"]) == len(PLATFORMS)
    skopeo.delete(second)
    skopeo.pull(first)


def test_blobs_come_from_the_storage_or_through_the_registry(storage: ObjectStorage, hub: Hub, mode: str) -> None:
    content = hub.push_blob(NAME, blob(2 * storage.segment + 17), chunk=storage.segment * 4 // 5)
    path = f"/v2/{NAME}/blobs/{content.digest}"
    for method in ("GET", "HEAD"):
        answer = hub.ask(method, path)
        assert answer.headers["Docker-Content-Digest"] == content.digest
        if mode == "redirected":
            assert answer.status_code == 307
            answer = httpx.request(method, answer.headers["Location"], trust_env=False)
        assert answer.status_code == 200
        assert answer.content == (content.content if method == "GET" else b"")
        assert answer.headers["Content-Length"] == str(len(content.content))
    for first, last in ((10, 19), (storage.segment - 5, storage.segment + 4)):
        part = hub.ask("GET", path, headers={"Range": f"bytes={first}-{last}"}, follow_redirects=True)
        assert (part.status_code, part.content) == (206, content.content[first : last + 1])


def test_what_was_pushed_is_deleted(hub: Hub) -> None:
    image = hub.push_image(NAME, "gone", layers=2)
    hub.delete(f"/v2/{NAME}/manifests/{image.manifest.digest}")
    assert hub.get(f"/v2/{NAME}/manifests/gone").status == 404


def test_each_registry_serves_what_the_other_has_stored(pair: dict[str, MatouRegistry]) -> None:
    one, other = pair.values()
    with contextlib.closing(Hub(one.url)) as here, contextlib.closing(Hub(other.url)) as there:
        # Whatever each has found out on its own, such as a key for temporary URLs, is the same.
        for pusher, puller in ((here, there), (there, here)):
            content = pusher.push_blob(NAME, blob())
            assert pulled(puller, content) == content.content


def test_an_upload_and_all_images_outlive_the_registries(
    storage: ObjectStorage, pair: dict[str, MatouRegistry]
) -> None:
    one, other = pair.values()
    content = blob(3 * storage.segment + 11)
    first, second = storage.segment + 7, 2 * storage.segment + 3
    octets = {"Content-Type": OCTETS}
    with contextlib.closing(Hub(one.url)) as here, contextlib.closing(Hub(other.url)) as there:
        location = here.ask("POST", f"/v2/{NAME}/blobs/uploads/").headers["Location"]
        answer = there.ask("PATCH", on(other, location), content=content.content[:first], headers=octets)
        assert answer.status_code == 202, answer.text
        image = there.push_image("team/kept", "v1", layers=2)
        other.kill()
        location = on(one, answer.headers["Location"])
        assert here.ask("GET", location).headers["Range"] == f"0-{first - 1}"
        answer = here.ask("PATCH", location, content=content.content[first:second], headers=octets)
        assert answer.status_code == 202, answer.text
        here.push_image("team/kept", "v2")
        expected = here.snapshot(f"/v2/team/kept/manifests/{tag}" for tag in ("v1", "v2"))
        assert {shown.status for shown in expected.values()} == {200}
    one.stop()
    # The index is lost, too: the storage is the archive.
    shutil.rmtree(one.variables["MATOU_REGISTRY_STATE"])
    other.start()
    with contextlib.closing(Hub(other.url)) as there:
        assert there.snapshot(expected) == expected
        assert there.tags("team/kept") == ["v1", "v2"]
        location = f"{on(other, answer.headers['Location'])}&digest={content.digest}"
        answer = there.ask("PUT", location, content=content.content[second:], headers=octets)
        assert answer.status_code == 201, answer.text
        assert pulled(there, content) == content.content
        found = paths(other)
        digest = image.manifest.digest.removeprefix("sha256:")
        assert f"{TREE}/blobs/sha256/{digest[:2]}/{digest}/data" in found
        assert f"{TREE}/repositories/team/kept/_manifests/tags/v1/current/link" in found
        assert [path for path in found if "_uploads" in path or "staging" in path] == []
        there.delete(f"/v2/team/kept/manifests/{image.manifest.digest}")
        assert there.tags("team/kept") == ["v2"]


def on(registry: MatouRegistry, location: str) -> str:
    """Return where an upload is at another registry."""
    return registry.url + httpx.URL(location).raw_path.decode()
