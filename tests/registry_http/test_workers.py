"""REG-6: workers share nothing but storage and index, so any of them goes on with what another began."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.registry_http.client import Client, connected, error_of
from tests.registry_http.content import OCTETS, Document, blob, image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

    from tests.servers.matou_registry import MatouRegistry

CONNECTIONS = 300  # more than enough for both workers to get one


def worker_of(answer: httpx.Response) -> str:
    """Return what names the worker in the ids that it gives to requests."""
    return str(answer.headers["x-request-id"]).partition("-")[0]


@pytest.fixture(scope="module")
def workers(registry: MatouRegistry) -> Iterator[tuple[Client, Client]]:
    """Two clients, each of which keeps a connection to another worker."""
    found: dict[str, Client] = {}
    for _ in range(CONNECTIONS):
        client = Client(registry)
        worker = worker_of(client.ask("GET", "/"))
        if worker in found:
            client.close()
        found.setdefault(worker, client)
        if len(found) == 2:
            break
    first, second = found.values()
    yield first, second
    for client in found.values():
        client.close()


@pytest.fixture(autouse=True)
def stay_apart(workers: tuple[Client, Client]) -> Iterator[None]:
    """Make sure that a test did not lose one of the connections."""
    yield
    assert len({worker_of(client.ask("GET", "/")) for client in workers}) == 2


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("size", [90, 2_000_000])
def test_upload_in_turn(workers: tuple[Client, Client], name: str, size: int, algorithm: str) -> None:
    content = blob(size, algorithm)
    turn = itertools.cycle(workers)
    answer = next(turn).begin(name, **{"digest-algorithm": algorithm})
    step = size // 7 + 1
    for start in range(0, size, step):
        answer = next(turn).chunk(answer, content.content[start : start + step], start)
        assert answer.status_code == 202
        status = next(turn).follow(answer, "GET")
        assert status.headers["range"] == f"0-{min(start + step, size) - 1}"
        answer = status if start % 2 else answer
    answer = next(turn).follow(answer, "PUT", params={"digest": content.digest})
    assert answer.status_code == 201
    for worker in workers:
        assert worker.follow(answer, "GET").content == content.content


@pytest.mark.parametrize("first", [0, 1])
def test_upload_ended_by_the_other(workers: tuple[Client, Client], name: str, first: int) -> None:
    one, other = workers[first], workers[1 - first]
    content = blob(1_500_000)
    streamed = one.follow(one.begin(name), "PATCH", content=iter([content.content[:70_000], content.content[70_000:]]))
    assert other.follow(streamed, "PUT", params={"digest": content.digest}).status_code == 201
    assert one.ask("GET", f"/{name}/blobs/{content.digest}").content == content.content


def test_upload_cancelled_by_the_other(workers: tuple[Client, Client], name: str) -> None:
    one, other = workers
    answer = one.chunk(one.begin(name), b"x" * 100, 0)
    assert other.follow(answer, "DELETE").status_code == 204
    assert error_of(one.chunk(answer, b"x" * 100, 100)) == (404, ["BLOB_UPLOAD_UNKNOWN"])
    assert error_of(one.follow(answer, "PUT", params={"digest": blob(b"x" * 100).digest})) == (
        404,
        ["BLOB_UPLOAD_UNKNOWN"],
    )


def test_one_chunk_sent_to_both(workers: tuple[Client, Client], name: str) -> None:
    """Only one of them is taken, and the blob is right."""
    content = blob(3_000_000)
    for _ in range(5):
        begun = workers[0].begin(name)
        with ThreadPoolExecutor(2) as threads:
            answers = list(threads.map(lambda worker, where=begun: worker.chunk(where, content.content, 0), workers))
        statuses = sorted(answer.status_code for answer in answers)
        # The one that comes late sees a longer upload, or one that is being written to.
        assert statuses == [202, 416]
        taken = next(answer for answer in answers if answer.status_code == 202)
        assert workers[1].follow(taken, "PUT", params={"digest": content.digest}).status_code == 201
        assert workers[0].ask("GET", f"/{name}/blobs/{content.digest}").content == content.content


def test_one_blob_pushed_to_both(workers: tuple[Client, Client], name: str) -> None:
    for size in (100, 2_000_000):
        content = blob(size)
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda worker, pushed=content: worker.push_blob(name, pushed), workers))
        for worker in workers:
            assert worker.ask("GET", f"/{name}/blobs/{content.digest}").content == content.content


def test_a_change_is_seen_by_the_other_at_once(workers: tuple[Client, Client], name: str) -> None:
    """Each worker keeps manifests in memory; what it answers is never older than what was acknowledged."""
    one, other = workers
    config = one.push_blob(name, blob())
    assert other.status_of(f"/{name}/manifests/t") == 404
    for number in range(20):
        writer, reader = (one, other) if number % 2 else (other, one)
        made = writer.push(name, image(config.descriptor(), annotations={"number": str(number)}), "t")
        for client in (reader, writer, reader):
            assert client.ask("GET", f"/{name}/manifests/t").content == made.content
            assert client.ask("HEAD", f"/{name}/manifests/t").headers["docker-content-digest"] == made.digest
    assert one.ask("DELETE", f"/{name}/manifests/t").status_code == 202
    assert other.status_of(f"/{name}/manifests/t") == 404
    assert other.ask("GET", f"/{name}/tags/list").json()["tags"] == []
    assert other.ask("DELETE", f"/{name}/blobs/{config.digest}").status_code == 202
    assert one.status_of(f"/{name}/blobs/{config.digest}") == 404


def test_readers_never_see_half_a_change(workers: tuple[Client, Client], name: str) -> None:
    """While a tag moves, every pull by both workers gives one whole manifest whose digest is right."""
    one, other = workers
    config = one.push_blob(name, blob())
    versions = [image(config.descriptor(), annotations={"number": str(number)}) for number in range(6)]
    one.push(name, versions[0], "moving")
    contents = {version.content: version.digest for version in versions}
    ended = threading.Event()
    wrong: list[object] = []

    def read(registry: MatouRegistry) -> int:
        client, count = Client(registry), 0
        try:
            while not ended.is_set():
                answer = client.ask("GET", f"/{name}/manifests/moving", headers={"Accept": "*/*"})
                count += 1
                if contents.get(answer.content) != answer.headers.get("docker-content-digest"):
                    wrong.append(answer.content)
        finally:
            client.close()
        return count

    with ThreadPoolExecutor(3) as threads:
        readers = [threads.submit(read, one.registry) for _ in range(3)]
        try:
            for version in versions * 6:
                one.push(name, version, "moving")
                other.push(name, version, "moving")
        finally:
            ended.set()
        assert all(reader.result() > 10 for reader in readers)
    assert wrong == []


def test_manifest_pushed_to_both_under_many_tags(workers: tuple[Client, Client], name: str) -> None:
    config = workers[0].push_blob(name, blob())
    made = image(config.descriptor())
    with ThreadPoolExecutor(8) as threads:
        tags = [f"t{number}" for number in range(40)]
        pushed: list[Document] = list(threads.map(lambda tag: workers[int(tag[1:]) % 2].push(name, made, tag), tags))
    assert len(pushed) == 40
    for worker in workers:
        assert worker.ask("GET", f"/{name}/tags/list").json()["tags"] == sorted(tags)


class TestRestart:
    """An upload outlives the processes."""

    CONTENT = blob(300)

    def begun(self, client: Client) -> httpx.Response:
        return client.chunk(client.begin("a/b"), self.CONTENT.content[:100], 0)

    def end(self, client: Client, answer: httpx.Response, url: str) -> None:
        rest = self.CONTENT.content[100:]
        headers = {"Content-Type": OCTETS, "Content-Range": "100-299"}
        answer = client.ask("PATCH", url, content=rest, headers=headers)
        assert answer.status_code == 202, answer.text
        assert client.follow(answer, "PUT", params={"digest": self.CONTENT.digest}).status_code == 201
        assert client.ask("GET", f"/a/b/blobs/{self.CONTENT.digest}").content == self.CONTENT.content

    def test_with_the_same_secret(self, tmp_path: Path) -> None:
        with connected(tmp_path / "r") as client:
            answer = self.begun(client)
        below = answer.headers["location"].partition("/v2")[2]
        with connected(tmp_path / "r") as client:
            self.end(client, answer, below)

    def test_with_another_secret(self, tmp_path: Path) -> None:
        """The old Location is refused with what is wrong; the upload's state, asked for, gives a new one."""
        with connected(tmp_path / "r") as client:
            answer = self.begun(client)
        below = answer.headers["location"].partition("/v2")[2]
        with connected(tmp_path / "r", {"http": {"secret": "another"}}) as client:
            refused = client.ask("PATCH", below, content=b"x")
            assert error_of(refused) == (404, ["BLOB_UPLOAD_INVALID"])
            assert "http.secret" in refused.text
            status = client.ask("GET", below)
            assert (status.status_code, status.headers["range"]) == (204, "0-99")
            self.end(client, answer, status.headers["location"])
