"""skopeo and podman with the registry on each object storage: sent on to the storage, and not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.clients.programs import Client, Podman, Skopeo
from tests.servers.matou_registry import MatouRegistry, running_registry
from tests.servers.object_storages import OBJECT_STORAGES, ObjectStorage
from tests.servers.oci_layout import PLATFORMS, write_layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module", params=OBJECT_STORAGES)
def storage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStorage]:
    with OBJECT_STORAGES[request.param](tmp_path_factory.mktemp("storage")) as running:
        yield running


@pytest.fixture(scope="module", params=[True, False], ids=["redirected", "streamed"])
def registry(
    request: pytest.FixtureRequest, storage: ObjectStorage, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MatouRegistry]:
    sections = {"storage": {**storage.section, "redirect": {"disable": not request.param}}}
    folder = tmp_path_factory.mktemp("registry")
    with running_registry(folder, sections, workers=1, variables=storage.variables) as running:
        yield running
        assert running.tracebacks() == []


@pytest.fixture(params=[Skopeo, Podman], ids=["skopeo", "podman"])
def client(request: pytest.FixtureRequest, short_path: Path, registry: MatouRegistry) -> Client:
    made: Client = request.param(short_path / "client", registry.address)
    return made


def test_push_and_pull(client: Client) -> None:
    reference = client.reference(f"team/{type(client).__name__.lower()}", "one")
    client.push(reference)
    client.pull(reference)


def test_all_platforms_and_deleting(registry: MatouRegistry, tmp_path: Path) -> None:
    skopeo = Skopeo(tmp_path / "skopeo", registry.address)
    write_layout(tmp_path / "layout", "two", f"two platforms of {tmp_path}")
    first, second = skopeo.reference("team/first", "two"), skopeo.reference("team/second", "two")
    skopeo.push_layout(tmp_path / "layout", "two", first)
    skopeo.copy(first, second)
    skopeo.pull_layout(second, tmp_path / "back")
    pushed, pulled = ((tmp_path / name / "blobs" / "sha256") for name in ("layout", "back"))
    assert {path.name: path.read_bytes() for path in pulled.iterdir()} == {
        path.name: path.read_bytes() for path in pushed.iterdir()
    }
    assert len(json.loads(skopeo.inspect(second))["manifests"]) == len(PLATFORMS)
    skopeo.delete(second)
    skopeo.pull(first)
