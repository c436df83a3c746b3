"""The registry on Azure Blob Storage, Azurite: what is Azure's own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from matou.cli.application import run
from tests.drivers.azure_driver import container_of, names, put_append_blob
from tests.integration.hub import Hub
from tests.registry_http.content import OCTETS, blob
from tests.servers.azurite import KEY, Azurite, running_azurite, section
from tests.servers.docker_registry import running_docker_registry
from tests.servers.matou_registry import MatouRegistry, running_registry
from tests.servers.program import MATOU, environment, refusal

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


def test_a_blob_in_one_request_is_not_copied(server: Azurite, tmp_path: Path) -> None:
    azure = section(server, debug_log=True)
    sections = {"storage": {"azure": azure}, "log": {"level": "debug"}}
    with running_registry(tmp_path, sections, 1) as registry, contextlib.closing(Hub(registry.url)) as hub:
        whole, chunked = blob(9 * MIB), blob(9 * MIB + 17)
        answer = hub.ask(
            "POST",
            f"/v2/{NAME}/blobs/uploads/",
            params={"digest": whole.digest},
            content=whole.content,
            headers={"Content-Type": OCTETS},
        )
        assert answer.status_code == 201, answer.text
        assert registry.log.read_text().count("azure: copy ") == 0
        hub.push_blob(NAME, chunked, chunk=5 * MIB)
        assert registry.log.read_text().count("azure: copy ") == 1
        for content in (whole, chunked):
            pulled = hub.ask("GET", f"/v2/{NAME}/blobs/{content.digest}", follow_redirects=True)
            assert pulled.content == content.content
        assert registry.tracebacks() == []
        log = registry.log.read_text()
    assert not any(secret in log for secret in ("sig=", KEY))
    left = asyncio.run(names(server, azure["container"], uncommitted=True))
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
    with contextlib.closing(Hub(registry.url)) as hub:
        for path in image.paths("one"):
            assert hub.ask("GET", path, headers={"Accept": "*/*"}, follow_redirects=True).status_code == 200
        for content in image.blobs:
            answer = hub.ask("GET", f"/v2/{NAME}/blobs/{content.digest}", follow_redirects=True)
            assert answer.content == content.content
        hub.push_blob(NAME, image.blobs[1])
        hub.push_image(NAME, "two")


@pytest.mark.parametrize("legacy", [True, False], ids=["before_16_0", "since_16_0"])
def test_a_container_of_either_convention(
    server: Azurite,
    tmp_path: Path,
    written_by_distribution: tuple[Path, Image],
    legacy: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the setting that fits it is served; with the other one the start says which."""
    tree, image = written_by_distribution
    azure = section(server)
    container = azure["container"]
    files = {path.relative_to(tree).as_posix(): path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    asyncio.run(lay_out(server, container, "/" * legacy, files))
    # As the guide writes it; the default is that of 16.0.
    wrong = {} if legacy else {"trimlegacyrootprefix": "false"}
    registry = MatouRegistry(tmp_path, {"storage": {"azure": azure | wrong}})
    configuration = str(registry.write_configuration())
    advice = f"set storage.azure.trimlegacyrootprefix: {str(not legacy).lower()}"
    assert advice in refusal(configuration, **registry.variables)
    monkeypatch.setenv("MATOU_REGISTRY_STATE", registry.variables["MATOU_REGISTRY_STATE"])
    for command in (("registry", "reindex"), ("storage", "check-access")):
        assert run([*command, configuration]) == 1
        assert advice in "".join(capsys.readouterr())
    right = {"trimlegacyrootprefix": "false" if legacy else "true"}
    with running_registry(tmp_path, {"storage": {"azure": azure | right}}, 1) as running:
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
        return {"azure": section(server, container=container, trimlegacyrootprefix=is_trimmed)}

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
