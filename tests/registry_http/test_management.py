"""OCI Distribution Specification 1.1, "Content Management": end-9 and end-10; and what a deletion leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.registry_http.client import error_of
from tests.registry_http.content import OCI_EMPTY, SBOM, blob, image, index

if TYPE_CHECKING:
    from tests.registry_http.client import Client

MISSING = "sha256:" + "0" * 64


def delete(client: Client, path: str) -> None:
    answer = client.ask("DELETE", path)
    assert (answer.status_code, answer.content) == (202, b"")


def tags(client: Client, name: str) -> list[str]:
    return list(client.ask("GET", f"/{name}/tags/list").json()["tags"])


def referrers(client: Client, name: str, digest: str) -> list[str]:
    answer = client.ask("GET", f"/{name}/referrers/{digest}")
    assert answer.status_code == 200
    return [each["digest"] for each in answer.json()["manifests"]]


@pytest.mark.parametrize("path", ["manifests/{tag}", "tags/reference/{tag}"])
def test_delete_a_tag(client: Client, name: str, path: str) -> None:
    """Section "Deleting tags", end-9; and the path that older GitLabs use. The manifest and other tags stay."""
    made = client.push_image(name, "one", "two")
    delete(client, f"/{name}/" + path.format(tag="one"))
    for method in ("GET", "HEAD"):
        assert client.ask(method, f"/{name}/manifests/one").status_code == 404
    for reference in ("two", made.digest):
        assert client.ask("GET", f"/{name}/manifests/{reference}").content == made.content
    assert tags(client, name) == ["two"]
    assert error_of(client.ask("DELETE", f"/{name}/" + path.format(tag="one"))) == (404, ["MANIFEST_UNKNOWN"])


def test_delete_a_manifest(client: Client, name: str) -> None:
    """Section "Deleting Manifests", end-9: with every tag that points to it, and no other."""
    made, other = client.push_image(name, "one", "two"), client.push_image(name, "other")
    for _ in range(4):  # so that workers have it in their caches
        assert client.status_of(f"/{name}/manifests/one") == 200
    delete(client, f"/{name}/manifests/{made.digest}")
    for reference in ("one", "two", made.digest):
        for _ in range(4):
            answer = client.ask("GET", f"/{name}/manifests/{reference}")
            assert error_of(answer) == (404, ["MANIFEST_UNKNOWN"])
    assert tags(client, name) == ["other"]
    assert client.ask("GET", f"/{name}/manifests/other").content == other.content
    assert error_of(client.ask("DELETE", f"/{name}/manifests/{made.digest}")) == (404, ["MANIFEST_UNKNOWN"])


def test_delete_of_a_manifest_leaves_its_blobs(client: Client, name: str) -> None:
    config = client.push_blob(name, blob())
    made = client.push(name, image(config.descriptor()), "t")
    delete(client, f"/{name}/manifests/{made.digest}")
    assert client.status_of(f"/{name}/blobs/{config.digest}") == 200
    client.push(name, made, "t")
    assert client.ask("GET", f"/{name}/manifests/t").content == made.content


def test_delete_is_of_one_repository(client: Client, name: str) -> None:
    config = blob()
    made = image(config.descriptor())
    for repository in (name, f"{name}/other"):
        client.push_blob(repository, config)
        client.push(repository, made, "t")
    delete(client, f"/{name}/manifests/{made.digest}")
    delete(client, f"/{name}/blobs/{config.digest}")
    for path in (f"manifests/{made.digest}", "manifests/t", f"blobs/{config.digest}"):
        assert client.status_of(f"/{name}/{path}") == 404
        assert client.status_of(f"/{name}/other/{path}") == 200


def test_delete_an_index_and_its_images(client: Client, name: str) -> None:
    child = client.push_image(name)
    outer = client.push(name, index([child.descriptor()]), "index")
    delete(client, f"/{name}/manifests/{outer.digest}")
    assert client.status_of(f"/{name}/manifests/{child.digest}") == 200
    delete(client, f"/{name}/manifests/{child.digest}")
    assert client.status_of(f"/{name}/manifests/{child.digest}") == 404


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_delete_a_blob(client: Client, name: str, algorithm: str) -> None:
    """Section "Deleting Blobs", end-10."""
    content = client.push_blob(name, blob(algorithm=algorithm))
    delete(client, f"/{name}/blobs/{content.digest}")
    assert error_of(client.ask("GET", f"/{name}/blobs/{content.digest}")) == (404, ["BLOB_UNKNOWN"])
    assert client.ask("HEAD", f"/{name}/blobs/{content.digest}").status_code == 404
    assert error_of(client.ask("DELETE", f"/{name}/blobs/{content.digest}")) == (404, ["BLOB_UNKNOWN"])
    client.push_blob(name, content)
    assert client.ask("GET", f"/{name}/blobs/{content.digest}").content == content.content


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("manifests/nothing", 404, "MANIFEST_UNKNOWN"),
        (f"manifests/{MISSING}", 404, "MANIFEST_UNKNOWN"),
        ("manifests/-x", 404, "MANIFEST_UNKNOWN"),
        ("manifests/sha256:abc", 400, "DIGEST_INVALID"),
        ("tags/reference/nothing", 404, "MANIFEST_UNKNOWN"),
        (f"tags/reference/{MISSING}", 404, "MANIFEST_UNKNOWN"),
        (f"blobs/{MISSING}", 404, "BLOB_UNKNOWN"),
        ("blobs/sha256:abc", 400, "DIGEST_INVALID"),
    ],
)
@pytest.mark.parametrize("known", [False, True])
def test_delete_what_is_not_there(client: Client, name: str, path: str, status: int, code: str, known: bool) -> None:
    """end-9, end-10: also when the repository does not exist."""
    if known:
        client.push_image(name, "t")
    assert error_of(client.ask("DELETE", f"/{name}/{path}")) == (status, [code])


def test_referrers_after_deletion(client: Client, name: str) -> None:
    """A deleted referrer is no longer listed; a deleted subject leaves its referrers."""
    subject = client.push_image(name, "subject")
    config = client.push_blob(name, blob(b"{}")).descriptor(OCI_EMPTY)
    first, second = (
        client.push(name, image(config, artifactType=kind, subject=subject.descriptor()), tag)
        for kind, tag in ((SBOM, "first"), ("application/x", "second"))
    )
    delete(client, f"/{name}/manifests/{first.digest}")
    assert referrers(client, name, subject.digest) == [second.digest]
    delete(client, f"/{name}/manifests/second")
    assert referrers(client, name, subject.digest) == [second.digest]
    delete(client, f"/{name}/manifests/{subject.digest}")
    assert referrers(client, name, subject.digest) == [second.digest]
    delete(client, f"/{name}/manifests/{second.digest}")
    assert referrers(client, name, subject.digest) == []


def test_last_tag_of_a_repository(client: Client, name: str) -> None:
    made = client.push_image(name, "only")
    delete(client, f"/{name}/manifests/{made.digest}")
    assert tags(client, name) == []
