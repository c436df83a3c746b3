"""The registry on Azure Blob Storage: Azurite."""

from __future__ import annotations

import asyncio
import json
import subprocess
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import httpx
import pytest

from tests.clients.programs import Skopeo
from tests.drivers.azure_driver import container_of, names, put_append_blob
from tests.integration.hub import Hub
from tests.registry_http.content import OCTETS, blob
from tests.servers.azurite import ACCOUNT, KEY, Azurite, running_azurite
from tests.servers.docker_registry import running_docker_registry
from tests.servers.matou_registry import MatouRegistry, running_registry
from tests.servers.program import MATOU, environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.hub import Image

NAME = "team/app"
MIB = 1 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with running_azurite(tmp_path_factory.mktemp("azurite")) as running:
        yield running


def sections(
    server: Azurite, container: str, options: dict[str, Any] | None = None, *, is_redirected: bool = True
) -> dict[str, Any]:
    account = {"accountname": ACCOUNT, "accountkey": KEY, "serviceurl": server.url()}
    azure = {**account, "container": container, **(options or {})}
    return {"storage": {"azure": azure, "redirect": {"disable": not is_redirected}}, "log": {"level": "debug"}}


@pytest.fixture(scope="module", params=[True, False], ids=["redirected", "streamed"])
def registry(
    request: pytest.FixtureRequest, server: Azurite, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MatouRegistry]:
    given = sections(server, server.new_container(), {"debug_log": True}, is_redirected=request.param)
    with running_registry(tmp_path_factory.mktemp("registry"), given) as running:
        yield running
        assert running.tracebacks() == []
        for log in (running.log, running.access_log):
            assert "sig=" not in log.read_text()
            assert KEY not in log.read_text()


@pytest.fixture
def hub(registry: MatouRegistry) -> Iterator[Hub]:
    client = Hub(registry.url)
    yield client
    client.close()


def is_redirected(registry: MatouRegistry) -> bool:
    return not registry.sections["storage"]["redirect"]["disable"]


def test_skopeo_pushes_and_pulls(registry: MatouRegistry, tmp_path: Path) -> None:
    skopeo = Skopeo(tmp_path / "skopeo", registry.address)
    reference = skopeo.reference(NAME, "one")
    skopeo.push(reference)
    skopeo.copy(reference, skopeo.reference("team/copy", "one"))
    skopeo.pull(reference)
    skopeo.pull(skopeo.reference("team/copy", "one"))


def test_blobs_come_from_the_storage_or_through_the_registry(registry: MatouRegistry, hub: Hub) -> None:
    content = hub.push_blob(NAME, blob(9 * MIB + 17), chunk=5 * MIB)
    path = f"/v2/{NAME}/blobs/{content.digest}"
    for method in ("GET", "HEAD"):
        answer = hub.ask(method, path)
        assert answer.status_code == (307 if is_redirected(registry) else 200)
        if is_redirected(registry):
            assert answer.headers["Docker-Content-Digest"] == content.digest
            answer = httpx.request(method, answer.headers["Location"], trust_env=False)
            assert answer.status_code == 200
        assert answer.content == (content.content if method == "GET" else b"")
        assert answer.headers["Content-Length"] == str(len(content.content))
    part = hub.ask("GET", path, headers={"Range": "bytes=10-19"}, follow_redirects=True)
    assert (part.status_code, part.content) == (206, content.content[10:20])


def test_a_blob_in_one_request_is_not_copied(registry: MatouRegistry, hub: Hub) -> None:
    content = blob(9 * MIB)
    before = registry.log.read_text().count("azure: copy ")
    answer = hub.ask(
        "POST",
        f"/v2/{NAME}/blobs/uploads/",
        params={"digest": content.digest},
        content=content.content,
        headers={"Content-Type": OCTETS},
    )
    assert answer.status_code == 201, answer.text
    assert registry.log.read_text().count("azure: copy ") == before
    pulled = hub.ask("GET", f"/v2/{NAME}/blobs/{content.digest}", follow_redirects=True)
    assert pulled.content == content.content


def test_what_was_pushed_is_deleted(hub: Hub) -> None:
    image = hub.push_image(NAME, "gone", layers=2)
    hub.delete(f"/v2/{NAME}/manifests/{image.manifest.digest}")
    assert hub.get(f"/v2/{NAME}/manifests/gone").status == 404


def test_an_upload_is_finished_by_another_registry_when_its_own_is_killed(server: Azurite, tmp_path: Path) -> None:
    content = blob(20 * MIB + 11)
    half = 10 * MIB + 7
    container = server.new_container()
    state = {"MATOU_REGISTRY_STATE": str(tmp_path / "state")}
    registry = MatouRegistry(tmp_path / "one", sections(server, container), variables=state)
    other = MatouRegistry(tmp_path / "other", sections(server, container), variables=state)
    try:
        registry.start()
        other.start()
        begun = httpx.post(f"{registry.url}/v2/{NAME}/blobs/uploads/", trust_env=False)
        patched = httpx.patch(
            urljoin(registry.url, begun.headers["Location"]), content=content.content[:half], trust_env=False
        )
        assert patched.status_code == 202
        registry.kill()
        path = httpx.URL(patched.headers["Location"]).raw_path.decode()
        location = urljoin(other.url, path)
        assert httpx.get(location, trust_env=False).headers["Range"] == f"0-{half - 1}"
        finished = httpx.put(
            str(httpx.URL(location).copy_merge_params({"digest": content.digest})),
            content=content.content[half:],
            headers={"Content-Type": OCTETS},
            trust_env=False,
        )
        assert finished.status_code == 201, finished.text
        pulled = httpx.get(f"{other.url}/v2/{NAME}/blobs/{content.digest}", follow_redirects=True, trust_env=False)
        assert pulled.content == content.content
    finally:
        registry.stop()
        other.stop()
    left = asyncio.run(names(server, container, uncommitted=True))
    assert [name for name in left if "_uploads" in name or "staging" in name] == []


