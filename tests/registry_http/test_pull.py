"""OCI Distribution Specification 1.1, "Pull": each case names the section and the endpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.registry_http.client import codes, detail
from tests.registry_http.content import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    blob,
    image,
    index,
)

if TYPE_CHECKING:
    import httpx

    from tests.registry_http.client import Client
    from tests.registry_http.content import Blob, Document

NAME = "pull/test"
MISSING = "sha256:" + "0" * 64
LARGE = 200_000  # bytes: more than one piece of any buffer


@dataclass(frozen=True)
class Content:
    """What the repository of this module holds."""

    image: Document
    index: Document
    docker: Document
    docker_list: Document
    sha512: Document
    blob: Blob
    empty: Blob
    blob512: Blob

    def named(self, path: str) -> str:
        """Put digests into a path."""
        return path.format(
            name=NAME,
            missing=MISSING,
            image=self.image.digest,
            index=self.index.digest,
            docker=self.docker.digest,
            docker_list=self.docker_list.digest,
            sha512=self.sha512.digest,
            blob=self.blob.digest,
            empty=self.empty.digest,
            blob512=self.blob512.digest,
        )


@pytest.fixture(scope="module")
def content(client: Client) -> Content:
    first = client.push_image(NAME, "latest", "v1")
    config, layer = client.push_blob(NAME, blob()), client.push_blob(NAME, blob())
    docker = client.push(
        NAME, image(config.descriptor(DOCKER_CONFIG), [layer.descriptor(DOCKER_LAYER)], DOCKER_MANIFEST), "docker"
    )
    platform = {"os": "linux", "architecture": "amd64"}
    return Content(
        image=first,
        index=client.push(NAME, index([first.descriptor(platform=platform)]), "index"),
        docker=docker,
        docker_list=client.push(NAME, index([docker.descriptor(platform=platform)], DOCKER_LIST), "docker-list"),
        sha512=client.push(NAME, image(config.descriptor(), algorithm="sha512")),
        blob=client.push_blob(NAME, blob(LARGE)),
        empty=client.push_blob(NAME, blob(b"")),
        blob512=client.push_blob(NAME, blob(algorithm="sha512")),
    )


@dataclass(frozen=True)
class Case:
    """A request and what its answer must be."""

    section: str
    path: str
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    answer: dict[str, str | None] = field(default_factory=dict)
    code: str | None = None


MANIFEST_CASES = [
    Case("end-3 by tag", "/{name}/manifests/latest", 200, answer={"docker-content-digest": "{image}"}),
    Case("end-3 by a second tag", "/{name}/manifests/v1", 200, answer={"docker-content-digest": "{image}"}),
    Case("end-3 by digest", "/{name}/manifests/{image}", 200, answer={"content-type": OCI_MANIFEST}),
    Case("end-3 index by tag", "/{name}/manifests/index", 200, answer={"content-type": OCI_INDEX}),
    Case("end-3 index by digest", "/{name}/manifests/{index}", 200, answer={"docker-content-digest": "{index}"}),
    Case("end-3 Docker image", "/{name}/manifests/{docker}", 200, answer={"content-type": DOCKER_MANIFEST}),
    Case("end-3 Docker list", "/{name}/manifests/{docker_list}", 200, answer={"content-type": DOCKER_LIST}),
    Case("end-3 sha512", "/{name}/manifests/{sha512}", 200, answer={"docker-content-digest": "{sha512}"}),
    Case("end-3 unknown tag", "/{name}/manifests/nothing", 404, code="MANIFEST_UNKNOWN"),
    Case("end-3 what cannot be a tag", "/{name}/manifests/.INVALID_MANIFEST_NAME", 404, code="MANIFEST_UNKNOWN"),
    Case("end-3 unknown digest", "/{name}/manifests/{missing}", 404, code="MANIFEST_UNKNOWN"),
    Case("end-3 a blob is no manifest", "/{name}/manifests/{blob}", 404, code="MANIFEST_UNKNOWN"),
    Case("end-3 malformed digest", "/{name}/manifests/sha256:totallywrong", 400, code="DIGEST_INVALID"),
    Case("end-3 unknown repository", "/no/such/repository/manifests/latest", 404, code="MANIFEST_UNKNOWN"),
    Case("end-3 another repository", "/pull/other/manifests/{image}", 404, code="MANIFEST_UNKNOWN"),
    Case("end-3 named in Accept", "/{name}/manifests/latest", 200, {"Accept": OCI_MANIFEST}),
    Case(
        "end-3 among others in Accept",
        "/{name}/manifests/latest",
        200,
        {"Accept": f"{OCI_INDEX}, {OCI_MANIFEST};q=0.9"},
    ),
    Case("end-3 any type accepted", "/{name}/manifests/latest", 200, {"Accept": "*/*"}),
    Case("end-3 any application type accepted", "/{name}/manifests/latest", 200, {"Accept": "application/*"}),
    Case(
        "end-3 OCI image not in Accept, as Distribution",
        "/{name}/manifests/latest",
        404,
        {"Accept": DOCKER_MANIFEST},
        code="MANIFEST_UNKNOWN",
    ),
    Case(
        "end-3 OCI index not in Accept, as Distribution",
        "/{name}/manifests/{index}",
        404,
        {"Accept": OCI_MANIFEST},
        code="MANIFEST_UNKNOWN",
    ),
    Case(
        "end-3 Docker list by tag for an old client becomes its linux/amd64 image",
        "/{name}/manifests/docker-list",
        200,
        {"Accept": DOCKER_MANIFEST},
        {"docker-content-digest": "{docker}", "content-type": DOCKER_MANIFEST},
    ),
    Case(
        "end-3 what is asked for by digest never becomes another",
        "/{name}/manifests/{docker_list}",
        200,
        {"Accept": DOCKER_MANIFEST},
        {"docker-content-digest": "{docker_list}"},
    ),
    Case(
        "RFC 9110 13.1.2 If-None-Match",
        "/{name}/manifests/latest",
        304,
        {"If-None-Match": '"{image}"'},
        {"etag": '"{image}"', "docker-content-digest": "{image}"},
    ),
    Case("RFC 9110 13.1.2 weak", "/{name}/manifests/latest", 304, {"If-None-Match": 'W/"{image}"'}),
    Case("RFC 9110 13.1.2 without quotes, as Docker", "/{name}/manifests/latest", 304, {"If-None-Match": "{image}"}),
    Case("RFC 9110 13.1.2 any", "/{name}/manifests/latest", 304, {"If-None-Match": "*"}),
    Case("RFC 9110 13.1.2 in a list", "/{name}/manifests/latest", 304, {"If-None-Match": '"x", "{image}"'}),
    Case("RFC 9110 13.1.2 another", "/{name}/manifests/latest", 200, {"If-None-Match": '"{index}"'}),
    Case("RFC 9110 14.2 manifests have no ranges", "/{name}/manifests/latest", 200, {"Range": "bytes=0-1"}),
]

BLOB_CASES = [
    Case("end-2", "/{name}/blobs/{blob}", 200, answer={"docker-content-digest": "{blob}", "accept-ranges": "bytes"}),
    Case("end-2 sha512", "/{name}/blobs/{blob512}", 200, answer={"docker-content-digest": "{blob512}"}),
    Case("end-2 empty", "/{name}/blobs/{empty}", 200, answer={"content-length": "0"}),
    Case("end-2 type", "/{name}/blobs/{blob}", 200, answer={"content-type": "application/octet-stream"}),
    Case("end-2 never changes", "/{name}/blobs/{blob}", 200, answer={"cache-control": "max-age=31536000"}),
    Case("end-2 unknown", "/{name}/blobs/{missing}", 404, code="BLOB_UNKNOWN"),
    Case("end-2 of another repository", "/pull/other/blobs/{blob}", 404, code="BLOB_UNKNOWN"),
    Case("end-2 malformed digest", "/{name}/blobs/sha256:abc", 400, code="DIGEST_INVALID"),
    Case("end-2 unsupported algorithm", "/{name}/blobs/md5:" + "0" * 32, 400, code="DIGEST_INVALID"),
    Case(
        "end-2 RFC 9110 13.1.2 If-None-Match",
        "/{name}/blobs/{blob}",
        304,
        {"If-None-Match": '"{blob}"'},
        {"etag": '"{blob}"'},
    ),
]

RANGES: list[tuple[str, str, int, int]] = [
    # section and what, header, first byte, the byte after the last
    ("RFC 9110 14.1.2 both ends", "bytes=500-1499", 500, 1500),
    ("RFC 9110 14.1.2 to the end", "bytes=500-", 500, LARGE),
    ("RFC 9110 14.1.2 the last bytes", "bytes=-500", LARGE - 500, LARGE),
    ("RFC 9110 14.1.2 more than all of the last", f"bytes=-{LARGE * 2}", 0, LARGE),
    ("RFC 9110 14.1.2 beyond the end", f"bytes={LARGE - 48}-{LARGE + 5000}", LARGE - 48, LARGE),
    ("RFC 9110 14.1.2 an end of many digits", "bytes=1-99999999999999999999999999999", 1, LARGE),
    ("RFC 9110 14.1.2 one byte", "bytes=0-0", 0, 1),
    ("RFC 9110 14.1.2 the last byte", f"bytes={LARGE - 1}-", LARGE - 1, LARGE),
    ("RFC 9110 14.1.2 all", f"bytes=0-{LARGE - 1}", 0, LARGE),
    ("RFC 9110 14.1 unit in capitals", "Bytes=5-6", 5, 7),
    ("RFC 9110 14.1.2 a space", "bytes= 5-6", 5, 7),
]

UNSATISFIABLE = [
    "bytes=500-0",
    f"bytes={LARGE}-",
    "bytes=5000000-10000000",
    "bytes=-0",
    "bytes=-",
    "bytes=x-y",
    "bytes=1-x",
]
IGNORED = ["bytes=0-1,5-6", "lines=0-1", "bytes", "0-1"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("case", MANIFEST_CASES + BLOB_CASES, ids=lambda case: case.section)
def test_pull(client: Client, content: Content, case: Case, method: str) -> None:
    headers = {key: content.named(value) for key, value in case.headers.items()}
    answer = client.ask(method, content.named(case.path), headers=headers)
    assert answer.status_code == case.status
    for key, value in case.answer.items():
        assert answer.headers[key] == content.named(str(value))
    if case.code is not None and method == "GET":
        assert codes(answer) == [case.code]
    if case.status == 200:
        check_content(content, answer)


def check_content(content: Content, answer: httpx.Response) -> None:
    """Check the digest header, and that HEAD tells the length that GET has; content is what was pushed."""
    digest = answer.headers["docker-content-digest"]
    held: list[Document | Blob] = [content.image, content.index, content.docker, content.docker_list, content.sha512]
    held += [content.blob, content.empty, content.blob512]
    expected = next(each.content for each in held if each.digest == digest)
    assert answer.headers["content-length"] == str(len(expected))
    assert answer.headers["etag"] == f'"{digest}"'
    if answer.request.method == "GET":
        assert answer.content == expected


def test_second_pull_is_the_same_as_the_first(client: Client, content: Content) -> None:
    """The second one comes out of the worker's cache."""
    for path in ("latest", "index", content.sha512.digest):
        answers = [client.ask("GET", f"/{NAME}/manifests/{path}", headers={"Accept": "*/*"}) for _ in range(8)]
        varying = {"x-request-id", "date"}
        seen = {
            (
                answer.status_code,
                answer.content,
                tuple(sorted(set(answer.headers.items()) - varying_items(answer, varying))),
            )
            for answer in answers
        }
        assert len(seen) == 1


