"""OCI Distribution Specification 1.1, "Pushing blobs", "Cancel a blob upload" and "Mounting a blob"."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.registry_http.client import codes, detail
from tests.registry_http.content import OCTETS, blob, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests.registry_http.client import Client
    from tests.registry_http.content import Blob

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
ALGORITHMS = ["sha256", "sha512"]
SIZES = [0, 1, 2, 512, 131_073, 1 << 20, (1 << 20) + 1, 3_000_000]  # about every buffer of an upload


def check_pushed(client: Client, name: str, pushed: Blob, answer: httpx.Response) -> None:
    """Check the answer to a push that succeeded: its Location is where the blob is pulled from."""
    assert answer.status_code == 201, answer.text
    assert answer.headers["docker-content-digest"] == pushed.digest
    assert answer.headers["content-length"] == "0"
    pulled = client.follow(answer, "GET")
    assert (pulled.status_code, pulled.content) == (200, pushed.content)
    head = client.ask("HEAD", f"/{name}/blobs/{pushed.digest}")
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(pushed.content)))


def check_session(answer: httpx.Response, status: int, size: int) -> None:
    """Check an answer that tells where an upload stands."""
    assert answer.status_code == status, answer.text
    assert UUID.search(answer.headers["location"])
    assert answer.headers["docker-upload-uuid"] in answer.headers["location"]
    assert answer.headers["range"] == f"0-{max(size - 1, 0)}"


def pieces(content: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("size", SIZES)
def test_single_post(client: Client, name: str, size: int, algorithm: str) -> None:
    """Section "Single POST", end-4b."""
    content = blob(size, algorithm)
    answer = client.ask(
        "POST",
        f"/{name}/blobs/uploads/",
        params={"digest": content.digest},
        content=content.content,
        headers={"Content-Type": OCTETS},
    )
    check_pushed(client, name, content, answer)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("size", SIZES)
def test_post_then_put(client: Client, name: str, size: int, algorithm: str) -> None:
    """Section "POST then PUT", end-4a and end-6."""
    content = blob(size, algorithm)
    begun = client.begin(name)
    check_session(begun, 202, 0)
    put = client.follow(
        begun, "PUT", params={"digest": content.digest}, content=content.content, headers={"Content-Type": OCTETS}
    )
    check_pushed(client, name, content, put)
    assert client.follow(begun, "GET").status_code == 404  # the session is closed


@pytest.mark.parametrize("digest_algorithm", [None, *ALGORITHMS])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("size", [1, 100, 1_200_000])
def test_chunked(client: Client, name: str, size: int, algorithm: str, digest_algorithm: str | None) -> None:
    """Section "Pushing a blob in chunks", end-4a, end-4c, end-5, end-6, end-13: the status after each chunk, too.

    ``digest-algorithm`` is a hint: the digest of the closing request decides.
    """
    content = blob(size, algorithm)
    answer = client.begin(name, **({"digest-algorithm": digest_algorithm} if digest_algorithm else {}))
    assert "oci-chunk-min-length" not in answer.headers  # a chunk may have any length
    done = 0
    for piece in pieces(content.content, size // 3 + 1):
        answer = client.chunk(answer, piece, done)
        done += len(piece)
        check_session(answer, 202, done)
        status = client.follow(answer, "GET")
        check_session(status, 204, done)
        assert client.follow(answer, "HEAD").headers["range"] == status.headers["range"]
    answer = client.follow(answer, "PUT", params={"digest": content.digest}, headers={"Content-Length": "0"})
    check_pushed(client, name, content, answer)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_last_chunk_in_the_closing_put(client: Client, name: str, algorithm: str) -> None:
    """Section "Pushing a blob in chunks": the final chunk may come with the PUT."""
    content = blob(300, algorithm)
    answer = client.chunk(client.begin(name), content.content[:200], 0)
    headers = {"Content-Type": OCTETS, "Content-Range": "200-299"}
    answer = client.follow(
        answer, "PUT", params={"digest": content.digest}, headers=headers, content=content.content[200:]
    )
    check_pushed(client, name, content, answer)


def test_whole_blob_as_one_chunk_of_the_closing_put(client: Client, name: str) -> None:
    content = blob(300)
    headers = {"Content-Type": OCTETS, "Content-Range": "0-299"}
    answer = client.follow(
        client.begin(name), "PUT", params={"digest": content.digest}, headers=headers, content=content.content
    )
    check_pushed(client, name, content, answer)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_stream_in_one_patch(client: Client, name: str, algorithm: str) -> None:
    """What Docker does: one PATCH with a chunked body and no range."""
    content = blob(2_500_000, algorithm)
    answer = client.follow(client.begin(name), "PATCH", content=pieces(content.content, 70_000))
    check_session(answer, 202, 2_500_000)
    check_pushed(client, name, content, client.follow(answer, "PUT", params={"digest": content.digest}))


def test_stream_in_the_closing_put(client: Client, name: str) -> None:
    content = blob(150_000)
    put = client.follow(
        client.begin(name), "PUT", params={"digest": content.digest}, content=pieces(content.content, 7000)
    )
    check_pushed(client, name, content, put)


def test_stream_in_a_single_post(client: Client, name: str) -> None:
    content = blob(150_000)
    answer = client.ask(
        "POST", f"/{name}/blobs/uploads/", params={"digest": content.digest}, content=pieces(content.content, 7000)
    )
    check_pushed(client, name, content, answer)


@pytest.mark.parametrize("size", [100, 1_200_000])
@pytest.mark.parametrize("closing", ["PATCH", "PUT"])
def test_out_of_order_chunks(client: Client, name: str, size: int, closing: str) -> None:
    """Section "Pushing a blob in chunks": 416 for a chunk out of order, GET for where to go on."""
    content = blob(size)
    step = size // 3 + 1
    answer = client.begin(name)
    done = 0
    while done < size:
        wrong = done + step if done + step < size else 0
        end = min(wrong + step, size)
        params = {"digest": content.digest} if closing == "PUT" and end == size else None
        refused = client.follow(
            answer,
            "PUT" if params else "PATCH",
            params=params,
            content=content.content[wrong:end],
            headers={"Content-Type": OCTETS, "Content-Range": f"{wrong}-{end - 1}"},
        )
        assert refused.status_code == 416
        assert codes(refused) == ["RANGE_INVALID"]
        assert refused.headers["range"] == f"0-{max(done - 1, 0)}"
        status = client.follow(answer, "GET")
        check_session(status, 204, done)
        answer = client.chunk(status, content.content[done : done + step], done)
        done = min(done + step, size)
        check_session(answer, 202, done)
    check_pushed(client, name, content, client.follow(answer, "PUT", params={"digest": content.digest}))


def test_chunk_sent_again(client: Client, name: str) -> None:
    """A chunk that has come in already is out of order, at the old and at the new Location."""
    content = blob(200)
    begun = client.begin(name)
    first = client.chunk(begun, content.content[:100], 0)
    for location in (begun, first):
        assert client.chunk(location, content.content[:100], 0).status_code == 416
    assert client.follow(begun, "PATCH", content=content.content[:100]).status_code == 416  # nor without a range
    second = client.chunk(first, content.content[100:], 100)
    check_pushed(client, name, content, client.follow(second, "PUT", params={"digest": content.digest}))


def test_older_location_with_the_right_range(client: Client, name: str) -> None:
    """A client SHOULD use the newest Location; the range and the digest make clear what it means with an older one."""
    content = blob(300)
    begun = client.begin(name)
    client.chunk(begun, content.content[:100], 0)
    second = client.chunk(begun, content.content[100:], 100)
    check_session(second, 202, 300)
    check_pushed(client, name, content, client.follow(begun, "PUT", params={"digest": content.digest}))


CONTENT_RANGES = [
    ("0-99", 202),
    ("bytes 0-99/300", 202),
    ("bytes 0-99/*", 202),
    ("bytes=0-99", 202),
    ("0-98", 400),
    ("0-100", 400),
    ("1-100", 416),
    ("99-0", 416),
    ("0", 416),
    ("-99", 416),
    ("0-", 416),
    ("a-b", 416),
    ("0-99999999999999999999", 416),
    ("0-99, 100-199", 416),
    ("", 416),
]


@pytest.mark.parametrize(("content_range", "status"), CONTENT_RANGES)
def test_forms_of_content_range(client: Client, name: str, content_range: str, status: int) -> None:
    """The specification's own form, and that of RFC 9110 section 14.4, which some clients send."""
    content = blob(100)
    begun = client.begin(name)
    answer = client.follow(begun, "PATCH", content=content.content, headers={"Content-Range": content_range})
    assert answer.status_code == status, answer.text
    if status == 400:
        assert codes(answer) == ["SIZE_INVALID"]
    if status == 416:
        assert codes(answer) == ["RANGE_INVALID"]
    check_session(client.follow(begun, "GET"), 204, 100 if status == 202 else 0)


