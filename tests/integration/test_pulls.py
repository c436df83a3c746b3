"""Pulls from a real object storage: redirected to it, or as a stream; what is asked of it, and when it fails."""

from __future__ import annotations

import contextlib
import http.client
import secrets
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from matou.registry.blobs import layout
from matou.registry.content.digest import Digest
from tests.registry_http.client import Client, codes
from tests.registry_http.content import Blob, blob
from tests.servers.fault_proxy import FaultProxy, Faults, Head, running_fault_proxy
from tests.servers.matou_registry import MatouRegistry, running_registry
from tests.servers.nginx import running_nginx
from tests.servers.ports import free_port
from tests.servers.redis import RedisServer, running_redis
from tests.servers.seaweedfs import BUCKET, SECRET_KEY, SeaweedFS, client, section
from tests.servers.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20
NAME = "team/app"


@dataclass(frozen=True)
class Place:
    """A root directory in the bucket, which is reached through a proxy that can fail."""

    proxy: FaultProxy
    root: str

    def section(self, **further: Any) -> dict[str, Any]:
        """Return the section ``storage``."""
        return {"s3": section(self.proxy.url, rootdirectory=self.root, maxretries=1), **further}

    def lose(self, content: Blob) -> None:
        """Delete a blob from the bucket."""
        path = layout.blob_data(Digest(content.digest))
        with contextlib.closing(client(self.proxy.url)) as s3:
            s3.delete_object(Bucket=BUCKET, Key=f"{self.root.strip('/')}/{path}")

    def asked(self, method: str, content: Blob) -> int:
        """Return how often the storage was asked for a blob."""
        end = f"/{content.digest.removeprefix('sha256:')}/data"
        return sum(
            head.method == method and head.target.partition("?")[0].endswith(end) for head in self.proxy.requests
        )


class Served:
    """A registry with its metrics."""

    def __init__(self, registry: MatouRegistry, debug: int) -> None:
        self.registry = registry
        self.client = Client(registry)
        self._debug = debug

    def push(self, size: int = MIB) -> Blob:
        return self.client.push_blob(NAME, blob(size))

    def ask(self, method: str, content: Blob, **headers: str) -> httpx.Response:
        return self.client.ask(method, f"/{NAME}/blobs/{content.digest}", headers=headers)

    def metric(self, name: str, **labels: str) -> float:
        text = httpx.get(f"http://127.0.0.1:{self._debug}/metrics", timeout=30, trust_env=False).text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def connections(self) -> int:
        """Return how many descriptors the worker has."""
        (pid,) = self.registry.worker_pids()
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@contextlib.contextmanager
def served(folder: Path, storage: dict[str, Any], state: Path | None = None, **sections: Any) -> Iterator[Served]:
    debug = free_port()
    variables = {"MATOU_REGISTRY_STATE": str(state or folder / "state")}
    sections["http"] = {"debug": {"addr": f"127.0.0.1:{debug}", "prometheus": {"enabled": True}}}
    given = {"storage": storage, "log": {"level": "debug"}, **sections}
    with running_registry(folder, given, 1, variables) as registry:
        found = Served(registry, debug)
        try:
            yield found
        finally:
            found.client.close()
        assert registry.tracebacks() == []
        for log in (registry.log, registry.access_log):
            text = log.read_text()
            assert SECRET_KEY not in text
            assert "X-Amz-Signature" not in text


@pytest.fixture(scope="module")
def proxy(seaweedfs: SeaweedFS) -> Iterator[FaultProxy]:
    with running_fault_proxy(seaweedfs.ports["s3.port"]) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def place(proxy: FaultProxy) -> Place:
    return Place(proxy, f"/{secrets.token_hex(8)}")


