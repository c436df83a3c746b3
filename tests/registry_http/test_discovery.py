"""OCI Distribution Specification 1.1, "Content Discovery": tags (end-8), referrers (end-12); and the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.registry_http.client import connected, error_of, next_page
from tests.registry_http.content import OCI_CONFIG, OCI_EMPTY, OCI_INDEX, SBOM, SIGNATURE, blob, image, index

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests.registry_http.client import Client
    from tests.registry_http.content import Document

MISSING = "sha256:" + "0" * 64
# In the order of their bytes, which is the "ASCIIbetical" one.
TAGS = ["0", "1.10", "1.9", "A", "Z", "_", "_under", "a", "a-b", "a.b", "a_b", "ab", "latest", "v1", "v10", "v2"]
SIGNED = "discovery/referrers"
NAMES = ("a", "a-b", "a/b", "a/b/c", "b", "b/a", "c")
BAD_NUMBERS = ["-1", "x", "1.5", "1e3", "0x10", " ", "१", "9" * 19, "+1", "1 "]


@pytest.fixture(scope="module")
def small_pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A registry with limits that a test can reach."""
    sections = {"tags": {"maxtags": 5}, "catalog": {"maxentries": 4}, "auth": {"none": {}}}
    with connected(tmp_path_factory.mktemp("registry") / "pages", sections) as client:
        yield client


@pytest.fixture(scope="module")
def tagged(client: Client) -> str:
    name = "discovery/tags"
    client.push_image(name, *reversed(TAGS))
    return name


def tags_of(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"name", "tags"}
    return list(body["tags"])


def pages(client: Client, answer: httpx.Response) -> Iterator[httpx.Response]:
    """Follow ``Link`` from an answer to the last page."""
    yield answer
    while (url := next_page(answer)) is not None:
        answer = client.ask("GET", url)
        yield answer