@pytest.mark.parametrize("size", [100, 1_200_000])
def test_wrong_digest(client: Client, name: str, size: int) -> None:
    """Section "Pushing blobs": 400 for a digest that is not that of the content; nothing can be pulled then."""
    content, other = blob(size), blob(size)
    params = {"digest": other.digest}
    put_begun, patched = client.begin(name), client.chunk(client.begin(name), content.content, 0)
    refused = [
        client.ask("POST", f"/{name}/blobs/uploads/", params=params, content=content.content),
        client.follow(put_begun, "PUT", params=params, content=content.content),
        client.follow(patched, "PUT", params=params, headers={"Content-Length": "0"}),
    ]
    for answer in refused:
        assert answer.status_code == 400
        assert codes(answer) == ["DIGEST_INVALID"]
        assert detail(answer) == {"digest": other.digest, "actual": content.digest, "size": size}
    assert [client.follow(session, "GET").status_code for session in (put_begun, patched)] == [404, 404]
    for digest in (content.digest, other.digest):
        assert client.ask("HEAD", f"/{name}/blobs/{digest}").status_code == 404


BAD_DIGESTS = [
    "",
    "sha256",
    "sha256:",
    "sha256:abc",
    "SHA256:" + "0" * 64,
    "sha256:" + "G" * 64,
    "md5:" + "0" * 32,
    "nonsense",
]