def varying_items(answer: httpx.Response, names: set[str]) -> set[tuple[str, str]]:
    return {(name, value) for name, value in answer.headers.items() if name in names}


@pytest.mark.parametrize(("section", "header", "start", "end"), RANGES, ids=[row[0] for row in RANGES])
def test_ranges_of_blobs(client: Client, content: Content, section: str, header: str, start: int, end: int) -> None:
    answer = client.ask("GET", content.named("/{name}/blobs/{blob}"), headers={"Range": header})
    assert answer.status_code == 206, section
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{LARGE}"
    assert answer.headers["content-length"] == str(end - start)
    assert answer.headers["docker-content-digest"] == content.blob.digest
    assert answer.content == content.blob.content[start:end]


@pytest.mark.parametrize("header", UNSATISFIABLE)
def test_ranges_of_which_nothing_exists(client: Client, content: Content, header: str) -> None:
    """RFC 9110 sections 14.2 and 15.5.17."""
    answer = client.ask("GET", content.named("/{name}/blobs/{blob}"), headers={"Range": header})
    assert answer.status_code == 416
    assert codes(answer) == ["RANGE_INVALID"]
    assert answer.headers["content-range"] == f"bytes */{LARGE}"
    assert detail(answer)["reason"]


@pytest.mark.parametrize("header", IGNORED)
def test_ranges_that_are_ignored(client: Client, content: Content, header: str) -> None:
    """RFC 9110 section 14.2: another unit must be, several ranges may be."""
    answer = client.ask("GET", content.named("/{name}/blobs/{blob}"), headers={"Range": header})
    assert (answer.status_code, answer.content) == (200, content.blob.content)


