"""Figures, their medians, and the ratios between servers."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SUBJECT = "matou"


@dataclass(frozen=True)
class Metric:
    """What a figure tells."""

    name: str
    unit: str
    higher_is_better: bool


PER_CORE = Metric("requests per core", "requests/CPU s", higher_is_better=True)
RATE = Metric("requests", "requests/s", higher_is_better=True)
P50 = Metric("latency p50", "ms", higher_is_better=False)
P99 = Metric("latency p99", "ms", higher_is_better=False)
BYTES_PER_CORE = Metric("MB/s per core", "MB/CPU s", higher_is_better=True)
BYTES_RATE = Metric("MB/s", "MB/s", higher_is_better=True)
IMAGES_PER_CORE = Metric("images per core", "images/CPU s", higher_is_better=True)
IMAGES_RATE = Metric("images", "images/s", higher_is_better=True)
PAGE_P50 = Metric("page p50", "ms", higher_is_better=False)
PAGE_P99 = Metric("page p99", "ms", higher_is_better=False)
ENTRIES = Metric("entries answered", "", higher_is_better=False)
START = Metric("start", "s", higher_is_better=False)
PEAK = Metric("peak memory, largest process", "MiB", higher_is_better=False)
PEAK_TREE = Metric("peak memory, all processes", "MiB", higher_is_better=False)
NOT_COMPARED = frozenset({ENTRIES})


@dataclass(frozen=True)
class Case:
    """One measured thing."""

    group: str
    name: str
    auth: str  # "off" or "token"


@dataclass(frozen=True)
class Ratio:
    """How many times better the subject is than a peer: above 1 it is better, whichever way the metric goes."""

    case: Case
    metric: Metric
    peer: str
    value: float
    low: float
    high: float


def ratio(subject: float, peer: float, *, higher_is_better: bool) -> float | None:
    """Return how many times better ``subject`` is, or None when a figure is zero."""
    if subject <= 0 or peer <= 0:
        return None
    return subject / peer if higher_is_better else peer / subject


def paired_ratios(subject: Sequence[float], peer: Sequence[float], *, higher_is_better: bool) -> list[float]:
    """Return the ratio of each round, so that what disturbed a round disturbed both its sides.

    Where a side lacks rounds there is one ratio, that of the medians.
    """
    if len(subject) != len(peer):
        subject, peer = [statistics.median(subject)], [statistics.median(peer)]
    pairs = (ratio(ours, theirs, higher_is_better=higher_is_better) for ours, theirs in zip(subject, peer, strict=True))
    return [value for value in pairs if value is not None]


class Results:
    """Collects figures while the cases run."""

    def __init__(self) -> None:
        self._values: dict[tuple[Case, Metric], dict[str, list[float]]] = {}
        self.problems: list[str] = []

    def add(self, case: Case, server: str, figures: dict[Metric, float]) -> None:
        """Add the figures of one turn of a server."""
        for metric, value in figures.items():
            self._values.setdefault((case, metric), {}).setdefault(server, []).append(value)

    def cases(self) -> Iterable[tuple[Case, Metric, dict[str, list[float]]]]:
        """Return all figures in the order in which they came."""
        for (case, metric), servers in self._values.items():
            yield case, metric, servers

    def ratios(self) -> Iterable[Ratio]:
        """Return the subject's ratios to every peer."""
        for case, metric, servers in self.cases():
            if SUBJECT not in servers or metric in NOT_COMPARED:
                continue
            for peer, values in servers.items():
                if peer == SUBJECT:
                    continue
                found = paired_ratios(servers[SUBJECT], values, higher_is_better=metric.higher_is_better)
                if found:
                    yield Ratio(case, metric, peer, statistics.median(found), min(found), max(found))

    def as_json(self) -> dict[str, Any]:
        """Return figures, ratios and problems as JSON values."""
        return {
            "figures": [
                {
                    "group": case.group,
                    "case": case.name,
                    "auth": case.auth,
                    "metric": metric.name,
                    "unit": metric.unit,
                    "higher_is_better": metric.higher_is_better,
                    "servers": {
                        name: {
                            "median": statistics.median(values),
                            "min": min(values),
                            "max": max(values),
                            "values": values,
                        }
                        for name, values in servers.items()
                    },
                }
                for case, metric, servers in self.cases()
            ],
            "ratios": [
                {
                    "group": item.case.group,
                    "case": item.case.name,
                    "auth": item.case.auth,
                    "metric": item.metric.name,
                    "peer": item.peer,
                    "ratio": item.value,
                    "min": item.low,
                    "max": item.high,
                }
                for item in self.ratios()
            ],
            "problems": self.problems,
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Results:
        """Return the results that ``as_json`` rendered.

        Raises:
            KeyError: something is missing.
        """
        results = cls()
        for item in document["figures"]:
            metric = Metric(item["metric"], item["unit"], item["higher_is_better"])
            case = Case(item["group"], item["case"], item["auth"])
            results._values[case, metric] = {name: list(figures["values"]) for name, figures in item["servers"].items()}
        results.problems = list(document["problems"])
        return results
