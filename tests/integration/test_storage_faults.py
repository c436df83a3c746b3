"""Pushes while the storage is slow, busy, cut off or gone: they succeed or fail cleanly, and succeed when repeated."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from tests.integration.hub import Hub
from tests.registry_http.content import OCTETS, Blob, blob, image
from tests.servers.fault_proxy import Answer, FaultProxy, Faults, Head, running_fault_proxy
from tests.servers.matou_registry import MatouRegistry, running_registry
from tests.servers.seaweedfs import SeaweedFS, section
from tests.servers.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

NAME = "team/app"
MIB = 1 << 20
BUSY = Answer(503, "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>")


@pytest.fixture(scope="module")
def proxy(seaweedfs: SeaweedFS) -> Iterator[FaultProxy]:
    with running_fault_proxy(seaweedfs.ports["s3.port"]) as running:
        yield running


@pytest.fixture(scope="module")
def registry(proxy: FaultProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MatouRegistry]:
    sections = {"storage": {"s3": section(proxy.url, maxretries=2), "redirect": {"disable": True}}}
    with running_registry(tmp_path_factory.mktemp("registry"), sections) as running:
        wait_until(lambda: len(running.worker_pids()) == running.workers)
        workers = running.worker_pids()
        yield running
        assert running.worker_pids() == workers, "a worker ended"
        assert running.tracebacks() == []


@pytest.fixture
def hub(registry: MatouRegistry, proxy: FaultProxy) -> Iterator[Hub]:
    with contextlib.closing(Hub(registry.url)) as client:
        yield client
    proxy.set(Faults())


def uploads(head: Head) -> bool:
    """Tell whether a request stores a part of a blob."""
    return head.method == "PUT" and "/_uploads/" in head.target and not head.target.endswith("startedat")


def pushed(hub: Hub, content: Blob) -> httpx.Response:
    """Push a blob as Docker does, and return the first answer that is no success, or the last."""
    answer = hub.ask("POST", f"/v2/{NAME}/blobs/uploads/")
    if answer.status_code != 202:
        return answer
    answer = hub.ask("PATCH", answer.headers["location"], content=content.content, headers={"Content-Type": OCTETS})
    if answer.status_code != 202:
        return answer
    return hub.ask("PUT", answer.headers["location"] + f"&digest={content.digest}")


def is_clean_failure(answer: httpx.Response) -> bool:
    """Tell whether an answer is an error that says in the specified form that the storage is to blame."""
    (error,) = answer.json()["errors"]
    return answer.status_code == 503 and error["code"] == "UNAVAILABLE" and bool(answer.headers["x-request-id"])


def check_pull(hub: Hub, content: Blob) -> None:
    answer = hub.ask("GET", f"/v2/{NAME}/blobs/{content.digest}")
    assert answer.status_code == 200
    assert answer.content == content.content


PASSING = {
    "latency": Faults(latency=0.02),
    "a reset in the body of a segment": Faults(cut_up=2 * MIB, concerns=uploads, times=1),
    "a reset in an answer": Faults(cut_down=20, concerns=uploads, times=1),
    "a connection that is refused": Faults(answer=None, cut_down=0, times=2),
    "a busy storage": Faults(answer=lambda _head: BUSY, times=2),
}
LASTING = {
    "every body is cut": Faults(cut_up=100_000, concerns=uploads),
    "every answer is cut": Faults(cut_down=20, concerns=uploads),
    "connections are refused": Faults(refuse=True),
    "a storm of 503": Faults(answer=lambda _head: BUSY),
}


@pytest.mark.parametrize("faults", PASSING.values(), ids=PASSING)
def test_what_passes_is_not_noticed(faults: Faults, hub: Hub, proxy: FaultProxy) -> None:
    content = blob(6 * MIB)
    with proxy.having(faults):
        assert pushed(hub, content).status_code == 201
    check_pull(hub, content)


@pytest.mark.parametrize("faults", LASTING.values(), ids=LASTING)
def test_what_lasts_fails_a_push_that_succeeds_later(faults: Faults, hub: Hub, proxy: FaultProxy) -> None:
    content = blob(6 * MIB)
    with proxy.having(faults):
        assert is_clean_failure(pushed(hub, content))
        assert hub.ask("GET", f"/v2/{NAME}/blobs/{content.digest}").status_code == 404
    assert pushed(hub, content).status_code == 201
    check_pull(hub, content)


def test_an_upload_goes_on_after_the_storage_was_gone(hub: Hub, proxy: FaultProxy) -> None:
    content = blob(12 * MIB)
    first, rest = content.content[: 7 * MIB], content.content[7 * MIB :]
    answer = hub.ask("POST", f"/v2/{NAME}/blobs/uploads/")
    answer = hub.ask("PATCH", answer.headers["location"], content=first, headers={"Content-Type": OCTETS})
    location = answer.headers["location"]
    with proxy.having(Faults(refuse=True)):
        assert is_clean_failure(hub.ask("PATCH", location, content=rest, headers={"Content-Type": OCTETS}))
    state = hub.ask("GET", location)
    assert state.status_code == 204
    stored = int(state.headers["range"].rpartition("-")[2]) + 1
    assert 7 * MIB <= stored <= 12 * MIB
    answer = hub.ask(
        "PATCH", state.headers["location"], content=content.content[stored:], headers={"Content-Type": OCTETS}
    )
    assert answer.status_code == 202
    assert hub.ask("PUT", answer.headers["location"] + f"&digest={content.digest}").status_code == 201
    check_pull(hub, content)


def test_a_manifest_that_cannot_be_stored_is_not_there(hub: Hub, proxy: FaultProxy) -> None:
    config, layer = blob(200), blob(3000)
    for content in (config, layer):
        assert pushed(hub, content).status_code == 201
    document = image(config.descriptor(), [layer.descriptor()])
    path, headers = f"/v2/{NAME}/manifests/one", {"Content-Type": document.media_type}
    with proxy.having(Faults(answer=lambda _head: BUSY)):
        assert is_clean_failure(hub.ask("PUT", path, content=document.content, headers=headers))
    assert hub.ask("PUT", path, content=document.content, headers=headers).status_code == 201
    assert hub.ask("GET", path).content == document.content


def test_the_storage_dies_and_comes_back(hub: Hub, seaweedfs: SeaweedFS) -> None:
    before, after = blob(6 * MIB), blob(6 * MIB)
    assert pushed(hub, before).status_code == 201
    seaweedfs.kill()
    assert is_clean_failure(pushed(hub, after))
    seaweedfs.start()
    wait_until(
        lambda: hub.ask("GET", f"/v2/{NAME}/blobs/{before.digest}").status_code == 200
    )  # its parts start in turn
    check_pull(hub, before)
    wait_until(lambda: pushed(hub, after).status_code == 201)
    check_pull(hub, after)
