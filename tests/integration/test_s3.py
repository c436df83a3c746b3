"""The registry on S3: a bucket that docker-registry has written, one that it reads, and one that was copied there."""

from __future__ import annotations

import contextlib
import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from botocore.session import get_session

from tests.clients.programs import Skopeo
from tests.integration.hub import Hub
from tests.integration.population import Population, populate
from tests.registry_http.content import blob
from tests.servers.docker_registry import DOCUMENT, running_docker_registry
from tests.servers.matou_registry import MatouRegistry, running_registry
from tests.servers.seaweedfs import ACCESS_KEY, BUCKET, REGION, SECRET_KEY, SeaweedFS, running_seaweedfs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "team/app"
MIB = 1 << 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    with running_seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as running:
        yield running


@pytest.fixture
def root() -> str:
    return f"/{secrets.token_hex(8)}"


def storage(server: SeaweedFS, root: str, *, is_redirected: bool = False) -> dict[str, Any]:
    """Return a section that both registries understand."""
    s3 = {
        "accesskey": ACCESS_KEY,
        "secretkey": SECRET_KEY,
        "region": REGION,
        "regionendpoint": server.url,
        "bucket": BUCKET,
        "rootdirectory": root,
        "chunksize": 5 * MIB,
        "secure": False,
    }
    return {"s3": s3, "redirect": {"disable": not is_redirected}, "delete": {"enabled": True}}


@contextlib.contextmanager
def matou(folder: Path, given: dict[str, Any]) -> Iterator[Hub]:
    """Serve a bucket whose index is not there: it is built before the first answer."""
    with (
        running_registry(folder / secrets.token_hex(4), {"storage": given}) as registry,
        contextlib.closing(Hub(registry.url)) as hub,
    ):
        yield hub
        assert registry.tracebacks() == []
        assert SECRET_KEY not in registry.log.read_text()


@contextlib.contextmanager
def docker(folder: Path, given: dict[str, Any]) -> Iterator[Hub]:
    maintenance = DOCUMENT["storage"]["maintenance"]
    document = {**DOCUMENT, "storage": {**given, "maintenance": maintenance}}
    with (
        running_docker_registry(folder, None, document) as registry,
        contextlib.closing(Hub(registry.url)) as hub,
    ):
        yield hub


def picture(hub: Hub, population: Population) -> dict[str, Any]:
    # SeaweedFS lists directories whose content is gone for a while, and docker-registry takes them for tags.
    tags = {
        name: [tag for tag in hub.tags(name) or () if hub.get(f"/v2/{name}/manifests/{tag}").status == HTTPStatus.OK]
        for name in population.repositories
    }
    return {**hub.snapshot(population.paths), **tags}


def compare(hub: Hub, population: Population, expected: dict[str, Any]) -> None:
    found = picture(hub, population)
    assert found == expected
    assert sum(getattr(answer, "status", 0) == 200 for answer in found.values()) > len(found) // 2
    assert sum(getattr(answer, "status", 0) == 404 for answer in found.values()) > 0


def test_both_registries_take_turns_on_a_bucket(server: SeaweedFS, root: str, tmp_path: Path) -> None:
    given = storage(server, root)
    with docker(tmp_path, given) as hub:
        population = populate(hub, "theirs", empty=False)
        deleted = hub.push_image("shared/app", "old")
        moved = hub.push_image("shared/app", "latest")
        large = hub.push_blob("shared/app", blob(12 * MIB))
        paths = [*moved.paths("latest"), *deleted.paths("old"), f"/v2/shared/app/blobs/{large.digest}"]
        population = population.and_then(Population(paths, ["shared/app"]))
        expected = picture(hub, population)
    with matou(tmp_path, given) as hub:
        compare(hub, population, expected)
        population = population.and_then(populate(hub, "ours"))
        newer = hub.push_image("shared/app", "latest")
        hub.delete(f"/v2/shared/app/manifests/{deleted.manifest.digest}")
        chunked = hub.push_blob("shared/app", blob(11 * MIB), chunk=4 * MIB)
        paths = [*newer.paths("latest"), f"/v2/shared/app/blobs/{chunked.digest}"]
        population = population.and_then(Population(paths, []))
        expected = picture(hub, population)
    with docker(tmp_path, given) as hub:
        compare(hub, population, expected)
        # And on from there: what is pushed and deleted there is seen here.
        latest = hub.push_image("shared/app", "latest")
        hub.delete(f"/v2/shared/app/manifests/{newer.manifest.digest}")
        population = population.and_then(Population(latest.paths("latest"), []))
        expected = picture(hub, population)
    with matou(tmp_path, given) as hub:
        compare(hub, population, expected)


