"""OCI Distribution Specification 1.1, "Pushing Manifests": end-7a and end-7b; REG-2 and REG-4."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.registry_http.client import codes, detail, error_of
from tests.registry_http.content import (
    DOCKER_CONFIG,
    DOCKER_FOREIGN,
    DOCKER_LAYER,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_EMPTY,
    OCI_INDEX,
    OCI_MANIFEST,
    OCI_NONDISTRIBUTABLE,
    SBOM,
    SCHEMA1,
    SIGNATURE,
    Document,
    blob,
    digest_of,
    document,
    image,
    index,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

    from tests.registry_http.client import Client

MISSING = "sha256:" + "0" * 64
LIMIT = 4 << 20
PLATFORM = {"os": "linux", "architecture": "amd64"}


def check_pushed(client: Client, name: str, manifest: Document, answer: httpx.Response) -> None:
    """Check the answer to a push that succeeded, and that the manifest comes back byte for byte."""
    assert answer.status_code == 201, answer.text
    assert answer.headers["docker-content-digest"] == manifest.digest
    assert answer.headers["location"].endswith(f"/v2/{name}/manifests/{manifest.digest}")
    pulled = client.follow(answer, "GET", headers={"Accept": manifest.media_type})
    assert (pulled.status_code, pulled.content) == (200, manifest.content)
    assert pulled.headers["content-type"] == manifest.media_type


def put(client: Client, name: str, content: bytes, media_type: str = OCI_MANIFEST, tag: str = "t") -> httpx.Response:
    return client.ask("PUT", f"/{name}/manifests/{tag}", headers={"Content-Type": media_type}, content=content)


# Each takes the descriptor of a config, of a layer and of an image that the repository holds.
ACCEPTED: dict[str, Callable[[dict[str, Any], dict[str, Any], dict[str, Any]], Document]] = {
    "image": lambda config, layer, _: image(config, [layer]),
    "several layers": lambda config, layer, _: image(config, [layer, layer, config]),
    "no layers": lambda config, _layer, _image: image(config, []),
    "layers null, as Go writes none": lambda config, _layer, _image: image(config, None),
    "without mediaType": lambda config, layer, _: document({"schemaVersion": 2, "config": config, "layers": [layer]}),
    "config of any type": lambda config, layer, _: image(config | {"mediaType": SBOM}, [layer]),
    "layers of any type": lambda config, layer, _: image(config, [layer | {"mediaType": "text/plain"}]),
    "artifact": lambda config, layer, _: image(
        config | {"mediaType": OCI_EMPTY}, [layer | {"mediaType": SBOM}], artifactType=SBOM
    ),
    "artifact without layers": lambda config, _layer, _image: image(
        config | {"mediaType": OCI_EMPTY}, [config | {"mediaType": OCI_EMPTY}], artifactType=SBOM
    ),
    "data fields": lambda config, layer, _: image(
        config | {"data": base64.b64encode(b"{}").decode()}, [layer | {"data": "aGVsbG8="}]
    ),
    "unknown fields": lambda config, layer, _: image(
        config | {"newUnspecifiedField": "aGVsbG8="}, [layer], customField={"a": [1, 2.5e3, None, True]}
    ),
    "annotations": lambda config, layer, _: image(config, [layer], annotations={"org.example.a": "码头 \u0000 ✓"}),
    "subject": lambda config, layer, other: image(config, [layer], subject=other),
    "subject that is not there": lambda config, layer, other: image(
        config, [layer], subject=other | {"digest": MISSING}
    ),
    "subject null": lambda config, layer, _: image(config, [layer], subject=None),
    "index": lambda _config, _layer, other: index([other | {"platform": PLATFORM}]),
    "index without platforms": lambda _config, _layer, other: index([other, other]),
    "index of nothing": lambda _config, _layer, _image: index([]),
    "index of null, as Go writes nothing": lambda _config, _layer, _image: document(
        {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": None}, OCI_INDEX
    ),
    "index without mediaType": lambda _config, _layer, other: document(
        {"schemaVersion": 2, "manifests": [other]}, OCI_INDEX
    ),
    "index of artifacts": lambda _config, _layer, other: index([other | {"artifactType": SBOM}], artifactType=SBOM),
    "index with subject": lambda _config, _layer, other: index([other], subject=other, artifactType=SBOM),
    "index of child with data": lambda _config, _layer, other: index([other | {"data": "aGVsbG8="}]),
    "sha512": lambda config, layer, _: image(config, [layer], algorithm="sha512"),
    "index sha512": lambda _config, _layer, other: index([other], algorithm="sha512"),
    "non-distributable layer": lambda config, layer, _: image(
        config,
        [layer, {"mediaType": OCI_NONDISTRIBUTABLE, "digest": MISSING, "size": 12, "urls": ["https://example.com/x"]}],
    ),
    "Docker image": lambda config, layer, _: image(
        config | {"mediaType": DOCKER_CONFIG}, [layer | {"mediaType": DOCKER_LAYER}], DOCKER_MANIFEST
    ),
    "Docker image with a foreign layer": lambda config, _layer, _image: image(
        config | {"mediaType": DOCKER_CONFIG},
        [{"mediaType": DOCKER_FOREIGN, "digest": MISSING, "size": 12, "urls": ["http://example.com/a", "https://b/c"]}],
        DOCKER_MANIFEST,
    ),
    "Docker list": lambda _config, _layer, other: index([other | {"platform": PLATFORM}], DOCKER_LIST),
    "Docker plugin": lambda config, layer, _: image(
        config | {"mediaType": "application/vnd.docker.plugin.v1+json"}, [layer], DOCKER_MANIFEST
    ),
    "Helm chart": lambda config, layer, _: image(
        config | {"mediaType": "application/vnd.cncf.helm.config.v1+json"},
        [layer | {"mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip"}],
    ),
}


@pytest.mark.parametrize("by", ["digest", "tag"])
@pytest.mark.parametrize("case", ACCEPTED)
def test_accepted(client: Client, name: str, case: str, by: str) -> None:
    """end-7a: every kind of content, by digest and by tag, byte for byte."""
    config, layer = client.push_blob(name, blob(b"{}")), client.push_blob(name, blob())
    other = client.push_image(name)
    made = ACCEPTED[case](config.descriptor(OCI_CONFIG), layer.descriptor(), other.descriptor())
    if by == "tag" and made.digest.startswith("sha512"):
        made = Document(made.content, digest_of(made.content), made.media_type)
    answer = client.put(name, made, "v1" if by == "tag" else None)
    check_pushed(client, name, made, answer)
    subject = json.loads(made.content).get("subject")
    assert answer.headers.get("oci-subject") == (subject and subject["digest"])
    head = client.ask("HEAD", f"/{name}/manifests/{'v1' if by == 'tag' else made.digest}")
    assert head.headers["docker-content-digest"] == made.digest
    assert head.headers["content-length"] == str(len(made.content))


def test_index_of_indexes(client: Client, name: str) -> None:
    inner = [client.push(name, index([client.push_image(name).descriptor()])) for _ in range(2)]
    outer = index([each.descriptor() for each in inner])
    check_pushed(client, name, outer, client.put(name, outer, "nested"))


def test_bytes_are_kept_whatever_their_form(client: Client, name: str) -> None:
    """Section "Pushing Manifests": the exact byte representation."""
    config = client.push_blob(name, blob())
    text = image(config.descriptor()).content.decode()
    for form in (
        text.replace("\n", "\r\n\t "),
        " \n" + text + "\n\n",
        text.replace("schemaVersion", "schema\\u0056ersion"),
    ):
        made = Document(form.encode(), digest_of(form.encode()), OCI_MANIFEST)
        check_pushed(client, name, made, client.put(name, made))


def test_parameters_of_the_content_type_are_ignored(client: Client, name: str) -> None:
    """Section "Pushing Manifests": the registry SHOULD ignore them, and does not hand them on."""
    made = image(client.push_blob(name, blob()).descriptor())
    check_pushed(client, name, made, put(client, name, made.content, f"{OCI_MANIFEST.upper()} ; charset=utf-8"))


def test_without_content_type_the_manifest_says_what_it_is(client: Client, name: str) -> None:
    made = image(client.push_blob(name, blob()).descriptor())
    check_pushed(client, name, made, client.ask("PUT", f"/{name}/manifests/t", content=made.content))


def test_tag_moves(client: Client, name: str) -> None:
    first, second = client.push_image(name, "t"), client.push_image(name, "t", artifactType=SBOM)
    assert client.ask("GET", f"/{name}/manifests/t").content == second.content
    assert client.ask("GET", f"/{name}/manifests/{first.digest}").content == first.content


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("count", [1, 10, 100])
def test_tags_in_the_query(client: Client, name: str, count: int, algorithm: str) -> None:
    """end-7b: each tag is made and named in OCI-Tag; at least 10 SHOULD be possible."""
    made = image(client.push_blob(name, blob()).descriptor(), algorithm=algorithm)
    tags = [f"v1.{number}" for number in range(count)]
    answer = client.put(name, made, tag=tags)
    check_pushed(client, name, made, answer)
    assert [tag.strip() for tag in answer.headers["oci-tag"].split(",")] == tags
    for tag in tags[:: max(count // 5, 1)]:
        pulled = client.ask("GET", f"/{name}/manifests/{tag}")
        assert (pulled.content, pulled.headers["docker-content-digest"]) == (made.content, made.digest)


def test_without_tags_in_the_query_none_are_named(client: Client, name: str) -> None:
    made = image(client.push_blob(name, blob()).descriptor())
    assert "oci-tag" not in client.put(name, made).headers
    assert "oci-tag" not in client.put(name, made, "t").headers


def test_too_many_tags_in_the_query(client: Client, name: str) -> None:
    """end-7b: 414 is what the specification allows."""
    made = image(client.push_blob(name, blob()).descriptor())
    for count in (101, 500):
        answer = client.put(name, made, tag=[f"t{number}" for number in range(count)])
        assert answer.status_code == 414
    assert client.status_of(f"/{name}/manifests/{made.digest}") == 404


def test_wrong_tag_in_the_query(client: Client, name: str) -> None:
    made = image(client.push_blob(name, blob()).descriptor())
    assert error_of(client.put(name, made, tag=["good", "-bad"])) == (400, ["TAG_INVALID"])
    assert client.status_of(f"/{name}/manifests/good") == 404


class TestReferences:
    """REG-4: what a manifest refers to must be in the repository; MANIFEST_BLOB_UNKNOWN with the digest in detail."""

    def test_missing_blobs(self, client: Client, name: str) -> None:
        there, lost = client.push_blob(name, blob()), [blob() for _ in range(3)]
        made = image(lost[0].descriptor(), [there.descriptor(), lost[1].descriptor(), lost[2].descriptor()])
        for reference in ("t", made.digest):
            answer = client.put(name, made, reference)
            assert error_of(answer) == (400, ["MANIFEST_BLOB_UNKNOWN"] * 3)
            assert [error["detail"] for error in answer.json()["errors"]] == [each.digest for each in lost]
            assert client.status_of(f"/{name}/manifests/{reference}") == 404

    def test_blob_of_another_repository(self, client: Client, name: str) -> None:
        other = client.push_blob(f"{name}/other", blob())
        answer = client.put(name, image(other.descriptor()))
        assert (error_of(answer), detail(answer)) == ((400, ["MANIFEST_BLOB_UNKNOWN"]), other.digest)

    def test_missing_child(self, client: Client, name: str) -> None:
        child = client.push_image(name)
        answer = client.put(name, index([child.descriptor(), child.descriptor() | {"digest": MISSING}]))
        assert (error_of(answer), detail(answer)) == ((400, ["MANIFEST_BLOB_UNKNOWN"]), MISSING)

    def test_child_that_is_a_blob(self, client: Client, name: str) -> None:
        answer = client.put(name, index([client.push_blob(name, blob()).descriptor(OCI_MANIFEST)]))
        assert error_of(answer) == (400, ["MANIFEST_BLOB_UNKNOWN"])

    def test_deleted_blob(self, client: Client, name: str) -> None:
        config = client.push_blob(name, blob())
        assert client.ask("DELETE", f"/{name}/blobs/{config.digest}").status_code == 202
        assert error_of(client.put(name, image(config.descriptor()))) == (400, ["MANIFEST_BLOB_UNKNOWN"])

    def test_foreign_layer_without_a_url_must_be_there(self, client: Client, name: str) -> None:
        config, layer = client.push_blob(name, blob()), blob()
        made = image(config.descriptor(), [layer.descriptor(OCI_NONDISTRIBUTABLE)])
        answer = client.put(name, made)
        assert (error_of(answer), detail(answer)) == ((400, ["MANIFEST_BLOB_UNKNOWN"]), layer.digest)
        client.push_blob(name, layer)
        check_pushed(client, name, made, client.put(name, made))

    def test_as_many_missing_as_there_may_be(self, client: Client, name: str) -> None:
        lost = [blob() for _ in range(300)]
        answer = client.put(name, image(lost[0].descriptor(), [each.descriptor() for each in lost]))
        assert answer.status_code == 400
        assert len(codes(answer)) == 100


class TestSize:
    """Section "Pushing Manifests": at least 4 megabytes; 413 above the limit."""

    @staticmethod
    def of_size(client: Client, name: str, size: int) -> Document:
        config = client.push_blob(name, blob()).descriptor()
        empty = image(config, annotations={"filler": ""})
        content = empty.content.replace(b'"filler": ""', b'"filler": "' + b"A" * (size - len(empty.content)) + b'"')
        assert len(content) == size
        return Document(content, digest_of(content), OCI_MANIFEST)

    def test_limit(self, client: Client, name: str) -> None:
        made = self.of_size(client, name, LIMIT)
        check_pushed(client, name, made, client.put(name, made, "large"))
        for _ in range(3):
            assert client.ask("GET", f"/{name}/manifests/large").content == made.content

    @pytest.mark.parametrize("streamed", [False, True])
    def test_above_the_limit(self, client: Client, name: str, streamed: bool) -> None:
        made = self.of_size(client, name, LIMIT + 1)
        body: Any = iter([made.content[:1000], made.content[1000:]]) if streamed else made.content
        answer = client.ask("PUT", f"/{name}/manifests/t", headers={"Content-Type": OCI_MANIFEST}, content=body)
        assert error_of(answer) == (413, ["MANIFEST_INVALID"])
        assert str(LIMIT) in detail(answer)


def test_wrong_digest(client: Client, name: str) -> None:
    made = image(client.push_blob(name, blob()).descriptor())
    for reference in (MISSING, "sha512:" + "0" * 128):
        answer = client.put(name, made, reference)
        assert error_of(answer) == (400, ["DIGEST_INVALID"])
        assert detail(answer)["digest"] == reference
        assert client.status_of(f"/{name}/manifests/{reference}") == 404
    # The conformance suite adds white space to a manifest whose digest it has computed before.
    spaced = Document(made.content + b"  ", made.digest, OCI_MANIFEST)
    assert error_of(client.put(name, spaced)) == (400, ["DIGEST_INVALID"])


@pytest.mark.parametrize("digest", ["sha256:baddigeststring", "sha256:", "md5:" + "0" * 32, ":", "a:b:c"])
def test_malformed_digest(client: Client, name: str, digest: str) -> None:
    made = image(client.push_blob(name, blob()).descriptor())
    assert error_of(client.put(name, made, digest)) == (400, ["DIGEST_INVALID"])


@pytest.mark.parametrize("tag", [".INVALID_MANIFEST_NAME", "-x", "a" * 129, "a+b", "ä", "a b", "%2e"])
def test_what_cannot_be_a_tag(client: Client, name: str, tag: str) -> None:
    made = image(client.push_blob(name, blob()).descriptor())
    answer = client.put(name, made, tag)
    assert error_of(answer) == (400, ["TAG_INVALID"])
    assert "expected 1 to 128" in detail(answer)["reason"]


@pytest.mark.parametrize("tag", ["a" * 128, "_", "0", "A.b-c_D", "_..--", "latest"])
def test_what_can_be_a_tag(client: Client, name: str, tag: str) -> None:
    made = image(client.push_blob(name, blob()).descriptor())
    check_pushed(client, name, made, client.put(name, made, tag))
    assert client.ask("GET", f"/{name}/manifests/{tag}").content == made.content


@pytest.mark.parametrize("media_type", [SCHEMA1, "application/vnd.docker.distribution.manifest.v1+json"])
def test_schema_1_names_its_setting(client: Client, name: str, media_type: str) -> None:
    """REG-2."""
    content = json.dumps(
        {"schemaVersion": 1, "name": name, "tag": "t", "fsLayers": [], "history": [], "signatures": []}
    )
    answer = put(client, name, content.encode(), media_type)
    assert error_of(answer) == (400, ["MANIFEST_INVALID"])
    assert "compatibility.schema1.enabled" in detail(answer)["reason"]


WRONG_TYPES = [
    ("", "unsupported manifest media type"),
    ("application/json", "unsupported manifest media type"),
    ("application/octet-stream", "unsupported manifest media type"),
    ("text/html", "unsupported manifest media type"),
    ("application/vnd.oci.artifact.manifest.v1+json", "mediaType is"),
    (OCI_INDEX, "mediaType is"),
    (DOCKER_MANIFEST, "mediaType is"),
]


@pytest.mark.parametrize(("media_type", "reason"), WRONG_TYPES)
def test_media_type_that_the_manifest_does_not_have(client: Client, name: str, media_type: str, reason: str) -> None:
    """REG-4; the attack of CVE-2021-41190 is a manifest that is an index, too."""
    members = {} if reason.startswith("unsupported") else {"mediaType": OCI_MANIFEST}
    config = client.push_blob(name, blob()).descriptor()
    content = json.dumps({"schemaVersion": 2, "config": config, "layers": [], **members}).encode()
    answer = put(client, name, content, media_type)
    assert error_of(answer) == (400, ["MANIFEST_INVALID"])
    assert reason in detail(answer)["reason"]


def test_signature_artifact_of_two_steps(client: Client, name: str) -> None:
    """What cosign does: a signature whose subject is an image, and an SBOM of it, in either order."""
    subject = image(client.push_blob(name, blob()).descriptor())
    config = client.push_blob(name, blob(b"{}"))
    early = image(config.descriptor(OCI_EMPTY), artifactType=SIGNATURE, subject=subject.descriptor())
    assert client.put(name, early).headers["oci-subject"] == subject.digest
    client.push(name, subject)
    late = image(config.descriptor(OCI_EMPTY), artifactType=SBOM, subject=subject.descriptor())
    assert client.put(name, late).headers["oci-subject"] == subject.digest
    found = client.ask("GET", f"/{name}/referrers/{subject.digest}").json()["manifests"]
    assert {each["digest"] for each in found} == {early.digest, late.digest}
