"""The registry on Google Cloud Storage: gcp-storage-emulator behind our own front. Its clients: ``tests/clients``."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import httpx
import pytest

from tests.integration.hub import Hub
from tests.registry_http.content import OCTETS, blob
from tests.servers.gcs import BUCKET, GcsServer, running_gcs
from tests.servers.matou_registry import MatouRegistry, running_registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "team/app"
UNIT = 256 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcsServer]:
    with running_gcs(tmp_path_factory.mktemp("gcs")) as running:
        yield running


def sections(server: GcsServer, root: str, *, is_redirected: bool = True) -> dict[str, Any]:
    """Return a configuration with the smallest segments there are."""
    gcs = {"bucket": BUCKET, "keyfile": str(server.key_file), "rootdirectory": root, "chunksize": UNIT}
    return {"storage": {"gcs": gcs, "redirect": {"disable": not is_redirected}}, "log": {"level": "debug"}}


@pytest.fixture(scope="module", params=[True, False], ids=["redirected", "streamed"])
def registry(
    request: pytest.FixtureRequest, server: GcsServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MatouRegistry]:
    given = sections(server, f"/{secrets.token_hex(8)}", is_redirected=request.param)
    variables = {"STORAGE_EMULATOR_HOST": server.url}
    with running_registry(tmp_path_factory.mktemp("registry"), given, variables=variables) as running:
        yield running
        assert running.tracebacks() == []
        for secret in ("X-Goog-Signature", "ya29.", "PRIVATE KEY"):
            assert secret not in running.log.read_text()
            assert secret not in running.access_log.read_text()


@pytest.fixture
def hub(registry: MatouRegistry) -> Iterator[Hub]:
    client = Hub(registry.url)
    yield client
    client.close()


def is_redirected(registry: MatouRegistry) -> bool:
    return not registry.sections["storage"]["redirect"]["disable"]


def test_blobs_come_from_the_storage_or_through_the_registry(registry: MatouRegistry, hub: Hub) -> None:
    content = hub.push_blob(NAME, blob(5 * UNIT + 17), chunk=UNIT + 5)
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


def test_what_was_pushed_is_deleted(hub: Hub) -> None:
    image = hub.push_image(NAME, "gone", layers=2)
    hub.delete(f"/v2/{NAME}/manifests/{image.manifest.digest}")
    assert hub.get(f"/v2/{NAME}/manifests/gone").status == 404


def test_an_upload_survives_the_death_of_the_registry(server: GcsServer, tmp_path: Path) -> None:
    content = blob(6 * UNIT + 11)
    half = 3 * UNIT + 7
    root = f"/{secrets.token_hex(8)}"
    registry = MatouRegistry(tmp_path, sections(server, root), variables={"STORAGE_EMULATOR_HOST": server.url})
    try:
        registry.start()
        begun = httpx.post(f"{registry.url}/v2/{NAME}/blobs/uploads/", trust_env=False)
        patched = httpx.patch(
            urljoin(registry.url, begun.headers["Location"]), content=content.content[:half], trust_env=False
        )
        assert patched.status_code == 202
        registry.kill()
        registry.start()
        location = urljoin(registry.url, patched.headers["Location"])
        assert httpx.get(location, trust_env=False).headers["Range"] == f"0-{half - 1}"
        finished = httpx.put(
            str(httpx.URL(location).copy_merge_params({"digest": content.digest})),
            content=content.content[half:],
            headers={"Content-Type": OCTETS},
            trust_env=False,
        )
        assert finished.status_code == 201, finished.text
        pulled = httpx.get(f"{registry.url}/v2/{NAME}/blobs/{content.digest}", follow_redirects=True, trust_env=False)
        assert pulled.content == content.content
    finally:
        registry.stop()
    left = [name for name in server.names(prefix=root.strip("/")) if "_uploads" in name or "staging" in name]
    assert left == []


def test_a_storage_that_fails_is_no_success(server: GcsServer, hub: Hub) -> None:
    server.front.denied.add("storage.objects.create")
    try:
        answer = hub.ask("POST", f"/v2/{NAME}/blobs/uploads/")
        assert answer.status_code == 503
        assert "storage.objects.create" not in answer.text
    finally:
        server.front.reset()
    hub.push_blob(NAME, blob())