@pytest.fixture(scope="module")
def redirecting(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    storage = place.section(redirect={"expirydelay": "90s"}, cache={"blobdescriptor": "inmemory"})
    with served(tmp_path_factory.mktemp("redirecting"), storage) as found:
        yield found


@pytest.fixture(scope="module")
def streaming(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    other = Place(place.proxy, f"{place.root}/streaming")
    with served(tmp_path_factory.mktemp("streaming"), other.section(redirect={"disable": True})) as found:
        yield found


def follow(answer: httpx.Response, method: str = "GET", **headers: str) -> httpx.Response:
    """Do what a client does that was sent on."""
    assert answer.status_code == 307
    assert answer.content == b""
    assert answer.headers["cache-control"] == "no-store"
    return httpx.request(method, answer.headers["location"], headers=headers, timeout=30, trust_env=False)


def test_redirected_get_and_head(redirecting: Served) -> None:
    content = redirecting.push()
    answer = redirecting.ask("GET", content)
    assert answer.headers["docker-content-digest"] == content.digest
    assert "X-Amz-Expires=90&" in answer.headers["location"]
    assert follow(answer).content == content.content
    found = follow(redirecting.ask("HEAD", content), "HEAD")
    assert (found.status_code, found.headers["content-length"]) == (200, str(MIB))


def test_redirected_range(redirecting: Served) -> None:
    content = redirecting.push()
    asked = {"Range": f"bytes=1000-{MIB - 2}"}
    part = follow(redirecting.ask("GET", content, **asked), **asked)
    assert (part.status_code, part.content) == (206, content.content[1000:-1])
    assert part.headers["content-range"] == f"bytes 1000-{MIB - 2}/{MIB}"
    beyond = {"Range": f"bytes={MIB}-"}
    assert follow(redirecting.ask("GET", content, **beyond), **beyond).status_code == 416


def test_who_has_the_blob_is_not_sent_on(redirecting: Served) -> None:
    content = redirecting.push()
    assert redirecting.ask("GET", content, **{"If-None-Match": f'"{content.digest}"'}).status_code == 304


def test_nobody_gets_another_blob_by_a_url(redirecting: Served) -> None:
    content, other = redirecting.push(), redirecting.push()
    location = redirecting.ask("GET", content).headers["location"]
    for forged in (location.partition("?")[0], location.replace(content.digest[7:], other.digest[7:]), location + "0"):
        assert httpx.get(forged, timeout=30, trust_env=False).status_code == 403
    # Nor may whoever was given one to read change anything.
    assert httpx.put(location, content=b"x", timeout=30, trust_env=False).status_code == 403


def test_storage_is_asked_once(redirecting: Served, place: Place) -> None:
    content = redirecting.push()
    hits = redirecting.metric("registry_storage_cache_hits_total")
    downloads = redirecting.metric("registry_storage_blob_download_bytes_count", redirect="true")
    asked = place.asked("HEAD", content)
    for _ in range(5):
        assert redirecting.ask("GET", content).status_code == 307
    # It was pushed a moment ago.
    assert place.asked("HEAD", content) == asked
    assert redirecting.metric("registry_storage_cache_hits_total") == hits + 5
    assert redirecting.metric("registry_storage_blob_download_bytes_count", redirect="true") == downloads + 5
    assert redirecting.metric("registry_storage_action_seconds_count", action="URLFor") > 0
    assert redirecting.ask("HEAD", content).status_code == 307
    assert place.asked("HEAD", content) == asked + 1


def test_a_lost_blob_is_told_of_and_healed(redirecting: Served, place: Place) -> None:
    content = redirecting.push()
    place.lose(content)
    # It is in the cache: the client is sent there, and only the storage knows.
    assert follow(redirecting.ask("GET", content)).status_code == 404
    # A client asks before it pushes, and then the registry knows it, too.
    assert redirecting.ask("HEAD", content).status_code == 404
    assert codes(redirecting.ask("GET", content)) == ["BLOB_UNKNOWN"]
    assert f"storage lacks blob {content.digest}" in redirecting.registry.log.read_text()
    redirecting.client.push_blob(NAME, content)
    assert follow(redirecting.ask("GET", content)).content == content.content


def test_streamed(streaming: Served) -> None:
    content = streaming.push(3 * MIB)
    assert streaming.ask("HEAD", content).headers["content-length"] == str(3 * MIB)
    whole = streaming.ask("GET", content)
    assert (whole.status_code, whole.content) == (200, content.content)
    for first, last in ((0, 0), (10, MIB), (2 * MIB, 3 * MIB - 1)):
        part = streaming.ask("GET", content, Range=f"bytes={first}-{last}")
        assert (part.status_code, part.content) == (206, content.content[first : last + 1])
    assert streaming.metric("registry_storage_blob_download_bytes_count", redirect="false") >= 4


def test_a_slow_client_of_a_stream(streaming: Served) -> None:
    content = streaming.push(96 * MIB)
    before = streaming.registry.memory()
    answer, connection = begun(streaming, content)
    received = answer.read(MIB)
    for _ in range(5):
        received += answer.read(MIB)
        assert streaming.registry.memory() < before + 32 * MIB
    assert received + answer.read() == content.content
    answer.close()
    connection.close()


def test_clients_that_leave_give_connections_back(streaming: Served) -> None:
    content = streaming.push(32 * MIB)
    assert streaming.ask("GET", content).status_code == 200
    before = streaming.connections()
    for _ in range(10):
        answer, connection = begun(streaming, content)
        answer.read(1)
        answer.close()
        connection.close()
        with socket.create_connection(("127.0.0.1", streaming.registry.port)) as hasty:
            hasty.sendall(f"GET /v2/{NAME}/blobs/{content.digest} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    wait_until(lambda: streaming.connections() <= before, log=streaming.registry.log)


def test_many_clients_of_streams_at_once(streaming: Served) -> None:
    """Each gets what it asked for, though others leave early and connections to the storage are shared."""
    contents = [streaming.push(size) for size in (300_000, MIB, 2 * MIB + 7, 5 * MIB)]

    def pull(number: int) -> None:
        content = contents[number % len(contents)]
        start = number * 9973 % len(content.content) if number % 3 == 0 else 0
        path = f"/v2/{NAME}/blobs/{content.digest}"
        connection = http.client.HTTPConnection("127.0.0.1", streaming.registry.port, timeout=60)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"Range": f"bytes={start}-"})
            with connection.getresponse() as answer:
                if number % 5 == 0:
                    answer.read(number * 7919 % len(content.content))
                else:
                    assert answer.read() == content.content[start:]

    with ThreadPoolExecutor(24) as pool:
        for pulled in [pool.submit(pull, number) for number in range(300)]:
            pulled.result()


def begun(found: Served, content: Blob) -> tuple[http.client.HTTPResponse, http.client.HTTPConnection]:
    """Begin to pull a blob."""
    connection = http.client.HTTPConnection("127.0.0.1", found.registry.port, timeout=60)
    connection.request("GET", f"/v2/{NAME}/blobs/{content.digest}")
    return connection.getresponse(), connection


def reads(head: Head) -> bool:
    return head.method == "GET"


def test_a_connection_to_the_storage_that_breaks_is_made_again(streaming: Served, place: Place) -> None:
    content = streaming.push(8 * MIB)
    retries = streaming.metric("registry_storage_request_retries_total", reason="failed")
    with place.proxy.having(Faults(cut_down=3 * MIB, concerns=reads, times=2)):
        assert streaming.ask("GET", content).content == content.content
    assert streaming.metric("registry_storage_request_retries_total", reason="failed") == retries + 2


def test_a_storage_that_fails_before_the_first_byte(streaming: Served, place: Place) -> None:
    content = streaming.push(8 * MIB)
    with place.proxy.having(Faults(cut_down=100, concerns=reads)):
        answer = streaming.ask("GET", content)
    assert (answer.status_code, codes(answer)) == (503, ["UNAVAILABLE"])


def test_a_storage_that_breaks_off_for_good(streaming: Served, place: Place) -> None:
    content = streaming.push(16 * MIB)
    with place.proxy.having(Faults(cut_down=10 * MIB, concerns=reads, times=1)):
        answer, connection = begun(streaming, content)
        first = answer.read(1)
        place.proxy.set(Faults(refuse=True))
        with pytest.raises(http.client.IncompleteRead) as caught:
            answer.read()
        answer.close()
        connection.close()
    assert content.content.startswith(first + caught.value.partial)
    assert "broke off after" in streaming.registry.log.read_text()
    assert streaming.ask("GET", content).content == content.content


def test_a_cache_in_redis_is_shared(place: Place, tmp_path: Path) -> None:
    shared = Place(place.proxy, f"{place.root}/shared")
    with running_redis(tmp_path) as redis:
        sections: dict[str, Any] = {"redis": {"addr": redis.address}}
        storage = shared.section(cache={"blobdescriptor": "redis"})
        state = tmp_path / "state"
        with served(tmp_path / "first", storage, state, **sections) as first:
            content = first.push()
            with served(tmp_path / "second", storage, state, **sections) as second:
                asked = shared.asked("HEAD", content)
                assert [found.ask("GET", content).status_code for found in (first, second)] == [307, 307]
                assert shared.asked("HEAD", content) == asked
                assert second.metric("registry_storage_cache_hits_total") == 1
                assert second.metric("registry_storage_cache_redis_seconds_count", operation="Stat") == 1
                without_redis(second, redis, shared, content)


def without_redis(found: Served, redis: RedisServer, shared: Place, content: Blob) -> None:
    """Pulls go on when Redis is gone."""
    redis.stop()
    asked = shared.asked("HEAD", content)
    assert [found.ask("GET", content).status_code for _ in range(5)] == [307] * 5
    assert shared.asked("HEAD", content) == asked + 5
    assert found.metric("registry_storage_cache_errors_total") == 1
    assert found.registry.log.read_text().count("the blob-descriptor cache in Redis fails") == 1


def test_behind_nginx(redirecting: Served, streaming: Served, tmp_path: Path) -> None:
    through = {free_port(): redirecting, free_port(): streaming}
    site = "".join(
        f"server {{ listen 127.0.0.1:{port};"
        f" location / {{ proxy_pass {found.registry.url}; proxy_set_header Host $http_host; }} }}\n"
        for port, found in through.items()
    )
    with (
        running_nginx(tmp_path, site, *through),
        httpx.Client(follow_redirects=True, timeout=60, trust_env=False) as client,
    ):
        for port, found in through.items():
            for size in (100, 5 * MIB):
                content = found.push(size)
                url = f"http://127.0.0.1:{port}/v2/{NAME}/blobs/{content.digest}"
                assert client.get(url).content == content.content
                part = client.get(url, headers={"Range": "bytes=5-50"})
                assert (part.status_code, part.content) == (206, content.content[5:51])