@pytest.fixture(scope="module")
def written_by_distribution(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Image]:
    """Return a tree of Debian's docker-registry and what was pushed into it."""
    folder = tmp_path_factory.mktemp("distribution")
    tree = folder / "tree"
    with running_docker_registry(folder, tree) as registry:
        hub = Hub(registry.url)
        image = hub.push_image(NAME, "one", layers=2)
        hub.close()
    return tree, image


async def lay_out(server: Azurite, container: str, prefix: str, files: dict[str, bytes]) -> None:
    """Store files as Distribution's driver does: those that grow while they are written are append blobs."""
    async with container_of(server, container) as client:
        for name, content in files.items():
            if name.endswith("/data"):
                await put_append_blob(server, container, f"{prefix}{name}", content)
            else:
                await client.upload_blob(f"{prefix}{name}", content)


def pulls(registry: MatouRegistry, image: Image) -> None:
    hub = Hub(registry.url)
    for path in image.paths("one"):
        assert hub.ask("GET", path, headers={"Accept": "*/*"}, follow_redirects=True).status_code == 200
    for content in image.blobs:
        answer = hub.ask("GET", f"/v2/{NAME}/blobs/{content.digest}", follow_redirects=True)
        assert answer.content == content.content
    hub.push_blob(NAME, image.blobs[1])
    hub.push_image(NAME, "two")
    hub.close()


@pytest.mark.parametrize("legacy", [True, False], ids=["before_16_0", "since_16_0"])
def test_a_container_of_either_convention(
    server: Azurite, tmp_path: Path, written_by_distribution: tuple[Path, Image], legacy: bool
) -> None:
    """With the setting that fits it is served; with the other one the start says which."""
    tree, image = written_by_distribution
    container = server.new_container()
    files = {path.relative_to(tree).as_posix(): path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    asyncio.run(lay_out(server, container, "/" * legacy, files))
    # As the guide writes it; the default is that of 16.0.
    wrong = {"trimlegacyrootprefix": "false"} if not legacy else {}
    registry = MatouRegistry(tmp_path, sections(server, container, wrong))
    for command in (("registry", "serve"), ("registry", "reindex"), ("storage", "check-access")):
        done = subprocess.run(
            [MATOU, *command, registry.write_configuration()],
            env=environment(**registry.variables),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 1
        assert f"set storage.azure.trimlegacyrootprefix: {str(not legacy).lower()}" in done.stdout + done.stderr
    right = {"trimlegacyrootprefix": "false"} if legacy else {"trimlegacyrootprefix": "true"}
    with running_registry(tmp_path, sections(server, container, right)) as running:
        pulls(running, image)
        assert running.tracebacks() == []
    assert {name.startswith("/") for name in asyncio.run(names(server, container))} == {legacy}


def test_a_migration_sees_a_tree_whose_names_begin_the_other_way(server: Azurite, tmp_path: Path) -> None:
    container = server.new_container()
    tree = {"filesystem": {"rootdirectory": str(tmp_path / "tree")}}
    link = tmp_path / "tree/docker/registry/v2/repositories/team/app/_layers/sha256" / ("0" * 64) / "link"
    link.parent.mkdir(parents=True)
    link.write_text("sha256:" + "0" * 64)

    def migrate(source: dict[str, Any], destination: dict[str, Any], *options: str) -> tuple[int, str]:
        paths = []
        for name, storage in (("a", source), ("b", destination)):
            paths.append(tmp_path / f"{name}.yml")
            paths[-1].write_text(json.dumps({"version": 0.1, "storage": storage, "http": {"addr": ":1"}}))
        done = subprocess.run(
            [MATOU, "storage", "migrate", "--from", paths[0], "--to", paths[1], *options],
            env=environment(MATOU_REGISTRY_STATE=str(tmp_path / "state")),
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stderr

    def azure(*, is_trimmed: bool) -> dict[str, Any]:
        given = sections(server, container, {"trimlegacyrootprefix": is_trimmed})
        return {"azure": given["storage"]["azure"]}

    assert migrate(tree, azure(is_trimmed=False)) == (0, "")
    wrong = azure(is_trimmed=True)
    for option, sides in (("--to", (tree, wrong)), ("--from", (wrong, tree))):
        for more in ((), ("--dry-run",)):
            status, error = migrate(*sides, *more)
            assert (status, error.startswith(f"matou: {option}: azure: the container {container} has no")) == (1, True)
            assert "set storage.azure.trimlegacyrootprefix: false" in error
    # From one way to the other in one container is what the guide advises.
    assert migrate(azure(is_trimmed=False), wrong) == (0, "")
    assert {name.partition("docker")[0] for name in asyncio.run(names(server, container))} >= {"/", ""}
