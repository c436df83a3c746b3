from __future__ import annotations

import json
import os

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from matou.registry.observe.board import Board
from matou.registry.observe.exposition import metrics_registry, variables
from matou.registry.observe.figures import RequestFigures
from matou.registry.observe.storage_figures import CacheFigures, DownloadFigures, StorageFigures

# What docker-registry 2.8.2 shows.
DISTRIBUTION_DURATIONS = "0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 25 60 +Inf"
DISTRIBUTION_SIZES = (
    "1024 2048 4096 8192 16384 32768 65536 131072 262144 524288 1.048576e+06 2.097152e+06 4.194304e+06 8.388608e+06 "
    "1.6777216e+07 3.3554432e+07 6.7108864e+07 1.34217728e+08 2.68435456e+08 5.36870912e+08 1.073741824e+09 "
    "2.147483648e+09 +Inf"
)

# What GitLab's fork shows.
GITLAB_DOWNLOADS = (
    "524288 1.048576e+06 6.7108864e+07 1.34217728e+08 2.68435456e+08 5.36870912e+08 1.073741824e+09 2.147483648e+09 "
    "3.221225472e+09 4.294967296e+09 5.36870912e+09 6.442450944e+09 7.516192768e+09 8.589934592e+09 9.663676416e+09 "
    "1.073741824e+10 2.147483648e+10 3.221225472e+10 4.294967296e+10 5.36870912e+10 +Inf"
)


@pytest.fixture
def board() -> Board:
    """Of two workers: one has answered five requests, the other one."""
    board = Board(3)
    first, second = board.places[:2]
    first.begin(os.getpid())
    figures = RequestFigures(first.figures, "")
    figures.cached("GET", 2000, 0.001)
    figures.cached("GET", 2000, 0.001)
    figures.cached("HEAD", 0, 0.003)
    figures.end(figures.begin("/v2/a/blobs/uploads/1"), "PATCH", 202, 5 << 20, 0, 0.7)
    figures.end(figures.begin("/v2/a/blobs/uploads/2"), "PATCH", 599, 5 << 30, 10, 70)
    figures.begin("/v2/a/blobs/uploads/3")
    other = RequestFigures(second.figures, "")
    other.cached("GET", 500, 0.02)
    first.report({"disk": "broken"})
    for place, seconds in ((first, 0.001), (second, 0.3)):
        storage = StorageFigures(place.figures)
        storage.count("Stat", seconds)
        storage.retried(throttled=True)
        storage.waited(0.25)
    StorageFigures(first.figures).retried(throttled=False)
    cache = CacheFigures(second.figures)
    cache.hit()
    cache.hit()
    for _ in range(3):
        cache.missed()
    cache.failed()
    cache.took("Stat", 0.0002)
    cache.took("SetDescriptor", 0.3)
    downloads = DownloadFigures(first.figures)
    downloads.downloaded(1 << 20, redirected=True)
    downloads.downloaded(3 << 30, redirected=True)
    downloads.downloaded(100, redirected=False)
    return board


def samples(board: Board) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = generate_latest(metrics_registry(board, "filesystem")).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_requests_of_all_workers(board: Board) -> None:
    found = samples(board)
    requests = {labels: value for (name, labels), value in found.items() if name == "registry_http_requests_total"}
    assert requests == {
        frozenset({("handler", "manifest"), ("method", "get"), ("code", "200")}): 3,
        frozenset({("handler", "manifest"), ("method", "head"), ("code", "200")}): 1,
        frozenset({("handler", "blob_upload_chunk"), ("method", "patch"), ("code", "202")}): 1,
        frozenset({("handler", "blob_upload_chunk"), ("method", "patch"), ("code", "other")}): 1,
    }
    assert found["registry_manifest_cache_hits_total", frozenset()] == 4
    assert found["registry_workers", frozenset()] == 1
    assert found["registry_health_checks_failing", frozenset()] == 1
    in_flight = {
        dict(labels)["handler"]: value
        for (name, labels), value in found.items()
        if name == "registry_http_in_flight_requests"
    }
    assert in_flight["blob_upload_chunk"] == 1
    assert sum(in_flight.values()) == 1


def histogram(board: Board, name: str, **labels: str) -> tuple[list[str], list[float], float, float]:
    found = samples(board)
    wanted = set(labels.items())
    buckets = [
        (dict(of)["le"], value)
        for (sample, of), value in found.items()
        if sample == f"{name}_bucket" and wanted <= set(of)
    ]
    key = frozenset(wanted)
    return (
        [bound for bound, _ in buckets],
        [value for _, value in buckets],
        found[f"{name}_count", key],
        found[f"{name}_sum", key],
    )


