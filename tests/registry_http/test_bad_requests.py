"""REL-2: bad input is refused with the right status and JSON, costs little, and leaves nothing behind."""

from __future__ import annotations

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
    for _ in range(2):
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