@pytest.mark.parametrize("digest", BAD_DIGESTS)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_malformed_digest(client: Client, name: str, method: str, digest: str) -> None:
    """Section "Pushing blobs": 400 for a digest that is invalid or of an unsupported algorithm; the upload goes on."""
    begun = client.begin(name)
    if method == "POST":
        answer = client.ask("POST", f"/{name}/blobs/uploads/", params={"digest": digest}, content=b"x")
    else:
        answer = client.follow(begun, "PUT", params={"digest": digest}, content=b"x")
    assert answer.status_code == 400
    assert codes(answer) == ["DIGEST_INVALID"]
    check_session(client.follow(begun, "GET"), 204, 0)


def test_closing_without_a_digest(client: Client, name: str) -> None:
    answer = client.follow(client.begin(name), "PUT", content=b"x")
    assert (answer.status_code, codes(answer)) == (400, ["DIGEST_INVALID"])


def test_unsupported_digest_algorithm(client: Client, name: str) -> None:
    """end-4c: SHOULD be 400."""
    answer = client.ask("POST", f"/{name}/blobs/uploads/", params={"digest-algorithm": "blake3"})
    assert (answer.status_code, codes(answer)) == (400, ["DIGEST_INVALID"])


def test_pushed_twice(client: Client, name: str) -> None:
    content = blob(1000)
    for _ in range(2):
        check_pushed(
            client,
            name,
            content,
            client.ask("POST", f"/{name}/blobs/uploads/", params={"digest": content.digest}, content=content.content),
        )
        answer = client.chunk(client.begin(name), content.content, 0)
        check_pushed(client, name, content, client.follow(answer, "PUT", params={"digest": content.digest}))


def test_empty_session_closed_with_the_digest_of_nothing(client: Client, name: str) -> None:
    content = blob(b"")
    put = client.follow(client.begin(name), "PUT", params={"digest": content.digest}, headers={"Content-Length": "0"})
    check_pushed(client, name, content, put)


def test_query_and_slash_of_the_collection(client: Client, name: str) -> None:
    """Clients leave the slash out, as Distribution lets them."""
    assert client.ask("POST", f"/{name}/blobs/uploads").status_code == 202


