"""The debug server of a running registry: figures of all workers, health, out of service and back."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.hub import Hub
from tests.servers.matou_registry import MatouRegistry, running_registry
from tests.servers.ports import free_port
from tests.servers.program import MATOU
from tests.servers.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Debugged:
    """A registry and its debug server."""

    def __init__(self, registry: MatouRegistry, port: int) -> None:
        self.registry = registry
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, method: str, path: str) -> httpx.Response:
        return httpx.request(method, self.url + path, timeout=30, trust_env=False)

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of the samples that have these labels."""
        return sum(
            sample.value
            for family in text_string_to_metric_families(self.ask("GET", "/metrics").text)
            for sample in family.samples
            if sample.name == name and set(labels.items()) <= set(sample.labels.items())
        )

    def statuses(self) -> set[int]:
        # A connection each, so that every worker gets some.
        return {httpx.get(f"{self.registry.url}/v2/", timeout=30, trust_env=False).status_code for _ in range(8)}


@pytest.fixture(scope="module")
def debugged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Debugged]:
    port = free_port()
    http = {"debug": {"addr": f"127.0.0.1:{port}", "prometheus": {"enabled": True}}}
    with running_registry(tmp_path_factory.mktemp("debug"), {"http": http}) as registry:
        debugged = Debugged(registry, port)
        wait_until(lambda: debugged.metric("registry_workers") == 2)
        yield debugged
        assert registry.tracebacks() == []


def test_figures_of_all_workers(debugged: Debugged) -> None:
    hub = Hub(debugged.registry.url)
    hub.push_image("figures/image", "latest")
    before = debugged.metric("registry_http_requests_total", handler="manifest", method="get", code="200")
    path = "/v2/figures/image/manifests/latest"
    sizes = 0
    for number in range(30):
        method = "HEAD" if number % 3 == 0 else "GET"
        # A connection each, so that both workers get some.
        answer = httpx.request(method, debugged.registry.url + path, timeout=30, trust_env=False)
        assert answer.status_code == 200
        sizes += len(answer.content)
    # Requests are counted right after they are answered.
    labels = {"handler": "manifest", "code": "200"}
    wait_until(lambda: debugged.metric("registry_http_requests_total", method="get", **labels) - before == 20)
    wait_until(lambda: debugged.metric("registry_http_requests_total", method="head", **labels) == 10)
    assert debugged.metric("registry_http_requests_total", handler="manifest", method="put", code="201") == 1
    assert debugged.metric("registry_manifest_cache_hits_total") > 0
    assert debugged.metric("registry_http_response_size_bytes_sum", handler="manifest") == sizes
    assert debugged.metric("registry_http_request_duration_seconds_count", handler="manifest", method="get") == 20
    assert debugged.metric("registry_http_in_flight_requests") == 0
    assert debugged.metric("registry_storage_action_seconds_count", driver="filesystem", action="PutContent") > 0
    shown: dict[str, Any] = debugged.ask("GET", "/debug/vars").json()
    assert {worker["pid"] for worker in shown["registry"]["workers"]} == set(debugged.registry.worker_pids())
    assert shown["registry"]["requests"] == debugged.metric("registry_http_requests_total")
    hub.close()


def test_in_flight(debugged: Debugged) -> None:
    start = httpx.post(f"{debugged.registry.url}/v2/figures/flight/blobs/uploads/", timeout=30, trust_env=False)
    path = start.headers["location"].partition(debugged.registry.address)[2]
    with socket.create_connection(("127.0.0.1", debugged.registry.port)) as connection:
        connection.sendall(f"PATCH {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc".encode())
        wait_until(lambda: debugged.metric("registry_http_in_flight_requests", handler="blob_upload_chunk") == 1)
    wait_until(lambda: debugged.metric("registry_http_in_flight_requests") == 0)


def test_out_of_service_and_back(debugged: Debugged) -> None:
    assert debugged.ask("GET", "/debug/health").status_code == 200
    assert debugged.ask("POST", "/debug/health/down").status_code == 200
    # At once, in every worker.
    assert debugged.statuses() == {503}
    answer = debugged.ask("GET", "/debug/health")
    assert (answer.status_code, answer.json()) == (503, {"manual_http_status": "manual Check"})
    assert debugged.metric("registry_health_checks_failing") == 1
    assert debugged.ask("POST", "/debug/health/up").status_code == 200
    assert debugged.statuses() == {200}
    assert debugged.ask("GET", "/debug/health").json() == {}


def test_figures_outlive_a_worker(debugged: Debugged) -> None:
    assert debugged.statuses() == {200}
    before = debugged.metric("registry_http_requests_total")
    killed = debugged.registry.worker_pids()[0]
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: debugged.metric("registry_workers") == 1 or killed not in debugged.registry.worker_pids())
    assert debugged.metric("registry_http_requests_total") >= before
    wait_until(lambda: debugged.metric("registry_workers") == 2)
    # Out of service is what a successor learns too.
    assert debugged.ask("POST", "/debug/health/down").status_code == 200
    os.kill(debugged.registry.worker_pids()[0], signal.SIGKILL)
    wait_until(lambda: debugged.metric("registry_workers") == 2)
    with contextlib.suppress(httpx.TransportError):  # a connection to the killed one
        assert debugged.statuses() == {503}
    assert debugged.ask("POST", "/debug/health/up").status_code == 200


def test_off_unless_configured(tmp_path: Path) -> None:
    with running_registry(tmp_path, {"http": {"debug": {"prometheus": {"enabled": True}}}}) as registry:
        assert httpx.get(f"{registry.url}/metrics", timeout=30, trust_env=False).status_code == 404
        assert httpx.get(f"{registry.url}/debug/health", timeout=30, trust_env=False).status_code == 404
    assert "debug server" not in registry.log.read_text()


def test_an_address_that_others_reach_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    http = {"addr": f"127.0.0.1:{free_port()}", "secret": "x", "debug": {"addr": f":{free_port()}"}}
    path.write_text(yaml.safe_dump({"version": 0.1, "storage": {"inmemory": {}}, "http": http}))
    done = subprocess.run([MATOU, "registry", "serve", path], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert "MATOU_DEBUG_PUBLIC=1" in done.stderr
    assert "Traceback" not in done.stderr