def test_ranges_are_for_get_only(client: Client, content: Content) -> None:
    """RFC 9110 section 14.2."""
    answer = client.ask("HEAD", content.named("/{name}/blobs/{blob}"), headers={"Range": "bytes=0-1"})
    assert (answer.status_code, answer.headers["content-length"]) == (200, str(LARGE))


def test_range_of_an_empty_blob_is_ignored(client: Client, content: Content) -> None:
    answer = client.ask("GET", content.named("/{name}/blobs/{empty}"), headers={"Range": "bytes=0-"})
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    ("validator", "status"), [('"{blob}"', 206), ('"{empty}"', 200), ("Tue, 24 Nov 2026 06:47:14 GMT", 200)]
)
def test_range_if_it_is_still_the_same(client: Client, content: Content, validator: str, status: int) -> None:
    """RFC 9110 section 13.1.5."""
    headers = {"Range": "bytes=0-1", "If-Range": content.named(validator)}
    assert client.ask("GET", content.named("/{name}/blobs/{blob}"), headers=headers).status_code == status


def test_proxy_namespace_is_ignored(client: Client, content: Content) -> None:
    """Section "Registry Proxying": a registry may ignore ``ns``, and says nothing of it then."""
    answer = client.ask("GET", content.named("/{name}/manifests/latest"), params={"ns": "docker.io"})
    assert answer.status_code == 200
    assert "oci-namespace" not in answer.headers