def test_durations(board: Board) -> None:
    bounds, counts, count, total = histogram(
        board, "registry_http_request_duration_seconds", handler="manifest", method="get"
    )
    assert " ".join(bounds) == DISTRIBUTION_DURATIONS
    assert counts == [2, 2, *[3] * 12]
    assert count == 3
    assert total == pytest.approx(0.022)
    _, counts, count, total = histogram(
        board, "registry_http_request_duration_seconds", handler="blob_upload_chunk", method="patch"
    )
    assert counts == [0] * 7 + [1] * 6 + [2]
    assert count == 2
    assert total == pytest.approx(70.7)


def test_sizes(board: Board) -> None:
    bounds, counts, count, total = histogram(board, "registry_http_response_size_bytes", handler="manifest")
    assert " ".join(bounds) == DISTRIBUTION_SIZES
    # The HEAD request is among the smallest.
    assert counts == [2, *[4] * 22]
    assert (count, total) == (4, 4500)
    _, counts, count, total = histogram(board, "registry_http_request_size_bytes", handler="blob_upload_chunk")
    assert counts == [0] * 13 + [1] * 9 + [2]
    assert (count, total) == (2, (5 << 20) + (5 << 30))
    _, counts, count, total = histogram(board, "registry_http_request_size_bytes", handler="manifest")
    assert counts == [4] * 23
    assert (count, total) == (4, 0)


def test_storage_actions(board: Board) -> None:
    bounds, counts, count, total = histogram(
        board, "registry_storage_action_seconds", driver="filesystem", action="Stat"
    )
    assert bounds == ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"]
    assert counts == [1] * 6 + [2] * 6
    assert count == 2
    assert total == pytest.approx(0.301)


def test_requests_to_the_storage(board: Board) -> None:
    found = samples(board)
    retries = {
        dict(labels)["reason"]: value
        for (name, labels), value in found.items()
        if name == "registry_storage_request_retries_total"
    }
    assert retries == {"failed": 1, "throttled": 2}
    assert found["registry_storage_request_waits_total", frozenset()] == 2
    assert found["registry_storage_request_wait_seconds_total", frozenset()] == 0.5


def test_downloads(board: Board) -> None:
    bounds, counts, count, total = histogram(board, "registry_storage_blob_download_bytes", redirect="true")
    assert " ".join(bounds) == GITLAB_DOWNLOADS
    assert counts == [0, *[1] * 7, *[2] * 13]
    assert (count, total) == (2, (1 << 20) + (3 << 30))
    _, _, count, total = histogram(board, "registry_storage_blob_download_bytes", redirect="false")
    assert (count, total) == (1, 100)


def test_the_cache(board: Board) -> None:
    found = samples(board)
    by_type = {
        dict(labels)["type"]: value for (name, labels), value in found.items() if name == "registry_storage_cache_total"
    }
    assert by_type == {"Request": 5, "Hit": 2, "Miss": 3}
    for kind, count in (("requests", 5), ("hits", 2), ("errors", 1)):
        assert found[f"registry_storage_cache_{kind}_total", frozenset()] == count
    _, counts, timed, total = histogram(board, "registry_storage_cache_redis_seconds", operation="SetDescriptor")
    assert counts == [0] * 6 + [1] * 6
    assert timed == 1
    assert total == pytest.approx(0.3)


def test_openmetrics(board: Board) -> None:
    text = generate_openmetrics(metrics_registry(board, "filesystem")).decode()  # type: ignore[no-untyped-call]  # the library's
    families = parse_openmetrics(text)  # type: ignore[no-untyped-call]  # as above
    assert {family.name for family in families} >= {"registry_http_requests", "process_cpu_seconds"}


def test_processes_are_added_up(board: Board) -> None:
    alone = samples(Board(1))["process_resident_memory_bytes", frozenset()]
    # The worker of the fixture is this process itself.
    assert samples(board)["process_resident_memory_bytes", frozenset()] > 1.5 * alone


def test_variables(board: Board) -> None:
    shown = json.loads(json.dumps(variables(board)))
    assert shown["pid"] == os.getpid()
    assert shown["registry"]["requests"] == 6
    assert shown["registry"]["in_flight"] == 1
    assert shown["registry"]["cache"] == {
        "manifests": {"hits": 4},
        "storage": {"blobdescriptor": {"Requests": 5, "Hits": 2, "Misses": 3, "Errors": 1}},
    }
    assert shown["registry"]["health"] == {"disk": "broken"}
    (worker,) = shown["registry"]["workers"]
    assert (worker["pid"], worker["requests"]) == (os.getpid(), 5)
    assert worker["memory"] > 1 << 20
