"""Histograms on the board as Prometheus writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def part_of(figures: Sequence[int], first: int, index: int, size: int) -> list[int]:
    """Return one of several parts of a size that lie one after the other from the first on."""
    start = first + index * size
    return list(figures[start : start + size])


def cumulative(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    """Return the buckets of a histogram as Prometheus has them: label, and how many are not above it."""
    buckets: list[tuple[str, float]] = []
    running = 0
    for bound, count in zip((*bounds, float("inf")), counts, strict=True):
        running += count
        buckets.append((_bound(bound), running))
    return buckets


def _bound(bound: float) -> str:
    """Return a bucket's limit as Distribution labels it: ``0.005``, ``1024``, ``1.048576e+06``, ``+Inf``."""
    if bound == float("inf"):
        return "+Inf"
    if bound < 1e6:  # noqa: PLR2004 -- where Go begins to write exponents
        return f"{bound:g}"
    mantissa, _, exponent = f"{bound:.15e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{exponent}"
