"""The metrics of the storage and of the cache in front of it: ``registry_storage_*``.

Source: docker-registry 2.8.2 for ``action_seconds`` and ``cache``, Distribution 3 for ``cache_*``, GitLab's fork for
``blob_download_bytes``; the rest is Matou's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

from matou.registry.observe.figures import (
    ACTION_BUCKETS,
    ACTIONS,
    CACHE_COUNTS,
    CACHE_OPERATIONS,
    DOWNLOAD_BUCKETS,
    NANOSECONDS,
    REDIRECTS,
    RETRIES,
    Layout,
)
from matou.registry.observe.histograms import cumulative, part_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client.metrics_core import Metric


def storage_metrics(figures: Sequence[int], driver: str) -> Iterator[Metric]:
    """Yield ``registry_storage_*``.

    Args:
        figures: see ``Layout``.
        driver: key of the storage driver, a label.
    """
    actions = HistogramMetricFamily(
        "registry_storage_action_seconds",
        "The number of seconds that the storage action takes",
        labels=("driver", "action"),
    )
    for index, action in enumerate(ACTIONS):
        _add_seconds(actions, (driver, action), part_of(figures, Layout.actions, index, Layout.action_size))
    yield actions
    retries = CounterMetricFamily(
        "registry_storage_request_retries", "Requests to the storage that were repeated.", labels=("reason",)
    )
    for index, reason in enumerate(RETRIES):
        retries.add_metric((reason,), figures[Layout.retries + index])
    yield retries
    yield CounterMetricFamily(
        "registry_storage_request_waits",
        "Requests to the storage that waited for maxrequestspersecond.",
        value=figures[Layout.waits],
    )
    yield CounterMetricFamily(
        "registry_storage_request_wait_seconds",
        "Seconds that requests to the storage waited for maxrequestspersecond.",
        value=figures[Layout.waits + 1] / NANOSECONDS,
    )
    yield _downloads(figures)
    yield from _cache_metrics(figures)


def cache_counts(figures: Sequence[int]) -> tuple[int, int, int, int]:
    """Return the requests to the blob-descriptor cache, its hits, misses and errors.

    Args:
        figures: see ``Layout``.
    """
    requests, hits, errors = figures[Layout.descriptors : Layout.descriptors + len(CACHE_COUNTS)]
    return requests, hits, max(0, requests - hits), errors


def _downloads(figures: Sequence[int]) -> Metric:
    family = HistogramMetricFamily(
        "registry_storage_blob_download_bytes",
        "A histogram of blob download sizes for the storage backend.",
        labels=("redirect",),
    )
    for index, redirect in enumerate(REDIRECTS):
        histogram = part_of(figures, Layout.downloads, index, Layout.download_size)
        if any(histogram[1:]):
            family.add_metric((redirect,), cumulative(DOWNLOAD_BUCKETS, histogram[1:]), histogram[0])
    return family


def _cache_metrics(figures: Sequence[int]) -> Iterator[Metric]:
    requests, hits, misses, errors = cache_counts(figures)
    by_type = CounterMetricFamily("registry_storage_cache", "The number of cache request received", labels=("type",))
    for kind, count in (("Request", requests), ("Hit", hits), ("Miss", misses)):
        by_type.add_metric((kind,), count)
    yield by_type
    yield CounterMetricFamily("registry_storage_cache_requests", "The number of cache request received", value=requests)
    yield CounterMetricFamily("registry_storage_cache_hits", "The number of cache request received", value=hits)
    yield CounterMetricFamily("registry_storage_cache_errors", "The number of cache request errors", value=errors)
    operations = HistogramMetricFamily(
        "registry_storage_cache_redis_seconds", "Number of seconds taken by redis", labels=("operation",)
    )
    for index, operation in enumerate(CACHE_OPERATIONS):
        _add_seconds(operations, (operation,), part_of(figures, Layout.cache_operations, index, Layout.action_size))
    yield operations


def _add_seconds(family: HistogramMetricFamily, labels: Sequence[str], histogram: Sequence[int]) -> None:
    if any(histogram):
        family.add_metric(labels, cumulative(ACTION_BUCKETS, histogram[1:]), histogram[0] / NANOSECONDS)
