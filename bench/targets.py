"""What Matou wants to reach; a run says of each whether it was met."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.results import BYTES_PER_CORE, IMAGES_RATE, P99, PAGE_P50, PEAK, PER_CORE, SUBJECT, Case, Metric

if TYPE_CHECKING:
    from bench.results import Results

REFERENCE = "docker-registry"
AUTHS = ("off", "token")


@dataclass(frozen=True)
class Target:
    """A ratio to the reference that is to be exceeded, or a figure of Matou's own that is to stay below a bound."""

    text: str
    case: Case
    metric: Metric
    bound: float
    is_ratio: bool


@dataclass(frozen=True)
class Verdict:
    """A target and what was measured."""

    target: Target
    measured: float

    @property
    def met(self) -> bool:
        """Whether the target was reached."""
        return self.measured >= self.target.bound if self.target.is_ratio else self.measured < self.target.bound


def _times(text: str, case: Case, metric: Metric, bound: float) -> Target:
    return Target(f"{text} ({_auth(case)}): at least {bound:g} times {REFERENCE}", case, metric, bound, is_ratio=True)


def _below(text: str, case: Case, metric: Metric, bound: float) -> Target:
    return Target(f"{text} ({_auth(case)}): under {bound:g} {metric.unit}", case, metric, bound, is_ratio=False)


def _auth(case: Case) -> str:
    return "token auth" if case.auth == "token" else "no auth"


def targets() -> list[Target]:
    """Return all targets."""
    found = [
        _times("manifest GET by tag, requests per core", Case("manifests", "GET by tag", "token"), PER_CORE, 12),
        _times("manifest GET by tag, p99", Case("manifests", "GET by tag", "token"), P99, 1),
    ]
    for auth in AUTHS:
        found += [
            _times("push of 100 MiB, MB/s per core", Case("blobs", "push 100 MiB, chunked", auth), BYTES_PER_CORE, 2),
            _times("pull of 100 MiB, MB/s per core", Case("blobs", "pull 100 MiB", auth), BYTES_PER_CORE, 1.5),
            _times("small images, images/s", Case("images", "push", auth), IMAGES_RATE, 3),
            _below("a page of 100 of 100,000 tags", Case("tags", "100,000 tags, first page", auth), PAGE_P50, 5),
            _below("a middle page of 100,000 tags", Case("tags", "100,000 tags, middle page", auth), PAGE_P50, 5),
            _below("memory, pushes of 1,000 MiB", Case("memory", "push 1,000 MiB", auth), PEAK, 200),
            _below("memory, pulls of 1,000 MiB", Case("memory", "pull 1,000 MiB", auth), PEAK, 200),
        ]
    return found


def verdicts(results: Results) -> list[Verdict]:
    """Judge the targets that the run measured."""
    ratios = {(item.case, item.metric): item.value for item in results.ratios() if item.peer == REFERENCE}
    own = {
        (case, metric): statistics.median(servers[SUBJECT])
        for case, metric, servers in results.cases()
        if SUBJECT in servers
    }
    found = []
    for target in targets():
        measured = (ratios if target.is_ratio else own).get((target.case, target.metric))
        if measured is not None:
            found.append(Verdict(target, measured))
    return found