@pytest.mark.parametrize("chunks", [0, 1])
def test_cancel(client: Client, name: str, chunks: int) -> None:
    """Section "Cancel a blob upload", end-14: 204, and the session is gone."""
    answer = client.begin(name)
    if chunks:
        answer = client.chunk(answer, b"x" * 100, 0)
    cancelled = client.follow(answer, "DELETE", headers={"Content-Length": "0"})
    assert cancelled.status_code == 204
    for method, arguments in (
        ("GET", {}),
        ("PATCH", {"content": b"x"}),
        ("PUT", {"params": {"digest": digest_of(b"")}}),
        ("DELETE", {}),
    ):
        gone = client.follow(answer, method, **arguments)
        assert (gone.status_code, codes(gone)) == (404, ["BLOB_UPLOAD_UNKNOWN"]), method


def test_status_without_the_state(client: Client, name: str) -> None:
    """end-13: who lost the Location's query can go on with what the answer names."""
    content = blob(200)
    answer = client.chunk(client.begin(name), content.content[:100], 0)
    status = client.ask("GET", f"/{name}/blobs/uploads/{answer.headers['docker-upload-uuid']}")
    check_session(status, 204, 100)
    answer = client.chunk(status, content.content[100:], 100)
    check_pushed(client, name, content, client.follow(answer, "PUT", params={"digest": content.digest}))


class TestMount:
    """Section "Mounting a blob from another repository", end-11."""

    def test_from_another_repository(self, client: Client, name: str) -> None:
        content = client.push_blob(f"{name}/source", blob())
        answer = client.ask(
            "POST", f"/{name}/blobs/uploads/", params={"mount": content.digest, "from": f"{name}/source"}
        )
        check_pushed(client, name, content, answer)
        assert answer.headers["location"].endswith(f"/v2/{name}/blobs/{content.digest}")

    def test_without_saying_from_where(self, client: Client, name: str) -> None:
        content = client.push_blob(f"{name}/source", blob())
        for params in ({"mount": content.digest}, {"mount": content.digest, "from": ""}):
            answer = client.ask("POST", f"/{name}/blobs/uploads/", params=params)
            check_pushed(client, name, content, answer)

    def test_sha512(self, client: Client, name: str) -> None:
        content = client.push_blob(f"{name}/source", blob(algorithm="sha512"))
        params = {"mount": content.digest, "from": f"{name}/source"}
        check_pushed(client, name, content, client.ask("POST", f"/{name}/blobs/uploads/", params=params))

    @pytest.mark.parametrize("source", ["{name}/source", "no/such/repository", None])
    def test_of_what_is_not_there_begins_an_upload(self, client: Client, name: str, source: str | None) -> None:
        client.push_blob(f"{name}/source", blob())
        content = blob()
        params = {"mount": content.digest} | ({"from": source.format(name=name)} if source else {})
        answer = client.ask("POST", f"/{name}/blobs/uploads/", params=params)
        check_session(answer, 202, 0)
        put = client.follow(answer, "PUT", params={"digest": content.digest}, content=content.content)
        check_pushed(client, name, content, put)

    def test_of_a_blob_that_is_elsewhere_than_said_begins_an_upload(self, client: Client, name: str) -> None:
        content = client.push_blob(f"{name}/source", blob())
        client.push_blob(f"{name}/other", blob())
        params = {"mount": content.digest, "from": f"{name}/other"}
        check_session(client.ask("POST", f"/{name}/blobs/uploads/", params=params), 202, 0)

    def test_of_an_uploads_own_repository(self, client: Client, name: str) -> None:
        content = client.push_blob(name, blob())
        params = {"mount": content.digest, "from": name}
        check_pushed(client, name, content, client.ask("POST", f"/{name}/blobs/uploads/", params=params))

    def test_source_is_not_changed(self, client: Client, name: str) -> None:
        content = client.push_blob(f"{name}/source", blob())
        client.ask("POST", f"/{name}/blobs/uploads/", params={"mount": content.digest, "from": f"{name}/source"})
        assert client.ask("DELETE", f"/{name}/blobs/{content.digest}").status_code == 202
        assert client.ask("HEAD", f"/{name}/source/blobs/{content.digest}").status_code == 200

    @pytest.mark.parametrize(
        ("params", "code"),
        [({"mount": "sha256:abc"}, "DIGEST_INVALID"), ({"mount": digest_of(b"x"), "from": "UPPER"}, "NAME_INVALID")],
    )
    def test_malformed(self, client: Client, name: str, params: dict[str, str], code: str) -> None:
        answer = client.ask("POST", f"/{name}/blobs/uploads/", params=params)
        assert (answer.status_code, codes(answer)) == (400, [code])
