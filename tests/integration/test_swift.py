"""The registry on OpenStack Swift, alone and in turn with Debian's docker-registry on one container."""

from __future__ import annotations

import contextlib
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import httpx
import pytest

from tests.clients.programs import Client, Podman, Skopeo
from tests.integration.hub import Hub
from tests.integration.population import Population, populate
from tests.registry_http.content import OCTETS, blob
from tests.servers.docker_registry import DOCUMENT, running_docker_registry
from tests.servers.matou_registry import MatouRegistry, running_registry
from tests.servers.swift import KEY, USER, SwiftServer, running_swift

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "team/app"
MIB = 1 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwiftServer]:
    with running_swift(tmp_path_factory.mktemp("swift")) as running:
        yield running


def swift(server: SwiftServer, container: str, **given: Any) -> dict[str, Any]:
    """Return ``storage.swift`` with the smallest segments there are."""
    account = {"username": USER, "password": KEY, "authurl": server.auth_url}
    return account | {"container": container, "chunksize": MIB} | given


def sections(storage: dict[str, Any], *, is_redirected: bool = True) -> dict[str, Any]:
    return {"storage": {"swift": storage, "redirect": {"disable": not is_redirected}}, "log": {"level": "debug"}}


@contextlib.contextmanager
def matou(folder: Path, storage: dict[str, Any]) -> Iterator[Hub]:
    given = sections(storage, is_redirected=False)
    with running_registry(folder, given, 1) as registry, contextlib.closing(Hub(registry.url)) as hub:
        yield hub
        assert registry.tracebacks() == []


@contextlib.contextmanager
def docker(folder: Path, storage: dict[str, Any]) -> Iterator[Hub]:
    folder.mkdir()
    stored = {**DOCUMENT["storage"], "swift": storage, "redirect": {"disable": True}}
    document = {**DOCUMENT, "storage": stored}
    with running_docker_registry(folder, None, document) as registry, contextlib.closing(Hub(registry.url)) as hub:
        yield hub


@pytest.fixture(scope="module", params=[True, False], ids=["redirected", "streamed"])
def registry(
    request: pytest.FixtureRequest, server: SwiftServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MatouRegistry]:
    given = sections(swift(server, f"registry-{secrets.token_hex(4)}"), is_redirected=request.param)
    with running_registry(tmp_path_factory.mktemp("registry"), given) as running:
        yield running
        assert running.tracebacks() == []
        for secret in ("temp_url_sig", f"password: {KEY}", "AUTH_tk"):
            assert secret not in running.log.read_text()
            assert secret not in running.access_log.read_text()


@pytest.fixture
def hub(registry: MatouRegistry) -> Iterator[Hub]:
    with contextlib.closing(Hub(registry.url)) as client:
        yield client


def is_redirected(registry: MatouRegistry) -> bool:
    return not registry.sections["storage"]["redirect"]["disable"]


@pytest.mark.parametrize("kind", [Skopeo, Podman])
def test_clients_push_and_pull(registry: MatouRegistry, kind: type[Client]) -> None:
    with tempfile.TemporaryDirectory(prefix="swift-") as short:  # podman's sockets have short paths
        client = kind(Path(short) / "client", registry.address)
        reference = client.reference(NAME, kind.__name__.lower())
        client.push(reference)
        client.pull(reference)


def test_blobs_come_from_the_storage_or_through_the_registry(registry: MatouRegistry, hub: Hub) -> None:
    content = hub.push_blob(NAME, blob(5 * MIB + 17), chunk=2 * MIB)
    path = f"/v2/{NAME}/blobs/{content.digest}"
    for method in ("GET", "HEAD"):
        answer = hub.ask(method, path)
        assert answer.status_code == (307 if is_redirected(registry) else 200)
        if is_redirected(registry):
            answer = httpx.request(method, answer.headers["Location"], trust_env=False)
            assert answer.status_code == 200
        assert answer.content == (content.content if method == "GET" else b"")
        assert answer.headers["Content-Length"] == str(len(content.content))
    part = hub.ask("GET", path, headers={"Range": f"bytes={MIB - 5}-{MIB + 4}"}, follow_redirects=True)
    assert (part.status_code, part.content) == (206, content.content[MIB - 5 : MIB + 5])


