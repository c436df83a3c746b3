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
from matou.registry.observe.figures import RequestFigures, StorageFigures

# What docker-registry 2.8.2 shows.
DISTRIBUTION_DURATIONS = "0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 25 60 +Inf"
DISTRIBUTION_SIZES = (
    "1024 2048 4096 8192 16384 32768 65536 131072 262144 524288 1.048576e+06 2.097152e+06 4.194304e+06 8.388608e+06 "
    "1.6777216e+07 3.3554432e+07 6.7108864e+07 1.34217728e+08 2.68435456e+08 5.36870912e+08 1.073741824e+09 "
    "2.147483648e+09 +Inf"
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
        StorageFigures(place.figures).count("Stat", seconds)
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
    assert shown["registry"]["cache"] == {"manifests": {"hits": 4}}
    assert shown["registry"]["health"] == {"disk": "broken"}
    (worker,) = shown["registry"]["workers"]
    assert (worker["pid"], worker["requests"]) == (os.getpid(), 5)
    assert worker["memory"] > 1 << 20
