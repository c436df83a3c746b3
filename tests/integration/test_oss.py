"""The registry on Alibaba Cloud OSS: the stand-in."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import httpx
import pytest

from tests.drivers.oss_storage import parameters, run
from tests.integration.hub import Hub
from tests.registry_http.content import OCTETS, blob
from tests.servers.matou_registry import MatouRegistry, running_registry
from tests.servers.oss.faults import Fault
from tests.servers.oss.server import ACCESS_KEY, BUCKET, SECRET_KEY, OssServer, running_oss

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matou.registry.drivers.object_driver import ObjectDriver
    from matou.registry.drivers.oss.store import OssStore

NAME = "team/app"
MIB = 1 << 20
TREE = "docker/registry/v2"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OssServer]:
    with running_oss(tmp_path_factory.mktemp("oss")) as running:
        yield running
        assert [fault for fault in running.front.faults.coming if fault.times] == []


def sections(server: OssServer, root: str, *, is_redirected: bool = True) -> dict[str, Any]:
    oss = {
        "accesskeyid": ACCESS_KEY,
        "accesskeysecret": SECRET_KEY,
        "region": "oss-cn-hangzhou",
        "bucket": BUCKET,
        "endpoint": server.url,
        "rootdirectory": root,
        "chunksize": 5 * MIB,
        "encrypt": True,
    }
    return {"storage": {"oss": oss, "redirect": {"disable": not is_redirected}}, "log": {"level": "debug"}}


@pytest.fixture(scope="module", params=[True, False], ids=["redirected", "streamed"])
def registry(
    request: pytest.FixtureRequest, server: OssServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MatouRegistry]:
    given = sections(server, f"/{secrets.token_hex(8)}", is_redirected=request.param)
    with running_registry(tmp_path_factory.mktemp("registry"), given) as running:
        yield running
        assert running.tracebacks() == []
        for secret in ("x-oss-signature=", SECRET_KEY):
            assert secret not in running.log.read_text()
            assert secret not in running.access_log.read_text()


@pytest.fixture
def hub(registry: MatouRegistry) -> Iterator[Hub]:
    with contextlib.closing(Hub(registry.url)) as client:
        yield client


def keys_in(server: OssServer) -> set[str]:
    """Return the keys of all objects in the bucket."""
    found: set[str] = set()

    async def scenario(driver: ObjectDriver, store: OssStore) -> None:  # noqa: ARG001 -- as all
        found.update([path async for path, _ in driver.walk("")])

    run(parameters(server, rootdirectory=""), scenario)
    return found


def is_redirected(registry: MatouRegistry) -> bool:
    return not registry.sections["storage"]["redirect"]["disable"]


def test_blobs_come_from_the_storage_or_through_the_registry(registry: MatouRegistry, hub: Hub) -> None:
    content = hub.push_blob(NAME, blob(11 * MIB + 17), chunk=4 * MIB)
    path = f"/v2/{NAME}/blobs/{content.digest}"
    for method in ("GET", "HEAD"):
        answer = hub.ask(method, path)
        assert answer.status_code == (307 if is_redirected(registry) else 200)
        if is_redirected(registry):
            answer = httpx.request(method, answer.headers["Location"], trust_env=False)
            assert answer.status_code == 200
            assert answer.headers["x-oss-server-side-encryption"] == "AES256"
        assert answer.content == (content.content if method == "GET" else b"")
        assert answer.headers["Content-Length"] == str(len(content.content))
    part = hub.ask("GET", path, headers={"Range": "bytes=10-19"}, follow_redirects=True)
    assert (part.status_code, part.content) == (206, content.content[10:20])


def test_a_storage_that_is_busy_is_not_noticed(server: OssServer, registry: MatouRegistry, hub: Hub) -> None:
    for operation in ("PutObject", "CopyObject", "UploadPartCopy", "CompleteMultipartUpload"):
        server.front.faults.coming.append(Fault(operation, status=503, code="ServiceBusy"))
    content = hub.push_blob(NAME, blob(6 * MIB), chunk=6 * MIB)
    hub.push_blob(NAME, blob(2 * MIB), chunk=2 * MIB)
    if not is_redirected(registry):
        server.front.faults.coming.append(Fault("GetObject", after=MIB))
    pulled = hub.ask("GET", f"/v2/{NAME}/blobs/{content.digest}", follow_redirects=True)
    assert pulled.content == content.content
    assert [fault for fault in server.front.faults.coming if fault.times] == []


def test_two_registries_on_one_bucket(server: OssServer, tmp_path: Path) -> None:
    content = blob(6 * MIB + 11)
    half = 2 * MIB + 7
    given = sections(server, f"/{secrets.token_hex(8)}")
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


def test_the_bucket_alone_is_the_archive(server: OssServer, tmp_path: Path) -> None:
    root = secrets.token_hex(8)
    given = sections(server, f"/{root}/")
    with running_registry(tmp_path / "1", given, 1) as first, contextlib.closing(Hub(first.url)) as hub:
        image = hub.push_image(NAME, "v1", layers=2)
        hub.push_image(NAME, "v2")
        expected = hub.get(f"/v2/{NAME}/manifests/v1")
        first.stop()
    keys = keys_in(server)
    digest = image.manifest.digest.removeprefix("sha256:")
    assert f"{root}/{TREE}/blobs/sha256/{digest[:2]}/{digest}/data" in keys
    assert f"{root}/{TREE}/repositories/{NAME}/_manifests/tags/v1/current/link" in keys
    assert [key for key in keys if key.startswith(root) and ("_uploads" in key or "staging" in key)] == []
    with running_registry(tmp_path / "2", given, 1) as second, contextlib.closing(Hub(second.url)) as hub:
        assert hub.get(f"/v2/{NAME}/manifests/v1") == expected
        assert hub.tags(NAME) == ["v1", "v2"]
        hub.delete(f"/v2/{NAME}/manifests/{image.manifest.digest}")
        assert hub.tags(NAME) == ["v2"]
