"""REL-2: bad input is refused with the right status and JSON, costs little, and leaves nothing behind."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.registry_http import bad_requests
from tests.registry_http.client import check_errors
from tests.registry_http.content import blob
from tests.registry_http.raw import exchange

if TYPE_CHECKING:
    from tests.registry_http.bad_requests import Bad
    from tests.registry_http.client import Client
    from tests.registry_http.raw import Answer

ROUNDS = 8
GROWTH = 12 << 20  # bytes that a worker's memory may grow by in all the rounds after the first ones


@pytest.fixture(scope="module")
def places(client: Client) -> dict[bytes, bytes]:
    """What stands for the placeholders of the table."""
    client.push_image("a/b", "kept")
    content = client.push_blob("a/b", blob(100))
    upload = client.begin("a/b").headers["location"].partition("/v2")[2]
    return {b"{blob}": f"/a/b/blobs/{content.digest}".encode(), b"{upload}": upload.encode()}


def ask(client: Client, places: dict[bytes, bytes], bad: Bad) -> Answer:
    data = bad.data
    for place, value in places.items():
        data = data.replace(place, value)
    return exchange(client.registry, data, end=bad.end)


def test_there_are_enough_of_them() -> None:
    assert len(bad_requests.ALL) >= 300
    assert len({(bad.what, bad.data) for bad in bad_requests.ALL}) == len(bad_requests.ALL)


@pytest.mark.parametrize("bad", bad_requests.ALL, ids=lambda bad: bad.id)
def test_refused(client: Client, places: dict[bytes, bytes], bad: Bad) -> None:
    answer = ask(client, places, bad)
    assert answer.status == bad.status, answer
    for name, value in bad.headers.items():
        assert answer.headers[name] == value
    if not bad.code:
        assert answer.body == b""
    elif not bad.data.startswith(b"HEAD"):
        check_errors(answer.status, answer.headers["content-type"], answer.json)
        assert answer.codes == [bad.code]
        assert len(answer.body) < 20_000


def test_nothing_was_left_behind(client: Client, places: dict[bytes, bytes]) -> None:
    """Memory does not grow, nothing was stored, and the registry works as before."""
    assert places
    registry = client.registry
    before = stored(client)
    for _ in range(4):
        for bad in bad_requests.ALL:
            ask(client, places, bad)
    memory = registry.memory()
    for _ in range(ROUNDS):
        for bad in bad_requests.ALL:
            ask(client, places, bad)
    assert registry.memory() - memory < GROWTH * registry.workers
    assert registry.tracebacks() == []
    assert stored(client) == before
    assert client.ask("GET", "/a/b/tags/list").json()["tags"] == ["kept"]
    client.push_image("a/b", "kept")


def stored(client: Client) -> list[str]:
    """Return the repositories' files and blobs; uploads are files of a repository, too."""
    tree = client.registry.tree
    return sorted(str(path.relative_to(tree)) for path in (tree / "docker").rglob("*") if path.is_file())


HIDDEN = b"DELETE /v2/a/b/manifests/kept HTTP/1.1\r\nHost: r\r\n\r\n"
CARRIERS = [
    # What is answered without looking at its body, and the status.
    ("POST /v2/a/b/blobs/uploads/", 202),
    ("POST /v2/", 405),
    ("GET /v2/", 200),
    ("GET /v2/a/b/manifests/kept", 200),
    ("HEAD /v2/a/b/manifests/kept", 200),
    ("PUT /v2/a/b/manifests/UPPER:x", 400),
    ("PATCH /v2/a/b/blobs/uploads/x", 404),
    ("OPTIONS /v2/", 200),
]


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("line", "status"), CARRIERS)
def test_a_body_is_never_taken_for_a_request(
    client: Client, places: dict[bytes, bytes], line: str, status: int, chunked: bool
) -> None:
    """RFC 9112 section 11.2: what is hidden in a body is not carried out, whether the body is read or not."""
    assert places
    if chunked:
        body = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)
    else:
        body = b"Content-Length: %d\r\n\r\n%s" % (len(HIDDEN), HIDDEN)
    data = f"{line} HTTP/1.1\r\nHost: r\r\n".encode() + body
    following = b"GET /v2/_catalog?n=0 HTTP/1.1\r\nHost: r\r\nConnection: close\r\n\r\n"
    received = everything(client, data + following)
    assert received.startswith(b"HTTP/1.1 %d " % status)
    assert received.count(b"HTTP/1.1 ") in {1, 2}  # the connection may be closed after the first
    assert (received.count(b"HTTP/1.1 ") == 2) == received.endswith(b'{"repositories":[]}')
    assert client.status_of("/a/b/manifests/kept") == 200


def everything(client: Client, data: bytes) -> bytes:
    """Send bytes and return all that comes back until the connection ends."""
    with socket.create_connection(("127.0.0.1", client.registry.port), timeout=30) as connection:
        connection.sendall(data)
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))
