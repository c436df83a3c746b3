"""The figures of all workers as Prometheus reads them and as ``/debug/vars`` shows them.

Source: the metrics of docker-registry 2.8.2 (names, labels, buckets, help texts); what Distribution does not have is
said in docs/observability.md.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from matou.registry.observe.figures import (
    CODE_LABELS,
    DURATION_BUCKETS,
    HANDLERS,
    METHODS,
    NANOSECONDS,
    SIZE_BUCKETS,
    Layout,
)
from matou.registry.observe.histograms import cumulative, part_of
from matou.registry.observe.storage_exposition import cache_counts, storage_metrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from prometheus_client.metrics_core import Metric

    from matou.registry.observe.board import Board

# Of the figures of several processes: these are added up, the others are the parent's.
_ADDED = ("process_cpu_seconds", "process_open_fds", "process_resident_memory_bytes", "process_virtual_memory_bytes")


class FiguresCollector:
    """Collects for ``prometheus_client``.

    Args:
        board: with the figures of the workers.
        driver: key of the storage driver in the configuration.
    """

    def __init__(self, board: Board, driver: str) -> None:
        self._board = board
        self._driver = driver

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        figures = total(self._board)
        yield from request_metrics(figures)
        yield from storage_metrics(figures, self._driver)
        yield CounterMetricFamily(
            "registry_manifest_cache_hits",
            "Manifests served from a worker's cache, without a query of the index.",
            value=figures[Layout.cache_hits],
        )
        workers = [place for place in self._board.places if place.pid is not None]
        yield GaugeMetricFamily("registry_workers", "Worker processes that run.", value=len(workers))
        failing = {name for place in workers for name in place.failing}
        yield GaugeMetricFamily(
            "registry_health_checks_failing", "Health checks that fail in any worker.", value=len(failing)
        )
        build = GaugeMetricFamily("registry_build_info", "Always 1; the version is in the label.", labels=("version",))
        build.add_metric((version("matou"),), 1)
        yield build
        yield from process_metrics([os.getpid(), *(place.pid for place in workers if place.pid is not None)])


def metrics_registry(board: Board, driver: str) -> CollectorRegistry:
    """Return the registry (of metrics) that ``/metrics`` serves."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(FiguresCollector(board, driver))
    return registry


def total(board: Board) -> list[int]:
    """Return the sums of the figures of all workers that ever were."""
    return [sum(cells) for cells in zip(*(place.figures for place in board.places), strict=True)]


def request_metrics(figures: Sequence[int]) -> Iterator[Metric]:
    """Yield ``registry_http_*``.

    Args:
        figures: see ``Layout``.
    """
    requests = CounterMetricFamily(
        "registry_http_requests", "Total number of HTTP requests made.", labels=("handler", "method", "code")
    )
    durations = HistogramMetricFamily(
        "registry_http_request_duration_seconds",
        "The HTTP request latencies in seconds.",
        labels=("handler", "method"),
    )
    received = HistogramMetricFamily(
        "registry_http_request_size_bytes", "The HTTP request sizes in bytes.", labels=("handler",)
    )
    sent = HistogramMetricFamily(
        "registry_http_response_size_bytes", "The HTTP response sizes in bytes.", labels=("handler",)
    )
    in_flight = GaugeMetricFamily(
        "registry_http_in_flight_requests", "The in-flight HTTP requests", labels=("handler",)
    )
    for handler_index, handler in enumerate(HANDLERS):
        answered = 0
        for method_index, method in enumerate(METHODS):
            series = handler_index * len(METHODS) + method_index
            for code_index, code in enumerate(CODE_LABELS):
                count = figures[Layout.requests + series * len(CODE_LABELS) + code_index]
                answered += count
                if count:
                    requests.add_metric((handler, method, code), count)
            histogram = part_of(figures, Layout.durations, series, Layout.duration_size)
            if any(histogram):
                buckets = cumulative(DURATION_BUCKETS, histogram[1:])
                durations.add_metric((handler, method), buckets, histogram[0] / NANOSECONDS)
        for family, first in ((received, Layout.received), (sent, Layout.sent)):
            if answered:
                histogram = part_of(figures, first, handler_index, Layout.size_size)
                # Empty bodies are not counted where they occur.
                empty = max(0, answered - sum(histogram[1:]))
                buckets = cumulative(SIZE_BUCKETS, [histogram[1] + empty, *histogram[2:]])
                family.add_metric((handler,), buckets, histogram[0])
        in_flight.add_metric((handler,), figures[Layout.in_flight + handler_index])
    yield from (requests, durations, received, sent, in_flight)


def process_metrics(pids: Sequence[int]) -> Iterator[Metric]:
    """Yield ``process_*``: what several processes use together.

    Args:
        pids: the parent first.
    """
    merged: dict[str, Metric] = {}
    for pid in pids:
        collector = ProcessCollector(pid=lambda pid=pid: pid, registry=None)  # type: ignore[misc]  # bound to this pid
        for metric in collector.collect():
            known = merged.setdefault(metric.name, metric)
            if known is metric or metric.name not in _ADDED or not known.samples or not metric.samples:
                continue
            value = known.samples[0].value + metric.samples[0].value
            known.samples = [known.samples[0]._replace(value=value)]
    yield from merged.values()


def variables(board: Board) -> dict[str, Any]:
    """Return what ``/debug/vars`` shows."""
    figures = total(board)
    requests, hits, misses, errors = cache_counts(figures)
    workers = []
    failing: dict[str, str] = {}
    for place in board.places:
        pid = place.pid
        if pid is not None:
            workers.append({"pid": pid, "requests": _answered(place.figures), "memory": _resident(pid)})
            failing |= place.failing
    return {
        "cmdline": sys.argv,
        "version": version("matou"),
        "pid": os.getpid(),
        "memory": _resident(os.getpid()),
        "registry": {
            "workers": workers,
            "requests": _answered(figures),
            "in_flight": sum(part_of(figures, Layout.in_flight, 0, len(HANDLERS))),
            "cache": {
                "manifests": {"hits": figures[Layout.cache_hits]},
                "storage": {"blobdescriptor": {"Requests": requests, "Hits": hits, "Misses": misses, "Errors": errors}},
            },
            "health": failing,
            "notifications": {"endpoints": []},
        },
    }


def _answered(figures: Sequence[int]) -> int:
    return sum(figures[Layout.requests : Layout.durations])


def _resident(pid: int) -> int:
    """Return a process's resident memory in bytes; 0 when it has just ended."""
    collected: Iterable[Metric] = ProcessCollector(pid=lambda: pid, registry=None).collect()
    values = [
        sample.value
        for metric in collected
        for sample in metric.samples
        if metric.name == "process_resident_memory_bytes"
    ]
    return int(values[0]) if values else 0
