"""The registry on S3: what is SeaweedFS's own, and buckets that docker-registry writes and reads in turn with us."""

from __future__ import annotations

import contextlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.integration import turns
from tests.integration.hub import Hub
from tests.integration.population import Population, populate
from tests.integration.turns import compare, docker, matou
from tests.registry_http.content import blob
from tests.servers.matou_registry import MatouRegistry, running_registry
from tests.servers.seaweedfs import BUCKET, SECRET_KEY, SeaweedFS, client, section

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "team/app"
MIB = 1 << 20


@pytest.fixture
def storage(seaweedfs: SeaweedFS) -> dict[str, Any]:
    """Return a section that both registries understand."""
    return {"s3": section(seaweedfs.url, secure=False), "redirect": {"disable": True}}


def pullable(hub: Hub, name: str) -> list[str]:
    """Return a repository's tags that name a manifest.

    SeaweedFS lists directories whose content is gone for a while, and docker-registry takes them for tags.
    """
    return [tag for tag in hub.tags(name) or () if hub.get(f"/v2/{name}/manifests/{tag}").status == HTTPStatus.OK]


def picture(hub: Hub, population: Population) -> dict[str, Any]:
    return turns.picture(hub, population, pullable)


def test_both_registries_take_turns_on_a_bucket(storage: dict[str, Any], tmp_path: Path) -> None:
    with docker(tmp_path / "1", storage) as hub:
        population = populate(hub, "theirs", empty=False)
        deleted = hub.push_image("shared/app", "old")
        moved = hub.push_image("shared/app", "latest")
        large = hub.push_blob("shared/app", blob(12 * MIB))
        paths = [*moved.paths("latest"), *deleted.paths("old"), f"/v2/shared/app/blobs/{large.digest}"]
        population = population.and_then(Population(paths, ["shared/app"]))
        expected = picture(hub, population)
    with matou(tmp_path / "2", storage) as hub:
        compare(picture(hub, population), expected)
        population = population.and_then(populate(hub, "ours"))
        newer = hub.push_image("shared/app", "latest")
        hub.delete(f"/v2/shared/app/manifests/{deleted.manifest.digest}")
        chunked = hub.push_blob("shared/app", blob(11 * MIB), chunk=4 * MIB)
        paths = [*newer.paths("latest"), f"/v2/shared/app/blobs/{chunked.digest}"]
        population = population.and_then(Population(paths, []))
        expected = picture(hub, population)
    with docker(tmp_path / "3", storage) as hub:
        compare(picture(hub, population), expected)
        # And on from there: what is pushed and deleted there is seen here.
        latest = hub.push_image("shared/app", "latest")
        hub.delete(f"/v2/shared/app/manifests/{newer.manifest.digest}")
        population = population.and_then(Population(latest.paths("latest"), []))
        expected = picture(hub, population)
    with matou(tmp_path / "4", storage) as hub:
        compare(picture(hub, population), expected)


def test_a_tree_that_was_copied_into_a_bucket_is_served(
    seaweedfs: SeaweedFS, storage: dict[str, Any], tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    with matou(tmp_path / "1", {"filesystem": {"rootdirectory": str(tree)}}) as hub:
        population = populate(hub)
        expected = picture(hub, population)
    synchronize(seaweedfs, tree, storage["s3"]["rootdirectory"].strip("/"))
    with matou(tmp_path / "2", storage) as hub:
        compare(picture(hub, population), expected)
        hub.push_image("team/app", "after")
    with docker(tmp_path / "3", storage) as hub:
        assert "after" in (hub.tags("team/app") or [])


def synchronize(seaweedfs: SeaweedFS, tree: Path, prefix: str) -> None:
    """Copy a tree object by object, as ``aws s3 sync`` does."""
    with contextlib.closing(client(seaweedfs.url)) as s3:
        for path in tree.rglob("*"):
            if path.is_file():
                s3.put_object(Bucket=BUCKET, Key=f"{prefix}/{path.relative_to(tree)}", Body=path.read_bytes())


@pytest.fixture(scope="module", params=[True, False], ids=["redirected", "streamed"])
def encrypting(
    request: pytest.FixtureRequest, seaweedfs: SeaweedFS, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MatouRegistry]:
    s3 = section(seaweedfs.url, encrypt=True, keyid="registry-key", loglevel="debug")
    sections = {"storage": {"s3_v2": s3, "redirect": {"disable": not request.param}}}
    with running_registry(tmp_path_factory.mktemp("registry"), sections, 1) as running:
        yield running
        assert running.tracebacks() == []
        assert not any(secret in running.log.read_text() for secret in ("Signature=", SECRET_KEY))


def test_large_blobs_are_encrypted_by_whatever_way_they_come(encrypting: MatouRegistry) -> None:
    is_redirected = not encrypting.sections["storage"]["redirect"]["disable"]
    with contextlib.closing(Hub(encrypting.url)) as hub:
        for content in (hub.push_blob(NAME, blob(11 * MIB)), hub.push_blob(NAME, blob(11 * MIB), chunk=4 * MIB)):
            path = f"/v2/{NAME}/blobs/{content.digest}"
            for headers, expected in (
                ({}, content.content),
                ({"Range": "bytes=7-6000000"}, content.content[7:6000001]),
            ):
                answer = hub.ask("GET", path, headers=headers)
                assert answer.status_code == (307 if is_redirected else 206 if headers else 200)
                if is_redirected:
                    answer = httpx.get(answer.headers["Location"], headers=headers, trust_env=False)
                    assert answer.headers["x-amz-server-side-encryption"] == "aws:kms"
                assert answer.content == expected


def requests(registry: MatouRegistry, operation: str, digest: str) -> int:
    """Return how many requests of an operation the registry has sent for a blob."""
    lines = registry.log.read_text().splitlines()
    return sum(f"s3 request: {operation} of " in line and digest.partition(":")[2] in line for line in lines)


def test_a_blob_that_comes_in_the_last_request_is_not_copied(encrypting: MatouRegistry) -> None:
    content = blob(11 * MIB)
    with contextlib.closing(Hub(encrypting.url)) as hub:
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
    assert requests(encrypting, "UploadPart", content.digest) == 3
    assert requests(encrypting, "CompleteMultipartUpload", content.digest) == 1
    copies = (requests(encrypting, operation, content.digest) for operation in ("UploadPartCopy", "CopyObject"))
    assert sum(copies) == 0