class TestTags:
    """Section "Listing Tags"."""

    def test_all_of_them_in_order(self, client: Client, tagged: str) -> None:
        answer = client.ask("GET", f"/{tagged}/tags/list")
        assert answer.json() == {"name": tagged, "tags": TAGS}
        assert "link" not in answer.headers

    @pytest.mark.parametrize("number", [1, 2, 5, len(TAGS) - 1])
    def test_pages(self, client: Client, tagged: str, number: int) -> None:
        """end-8b: exactly ``n`` of them, and a Link to the next."""
        found = [
            tags_of(page)
            for page in pages(client, client.ask("GET", f"/{tagged}/tags/list", params={"n": str(number)}))
        ]
        assert [tag for page in found for tag in page] == TAGS
        assert {len(page) for page in found[:-1]} == {number}
        assert 0 < len(found[-1]) <= number

    def test_form_of_the_link(self, client: Client, tagged: str) -> None:
        answer = client.ask("GET", f"/{tagged}/tags/list", params={"n": "2"})
        assert answer.headers["link"] == f'</v2/{tagged}/tags/list?last=1.10&n=2>; rel="next"'

    @pytest.mark.parametrize("number", [len(TAGS), len(TAGS) + 1, 1000])
    def test_no_link_after_the_last(self, client: Client, tagged: str, number: int) -> None:
        answer = client.ask("GET", f"/{tagged}/tags/list", params={"n": str(number)})
        assert tags_of(answer) == TAGS
        assert "link" not in answer.headers

    def test_none(self, client: Client, tagged: str) -> None:
        """end-8b: for n=0 an empty list and no Link."""
        answer = client.ask("GET", f"/{tagged}/tags/list", params={"n": "0"})
        assert tags_of(answer) == []
        assert "link" not in answer.headers

    @pytest.mark.parametrize(
        ("last", "expected"),
        [
            ("", TAGS),
            ("1.10", TAGS[2:]),
            ("1.5", TAGS[2:]),  # need not exist
            ("v2", []),
            ("zzz", []),
            ("~", []),
            ("\u0000", TAGS),
            ("aé", TAGS[12:]),
        ],
    )
    def test_after_a_tag(self, client: Client, tagged: str, last: str, expected: list[str]) -> None:
        """end-8b: ``last`` with and without ``n``."""
        assert tags_of(client.ask("GET", f"/{tagged}/tags/list", params={"last": last})) == expected
        limited = client.ask("GET", f"/{tagged}/tags/list", params={"last": last, "n": "3"})
        assert tags_of(limited) == expected[:3]
        assert ("link" in limited.headers) == (len(expected) > 3)

    def test_head(self, client: Client, tagged: str) -> None:
        head = client.ask("HEAD", f"/{tagged}/tags/list")
        assert head.status_code == 200
        assert head.headers["content-length"] == str(len(client.ask("GET", f"/{tagged}/tags/list").content))

    def test_repository_without_tags(self, client: Client, name: str) -> None:
        client.push_image(name)
        assert tags_of(client.ask("GET", f"/{name}/tags/list")) == []

    def test_unknown_repository(self, client: Client, name: str) -> None:
        answer = client.ask("GET", f"/{name}/tags/list")
        assert error_of(answer) == (404, ["NAME_UNKNOWN"])
        assert answer.json()["errors"][0]["detail"] == {"name": name}

    @pytest.mark.parametrize("number", BAD_NUMBERS)
    def test_number_that_is_none(self, client: Client, tagged: str, number: str) -> None:
        answer = client.ask("GET", f"/{tagged}/tags/list", params={"n": number})
        assert error_of(answer) == (400, ["PAGINATION_NUMBER_INVALID"])

    def test_more_than_the_limit_is_cut_with_a_link(self, small_pages: Client, name: str) -> None:
        small_pages.push_image(name, *TAGS)
        answer = small_pages.ask("GET", f"/{name}/tags/list", params={"n": "100"})
        assert tags_of(answer) == TAGS[:5]
        assert [tag for page in pages(small_pages, answer) for tag in tags_of(page)] == TAGS
        assert tags_of(small_pages.ask("GET", f"/{name}/tags/list")) == TAGS  # without n, all, as Distribution


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    sections = {"catalog": {"maxentries": 6}}
    with connected(tmp_path_factory.mktemp("registry") / "catalogue", sections) as client:
        for name in NAMES:
            client.push_image(name)
        client.push_blob("only/blobs", blob())  # is no repository that could be pulled from
        yield client


class TestCatalogue:
    """Docker Registry HTTP API V2, "Catalog"."""

    def test_all(self, filled: Client) -> None:
        answer = filled.ask("GET", "/_catalog")
        assert answer.json() == {"repositories": list(NAMES[:6])}
        assert next_page(answer) is not None
        assert filled.ask("HEAD", "/_catalog").status_code == 200

    @pytest.mark.parametrize("number", [1, 2, 3, 6])
    def test_pages(self, filled: Client, number: int) -> None:
        found = [
            page.json()["repositories"]
            for page in pages(filled, filled.ask("GET", "/_catalog", params={"n": str(number)}))
        ]
        assert [name for page in found for name in page] == list(NAMES)
        assert {len(page) for page in found[:-1]} == {number}

    def test_form_of_the_link(self, filled: Client) -> None:
        link = filled.ask("GET", "/_catalog", params={"n": "3"}).headers["link"]
        assert link == '</v2/_catalog?last=a%2Fb&n=3>; rel="next"'

    @pytest.mark.parametrize(("last", "expected"), [("a", 1), ("a/b", 3), ("a/b/x", 4), ("c", 7), ("zzz", 7), ("", 0)])
    def test_after_a_name(self, filled: Client, last: str, expected: int) -> None:
        answer = filled.ask("GET", "/_catalog", params={"last": last, "n": "6"})
        assert answer.json() == {"repositories": list(NAMES[expected : expected + 6])}

    def test_none(self, filled: Client) -> None:
        answer = filled.ask("GET", "/_catalog", params={"n": "0"})
        assert answer.json() == {"repositories": []}
        assert "link" not in answer.headers

    @pytest.mark.parametrize("number", [*BAD_NUMBERS, "7", "1000"])
    def test_number_that_is_none_or_too_large(self, filled: Client, number: str) -> None:
        answer = filled.ask("GET", "/_catalog", params={"n": number})
        assert error_of(answer) == (400, ["PAGINATION_NUMBER_INVALID"])

    def test_repository_without_manifests_is_not_listed(self, filled: Client) -> None:
        made = filled.push_image("zz")
        assert filled.ask("GET", "/_catalog", params={"last": "c"}).json() == {"repositories": ["zz"]}
        assert filled.ask("DELETE", f"/zz/manifests/{made.digest}").status_code == 202
        assert filled.ask("GET", "/_catalog", params={"last": "c"}).json() == {"repositories": []}