def test_two_registries_on_one_container(server: SwiftServer, tmp_path: Path) -> None:
    content = blob(5 * MIB + 11)
    half = 2 * MIB + 7
    container = f"registry-{secrets.token_hex(4)}"
    given = sections(swift(server, container))
    state = {"MATOU_REGISTRY_STATE": str(tmp_path / "state")}
    with (
        running_registry(tmp_path / "1", given, 1, state) as first,
        running_registry(tmp_path / "2", given, 1, state) as second,
    ):
        begun = httpx.post(f"{first.url}/v2/{NAME}/blobs/uploads/", trust_env=False)
        patched = httpx.patch(
            urljoin(second.url, httpx.URL(begun.headers["Location"]).raw_path.decode()),
            content=content.content[:half],
            trust_env=False,
        )
        assert patched.status_code == 202, patched.text
        first.kill()
        first.start()
        location = httpx.URL(urljoin(first.url, httpx.URL(patched.headers["Location"]).raw_path.decode()))
        finished = httpx.put(
            location.copy_merge_params({"digest": content.digest}),
            content=content.content[half:],
            headers={"Content-Type": OCTETS},
            trust_env=False,
        )
        assert finished.status_code == 201, finished.text
        pulled = httpx.get(f"{first.url}/v2/{NAME}/blobs/{content.digest}", follow_redirects=True, trust_env=False)
        assert pulled.content == content.content
        # Each has found a key for temporary URLs on its own: it is the same.
        with contextlib.closing(Hub(second.url)) as hub:
            other = hub.push_blob(NAME, blob(2 * MIB))
            assert hub.ask("GET", f"/v2/{NAME}/blobs/{other.digest}", follow_redirects=True).content == other.content
    with server.container(container) as found:
        assert [name for name in found.names("files/") if "_uploads" in name or "staging" in name] == []


def picture(hub: Hub, population: Population) -> dict[str, Any]:
    # In object storage Distribution takes a repository whose tags are gone for one that never was.
    tags = {name: hub.tags(name) or None for name in population.repositories}
    return hub.snapshot(population.paths) | tags


def test_a_container_of_docker_registry_is_served_by_us_and_the_other_way_round(
    server: SwiftServer, tmp_path: Path
) -> None:
    container = f"registry-{secrets.token_hex(4)}"
    # Distribution takes slashes from the start only, and does not look at rootdirectory.
    storage = swift(server, container, prefix="/a/b/", rootdirectory="/elsewhere")
    with docker(tmp_path / "1", storage) as hub:
        theirs = populate(hub, "theirs", empty=False)
        large = hub.push_blob("theirs/large", blob(4 * MIB + 3), chunk=2 * MIB)
        expected = picture(hub, theirs)
    with matou(tmp_path / "2", storage) as hub:
        assert picture(hub, theirs) == expected
        image = hub.push_image("ours/app", "v1", layers=2)
        mine = hub.push_blob("ours/large", blob(4 * MIB + 5), chunk=2 * MIB)
        assert hub.ask("GET", f"/v2/theirs/large/blobs/{large.digest}").content == large.content
        both = theirs.and_then(Population(image.paths("v1"), ["ours/app"]))
        expected = picture(hub, both)
    with docker(tmp_path / "3", storage) as hub:
        assert picture(hub, both) == expected
        assert hub.ask("GET", f"/v2/ours/large/blobs/{mine.digest}").content == mine.content
    with server.container(container) as found:
        heads = [found.ask("HEAD", name) for name in found.names("a/b//files/docker/registry/v2/blobs/")]
        assert sum("x-object-manifest" in head.headers for head in heads) > 3
        assert sum("x-static-large-object" in head.headers for head in heads) == 1
        assert all(name.startswith(("a/b//files/", "a/b//segments/")) for name in found.names())


def test_a_swift_that_dies_and_comes_back(server: SwiftServer, registry: MatouRegistry, hub: Hub) -> None:
    stored = hub.push_blob(NAME, blob(3 * MIB))
    path = f"/v2/{NAME}/blobs/{stored.digest}"
    server.kill()
    try:
        begun = hub.ask("POST", f"/v2/{NAME}/blobs/uploads/")
        assert begun.status_code == 503
        assert "127.0.0.1" not in begun.text
        if not is_redirected(registry):
            assert hub.ask("GET", path).status_code == 503
    finally:
        server.start()  # its tokens are gone, too
    assert hub.ask("GET", path, follow_redirects=True).content == stored.content
    again = hub.push_blob(NAME, blob(3 * MIB))
    assert hub.ask("GET", f"/v2/{NAME}/blobs/{again.digest}", follow_redirects=True).content == again.content
