"""The swift driver when Swift fails: a server whose answers are written by the tests."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from matou.config.sections.swift import SwiftParameters
from matou.registry.drivers.base import StorageError, StorageFull, Transient
from matou.registry.drivers.factory import Surroundings
from matou.registry.drivers.swift.store import SwiftStore
from tests.drivers.observed import Observed
from tests.servers.scripted_http import Answer, Asked, scripted_server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ACCOUNT, CONTAINER = "/v1/AUTH_a", "/v1/AUTH_a/c"
OBJECT = f"{CONTAINER}/files/a"
CONTENT = bytes(range(256)) * 1000


class FakeSwift:
    """A cluster with one object.

    Attributes:
        coming: answers to the next requests for objects, before all goes well.
        abilities: that it tells of; none: it keeps them to itself.
    """

    def __init__(self, *coming: Answer) -> None:
        self.coming = list(coming)
        self.abilities: dict[str, object] = {"swift": {"version": "2.30.1"}, "slo": {"max_manifest_segments": 1000}}
        self.url = ""

    def answer(self, asked: Asked) -> Answer:
        path = asked.path.partition("?")[0]
        known = {
            ("GET", "/auth/v1.0"): Answer(200, headers={"X-Storage-Url": self.url + ACCOUNT, "X-Auth-Token": "t"}),
            ("GET", "/info"): Answer(200, json.dumps(self.abilities).encode()) if self.abilities else Answer(403),
            ("HEAD", CONTAINER): Answer(204),
        }
        if (asked.method, path) in known:
            return known[asked.method, path]
        return self.coming.pop(0) if self.coming else self._usual(asked, path)

    def _usual(self, asked: Asked, path: str) -> Answer:
        if asked.method == "PUT":
            return Answer(201, headers={"Etag": hashlib.md5(asked.body).hexdigest()})  # noqa: S324 -- Swift's
        if asked.method == "POST":
            return Answer(200, json.dumps({"Response Status": "200 OK", "Errors": []}).encode())
        return self._object(asked.headers.get("range")) if path == OBJECT else Answer(404)

    @staticmethod
    def _object(span: str | None) -> Answer:
        if span is None:
            return Answer(200, CONTENT)
        first, _, last = span.removeprefix("bytes=").partition("-")
        part = CONTENT[int(first) : int(last) + 1]
        return Answer(206, part, {"Content-Range": f"bytes {first}-{last}/{len(CONTENT)}"})


def run(swift: FakeSwift, scenario: Callable[[SwiftStore], Awaitable[None]]) -> Observed:
    """Run a scenario on a fresh store; return what was observed."""
    observed = Observed()

    async def whole() -> None:
        async with scripted_server(swift.answer) as server:
            swift.url = server.url
            given = SwiftParameters(
                username="u", password="pass-word", authurl=f"{server.url}/auth/v1.0", container="c"
            )
            store = SwiftStore(given, Surroundings(observer=observed))
            store._requests._first_pause = 0.01
            try:
                await scenario(store)
            finally:
                await store.close()

    asyncio.run(whole())
    assert swift.coming == []
    return observed


async def read(store: SwiftStore) -> bytes:
    return b"".join([piece async for piece in store.read("a", 0, len(CONTENT))])


@pytest.mark.parametrize(
    ("answer", "is_throttled"),
    [
        (Answer(503), False),
        (Answer(503, headers={"Retry-After": "0"}), False),
        (Answer(500), False),
        (Answer(408), False),
        (Answer(422), False),
        (Answer(498), True),
        (Answer(429, headers={"Retry-After": "0"}), True),
        (Answer(201, length=10), False),
    ],
)
def test_what_fails_in_passing_is_repeated(answer: Answer, is_throttled: bool) -> None:
    async def scenario(store: SwiftStore) -> None:
        await store.put("a", [b"1", b"2"])

    assert run(FakeSwift(answer, answer), scenario).retries == [is_throttled] * 2


def test_what_goes_on_failing_is_given_up() -> None:
    async def scenario(store: SwiftStore) -> None:
        with pytest.raises(Transient, match=r"PUT of c/files/a: Swift answered 503"):
            await store.put("a", [b"1"])

    assert len(run(FakeSwift(*[Answer(503)] * 6), scenario).retries) == 5


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (Answer(403), StorageError, "does not permit it to the user 'u'"),
        (Answer(413), StorageFull, "quota"),
        (Answer(507), StorageFull, "no room"),
        (Answer(404), StorageError, "the container does not exist any more"),
        (Answer(400, b"Bad\nname"), StorageError, "Bad name (400)"),
        (Answer(201, headers={"Etag": '"0"'}), StorageError, "stored other bytes"),
    ],
)
def test_what_lasts_is_told_at_once(answer: Answer, kind: type[StorageError], said: str) -> None:
    async def scenario(store: SwiftStore) -> None:
        with pytest.raises(kind) as caught:
            await store.put("a", [b"1"])
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
        assert "pass-word" not in str(caught.value)

    assert run(FakeSwift(answer), scenario).retries == []


def test_a_refused_token_is_told_when_the_new_one_is_refused_too() -> None:
    async def scenario(store: SwiftStore) -> None:
        with pytest.raises(StorageError, match=r"refuses the token .* \(401\)"):
            await store.put("a", [b"1"])
        await store.put("a", [b"1"])

    run(FakeSwift(Answer(401), Answer(401)), scenario)


def test_reading_goes_on_where_the_connection_broke() -> None:
    headers = {"Content-Range": f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"}
    broken = Answer(206, CONTENT[:1000], headers, length=len(CONTENT))

    async def scenario(store: SwiftStore) -> None:
        assert await read(store) == CONTENT

    assert run(FakeSwift(broken, Answer(503)), scenario).retries == [False, False]


@pytest.mark.parametrize("answer", [Answer(200, CONTENT), Answer(206, CONTENT), Answer(416)])
def test_an_answer_of_other_bytes_is_no_content(answer: Answer) -> None:
    async def scenario(store: SwiftStore) -> None:
        with pytest.raises(StorageError, match="fewer than"):
            await read(store)

    run(FakeSwift(answer), scenario)


def told(status: str, *errors: tuple[str, str]) -> bytes:
    """Return the body of an answer about many objects."""
    return json.dumps({"Response Status": status, "Errors": errors}).encode()


@pytest.mark.parametrize(
    ("body", "is_lasting"),
    [
        (told("400 Bad Request", ("c/files/x", "403 Forbidden")), True),
        (told("400 Bad Request"), True),
        (told("502 Bad Gateway"), False),
        (told("400 Bad Request", ("c/files/x", "503 Service Unavailable")), False),
        (told("200 OK")[:-2], False),
    ],
)
def test_a_request_that_deletes_many_says_in_its_body_what_failed(body: bytes, is_lasting: bool) -> None:
    swift = FakeSwift(*[Answer(200)] * 9, Answer(200, body))
    swift.abilities["bulk_delete"] = {"max_deletes_per_request": 100}

    async def scenario(store: SwiftStore) -> None:
        keys = [f"x/{number}" for number in range(9)]
        if is_lasting:
            with pytest.raises(StorageError):
                await store.delete(keys)
        else:
            await store.delete(keys)

    assert len(run(swift, scenario).retries) == (0 if is_lasting else 1)


def test_a_cluster_that_tells_nothing_gets_what_all_can() -> None:
    swift = FakeSwift()
    swift.abilities = {}

    async def scenario(store: SwiftStore) -> None:
        cluster = (await store._connection.open()).cluster
        assert (cluster.manifest_segments, cluster.bulk_deletes, cluster.url_methods) == (0, 0, ())
        assert await store.url("a", "GET", 60) is None

    run(swift, scenario)