def referrers(client: Client, name: str, digest: str, **params: str) -> list[dict[str, Any]]:
    """Return all referrers of a manifest, page by page, having checked the form of each page."""
    found: list[dict[str, Any]] = []
    for page in pages(client, client.ask("GET", f"/{name}/referrers/{digest}", params=params)):
        assert page.status_code == 200, page.text
        assert page.headers["content-type"] == OCI_INDEX
        body = page.json()
        assert {key: body[key] for key in body if key != "manifests"} == {"schemaVersion": 2, "mediaType": OCI_INDEX}
        assert page.headers.get("oci-filters-applied") == ("artifactType" if "artifactType" in params else None)
        found += body["manifests"]
    return found


@pytest.fixture(scope="module")
def subject(client: Client) -> Document:
    return client.push_image(SIGNED, "subject")


@pytest.fixture(scope="module")
def expected(client: Client, subject: Document) -> list[dict[str, Any]]:
    """The descriptors that the listing must have, in order of digest."""
    config = client.push_blob(SIGNED, blob(b"{}"))
    notes = {"org.opencontainers.conformance": "hello", "org.example.✓": "码头"}
    made: list[tuple[Document, dict[str, Any]]] = []

    def push(manifest: Document, **members: Any) -> None:
        made.append((client.push(SIGNED, manifest), members))

    of = subject.descriptor()
    # Without artifactType it is the config's type.
    push(image(config.descriptor(OCI_CONFIG), subject=of), artifactType=OCI_CONFIG)
    push(
        image(config.descriptor("application/x-config"), subject=of, artifactType=""),
        artifactType="application/x-config",
    )
    push(
        image(config.descriptor(OCI_EMPTY), subject=of, artifactType=SBOM, annotations=notes),
        artifactType=SBOM,
        annotations=notes,
    )
    push(image(config.descriptor(OCI_EMPTY), [config.descriptor()], subject=of, artifactType=SBOM), artifactType=SBOM)
    push(image(config.descriptor(OCI_EMPTY), subject=of, artifactType=SIGNATURE), artifactType=SIGNATURE)
    # In an index it stays away.
    push(index([], subject=of))
    push(index([], subject=of, artifactType=SIGNATURE, annotations=notes), artifactType=SIGNATURE, annotations=notes)
    push(image(config.descriptor(), subject=of, artifactType=SBOM, algorithm="sha512"), artifactType=SBOM)
    return sorted((manifest.descriptor(**members) for manifest, members in made), key=lambda each: str(each["digest"]))


