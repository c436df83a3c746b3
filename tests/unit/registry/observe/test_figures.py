from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matou.registry.http import routes
from matou.registry.observe.figures import (
    _HANDLER_OF_ROUTE,
    ACTION_BUCKETS,
    ACTIONS,
    CACHE_COUNTS,
    CACHE_OPERATIONS,
    CODES,
    DOWNLOAD_BUCKETS,
    DURATION_BUCKETS,
    HANDLERS,
    MANIFEST,
    METHODS,
    REDIRECTS,
    RETRIES,
    SIZE_BUCKETS,
    Layout,
    RequestFigures,
    places,
)


def test_every_route_has_a_handler() -> None:
    assert set(_HANDLER_OF_ROUTE) == {route.name for route in routes.ROUTES}
    assert set(_HANDLER_OF_ROUTE.values()) | {"other"} == set(HANDLERS)


def test_no_two_figures_share_a_place() -> None:
    taken: list[int] = []
    codes = (*CODES, 999)
    for handler, method in itertools.product(range(len(HANDLERS)), (*(name.upper() for name in METHODS[:-1]), "X")):
        taken += [places(handler, method, code)[0] for code in codes]
        first = places(handler, method, 200)[1]
        taken += range(first, first + len(DURATION_BUCKETS) + 2)
    for handler in range(len(HANDLERS)):
        for begin in (Layout.received, Layout.sent):
            first = begin + handler * Layout.size_size
            taken += range(first, first + len(SIZE_BUCKETS) + 2)
        taken.append(Layout.in_flight + handler)
    taken += [Layout.cache_hits, Layout.failing]
    taken += range(Layout.actions, Layout.actions + len(ACTIONS) * (len(ACTION_BUCKETS) + 2))
    taken += [*range(Layout.retries, Layout.retries + len(RETRIES)), Layout.waits, Layout.waits + 1]
    taken += range(Layout.descriptors, Layout.descriptors + len(CACHE_COUNTS))
    taken += range(Layout.cache_operations, Layout.cache_operations + len(CACHE_OPERATIONS) * (len(ACTION_BUCKETS) + 2))
    taken += range(Layout.downloads, Layout.downloads + len(REDIRECTS) * (len(DOWNLOAD_BUCKETS) + 2))
    assert sorted(taken) == list(range(Layout.size))


@given(method=st.sampled_from(["GET", "HEAD"]), sent=st.integers(0, 1 << 33), seconds=st.floats(0, 100))
def test_the_hot_path_counts_like_the_other(method: str, sent: int, seconds: float) -> None:
    hot, cold = [0] * Layout.size, [0] * Layout.size
    RequestFigures(hot, "").cached(method, sent, seconds)
    figures = RequestFigures(cold, "")
    figures.end(figures.begin("/v2/a/manifests/b"), method, 200, 0, sent, seconds)
    cold[Layout.cache_hits] = 1
    assert hot == cold


@pytest.mark.parametrize(
    ("path", "prefix", "handler"),
    [("/mirror/v2/a/manifests/b", "/mirror", "manifest"), ("/v2/a/manifests/b", "/mirror", "other"), ("", "", "other")],
)
def test_prefix(path: str, prefix: str, handler: str) -> None:
    assert HANDLERS[RequestFigures([0] * Layout.size, prefix).begin(path)] == handler


def test_limits_belong_to_their_bucket() -> None:
    cells = [0] * Layout.size
    figures = RequestFigures(cells, "")
    for seconds in (0.005, 0.0051, 60.0, 60.1):
        figures.cached("GET", 1024, seconds)
    first = places(MANIFEST, "GET", 200)[1] + 1
    assert cells[first : first + len(DURATION_BUCKETS) + 1] == [1, 1, *[0] * 10, 1, 1]
    assert cells[Layout.sent + MANIFEST * Layout.size_size + 1] == 4