def test_a_tree_that_was_copied_into_a_bucket_is_served(server: SeaweedFS, root: str, tmp_path: Path) -> None:
    with running_registry(tmp_path / "first") as registry, contextlib.closing(Hub(registry.url)) as hub:
        population = populate(hub)
        expected = picture(hub, population)
    synchronize(server, registry.tree, root.strip("/"))
    with matou(tmp_path, storage(server, root)) as hub:
        compare(hub, population, expected)
        hub.push_image("team/app", "after")
    with docker(tmp_path, storage(server, root)) as hub:
        assert "after" in (hub.tags("team/app") or [])


def synchronize(server: SeaweedFS, tree: Path, prefix: str) -> None:
    """Copy a tree object by object, as ``aws s3 sync`` does."""
    client = get_session().create_client(
        "s3",
        endpoint_url=server.url,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )
    with contextlib.closing(client):
        for path in tree.rglob("*"):
            if path.is_file():
                key = f"{prefix}/{path.relative_to(tree)}"
                client.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())


@pytest.fixture(scope="module", params=[True, False], ids=["redirected", "streamed"])
def registry(
    request: pytest.FixtureRequest, server: SeaweedFS, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MatouRegistry]:
    given = storage(server, f"/{secrets.token_hex(8)}", is_redirected=request.param)
    given["s3_v2"] = given.pop("s3") | {"encrypt": True, "keyid": "registry-key", "loglevel": "debug"}
    with running_registry(tmp_path_factory.mktemp("registry"), {"storage": given}) as running:
        yield running
        assert running.tracebacks() == []
        for log in (running.log.read_text(), running.access_log.read_text()):
            assert not any(secret in log for secret in ("X-Amz-Signature", "Signature=", SECRET_KEY))


def is_redirected(registry: MatouRegistry) -> bool:
    return not registry.sections["storage"]["redirect"]["disable"]


def test_skopeo_pushes_and_pulls(registry: MatouRegistry, tmp_path: Path) -> None:
    skopeo = Skopeo(tmp_path / "skopeo", registry.address)
    reference = skopeo.reference(NAME, "one")
    skopeo.push(reference)
    skopeo.copy(reference, skopeo.reference("team/copy", "one"))
    skopeo.pull(reference)
    skopeo.pull(skopeo.reference("team/copy", "one"))


def test_large_blobs_are_encrypted_by_whatever_way_they_come(registry: MatouRegistry) -> None:
    with contextlib.closing(Hub(registry.url)) as hub:
        for content in (hub.push_blob(NAME, blob(11 * MIB)), hub.push_blob(NAME, blob(11 * MIB), chunk=4 * MIB)):
            path = f"/v2/{NAME}/blobs/{content.digest}"
            for headers, expected in (
                ({}, content.content),
                ({"Range": "bytes=7-6000000"}, content.content[7:6000001]),
            ):
                answer = hub.ask("GET", path, headers=headers)
                assert answer.status_code == (307 if is_redirected(registry) else 206 if headers else 200)
                if is_redirected(registry):
                    answer = httpx.get(answer.headers["Location"], headers=headers, trust_env=False)
                    assert answer.headers["x-amz-server-side-encryption"] == "aws:kms"
                assert answer.content == expected


def requests(registry: MatouRegistry, operation: str, digest: str) -> int:
    """Return how many requests of an operation the registry has sent for a blob."""
    lines = registry.log.read_text().splitlines()
    return sum(f"s3 request: {operation} of " in line and digest.partition(":")[2] in line for line in lines)


def test_a_blob_that_comes_in_the_last_request_is_not_copied(registry: MatouRegistry) -> None:
    content = blob(11 * MIB)
    with contextlib.closing(Hub(registry.url)) as hub:
        location = hub.ask("POST", f"/v2/{NAME}/blobs/uploads/").headers["location"]
        wrong = httpx.URL(location).copy_merge_params({"digest": blob(5).digest})
        assert hub.ask("PUT", str(wrong), content=content.content).status_code == 400
        assert hub.ask("GET", location).status_code == 404
        location = hub.ask("POST", f"/v2/{NAME}/blobs/uploads/").headers["location"]
        right = str(httpx.URL(location).copy_merge_params({"digest": content.digest}))
        assert hub.ask("PATCH", location, content=b"x").status_code == 202
        assert hub.ask("PUT", right, content=content.content).status_code == 416
        assert hub.ask("DELETE", location).status_code == 204
        assert hub.ask("PUT", right, content=content.content).status_code == 404
        assert hub.ask("HEAD", f"/v2/{NAME}/blobs/{content.digest}").status_code == 404
        assert hub.push_blob(NAME, content) == content
    assert requests(registry, "UploadPart", content.digest) == 3
    assert requests(registry, "CompleteMultipartUpload", content.digest) == 1
    assert requests(registry, "UploadPartCopy", content.digest) == requests(registry, "CopyObject", content.digest) == 0