class TestReferrers:
    """Section "Listing Referrers"."""

    def test_all(self, client: Client, subject: Document, expected: list[dict[str, Any]]) -> None:
        """end-12a."""
        assert referrers(client, SIGNED, subject.digest) == expected

    @pytest.mark.parametrize("kind", [SBOM, SIGNATURE, OCI_CONFIG, "application/x-config", "application/nobody"])
    def test_of_one_type(self, client: Client, subject: Document, expected: list[dict[str, Any]], kind: str) -> None:
        """end-12b."""
        found = referrers(client, SIGNED, subject.digest, artifactType=kind)
        assert found == [each for each in expected if each.get("artifactType") == kind]

    @pytest.mark.parametrize("kind", [None, SBOM])
    @pytest.mark.parametrize("number", ["1", "2"])
    def test_pages(
        self,
        client: Client,
        subject: Document,
        expected: list[dict[str, Any]],
        number: str,
        kind: str | None,
    ) -> None:
        params = {"n": number} | ({"artifactType": kind} if kind else {})
        found = referrers(client, SIGNED, subject.digest, **params)
        assert found == [each for each in expected if kind in (None, each.get("artifactType"))]
        link = client.ask("GET", f"/{SIGNED}/referrers/{subject.digest}", params=params).headers["link"]
        query = parse_qs(urlsplit(link.partition(">")[0]).query)
        assert query.get("artifactType") == ([kind] if kind else None)

    def test_head(self, client: Client, subject: Document, expected: list[dict[str, Any]]) -> None:
        assert expected
        head = client.ask("HEAD", f"/{SIGNED}/referrers/{subject.digest}")
        body = client.ask("GET", f"/{SIGNED}/referrers/{subject.digest}").content
        assert (head.status_code, head.headers["content-length"]) == (200, str(len(body)))

    def test_of_what_has_none(self, client: Client) -> None:
        """Never 404: not for an unknown manifest, and not for an unknown repository."""
        assert referrers(client, SIGNED, client.push_image(SIGNED).digest) == []
        for digest in (MISSING, "sha512:" + "0" * 128):
            assert referrers(client, SIGNED, digest) == []
            assert referrers(client, "no/such/repository", digest) == []

    def test_of_another_repository(self, client: Client, subject: Document, expected: list[dict[str, Any]]) -> None:
        assert expected
        assert referrers(client, "discovery/elsewhere", subject.digest) == []

    @pytest.mark.parametrize("digest", ["sha256:abc", "latest", "sha256:" + "G" * 64, "md5:" + "0" * 32, ""])
    def test_malformed_digest(self, client: Client, digest: str) -> None:
        assert error_of(client.ask("GET", f"/{SIGNED}/referrers/{digest}")) == (400, ["DIGEST_INVALID"])

    @pytest.mark.parametrize("number", BAD_NUMBERS)
    def test_number_that_is_none(self, client: Client, subject: Document, number: str) -> None:
        answer = client.ask("GET", f"/{SIGNED}/referrers/{subject.digest}", params={"n": number})
        assert error_of(answer) == (400, ["PAGINATION_NUMBER_INVALID"])

    def test_subject_pushed_later(self, client: Client) -> None:
        name = "discovery/later"
        subject = image(client.push_blob(name, blob()).descriptor())
        artifact = image(
            client.push_blob(name, blob()).descriptor(OCI_EMPTY), artifactType=SBOM, subject=subject.descriptor()
        )
        client.push(name, artifact, "artifact")
        assert [each["digest"] for each in referrers(client, name, subject.digest)] == [artifact.digest]
        client.push(name, subject)
        assert [each["digest"] for each in referrers(client, name, subject.digest)] == [artifact.digest]

    def test_page_is_bounded_by_annotations(self, client: Client) -> None:
        """Three with 1.5 MB of annotations each do not fit into a manifest of 4 MiB."""
        name = "discovery/large"
        config = client.push_blob(name, blob(b"{}")).descriptor(OCI_EMPTY)
        subject = {"mediaType": OCI_INDEX, "digest": MISSING, "size": 2}
        large = [image(config, subject=subject, annotations={"a": f"{number}" * 1_500_000}) for number in range(3)]
        for manifest in large:
            client.push(name, manifest)
        first = client.ask("GET", f"/{name}/referrers/{MISSING}")
        assert len(first.content) < 4 << 20
        assert next_page(first) is not None
        assert {each["digest"] for each in referrers(client, name, MISSING)} == {each.digest for each in large}
