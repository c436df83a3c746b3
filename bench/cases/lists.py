"""Pages of tag lists and of the catalogue, over content that was there before the registry started."""

from __future__ import annotations

import json
import shutil
import time
from typing import TYPE_CHECKING

from bench.load import percentile
from bench.registry_calls import Blob, push_small_blob, put_manifest, render_manifest
from bench.results import ENTRIES, PAGE_P50, PAGE_P99, START, Case, Metric
from bench.run import FAILURES, Run, describe
from bench.tree import TreeWriter, repository_name, tag_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from bench.servers import Candidate, Server


def run_tags(run: Run, auth: str) -> None:
    """Measure pages of the tags of repositories with more and more tags."""
    counts = {f"bench/tags-{count}": count for count in run.settings.tag_counts}
    roots = _roots(run, "tags", counts)
    with run.servers(auth, list(counts), roots) as servers:
        total = sum(counts.values())
        _record_start(run, Case("tags", f"start on {total:,} tags", auth), servers)
        _seed(run, servers, counts)
        for name, count in counts.items():
            _pages(
                run, f"{count:,} tags", f"/v2/{name}/tags/list", tag_name(count // 2), Case("tags", "", auth), servers
            )


def run_catalog(run: Run, auth: str) -> None:
    """Measure pages of catalogues of more and more repositories."""
    for count in run.settings.catalog_counts:
        names = {repository_name(number): 1 for number in range(count)}
        roots = _roots(run, f"catalog-{count}", names)
        with run.servers(auth, [], roots) as servers:
            _record_start(run, Case("catalog", f"start on {count:,} repositories", auth), servers)
            _seed(run, servers, names)
            middle = repository_name(count // 2)
            _pages(run, f"{count:,} repositories", "/v2/_catalog", middle, Case("catalog", "", auth), servers)


def _roots(run: Run, label: str, repositories: Mapping[str, int]) -> dict[str, Path]:
    """Return a root for each candidate, all showing the same tree; made once a run, whatever the authentication.

    A candidate that is not given config.yml does not read Distribution's tree: its root begins empty.
    """
    shared = run.storage / f"{label}-tree"
    if not shared.exists():
        run.tell(f"{label}: writing the tree")
        partial = shared.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        writer = TreeWriter(partial)
        for name, tags in repositories.items():
            writer.repository(name, tags)
        partial.rename(shared)
    return {candidate.name: _root(run, label, candidate, shared) for candidate in run.candidates}


def _root(run: Run, label: str, candidate: Candidate, shared: Path) -> Path:
    root = run.storage / f"{label}-{candidate.name}"
    root.mkdir(exist_ok=True)
    tree = root / "docker"
    if candidate.has_auth and not tree.is_symlink():
        tree.symlink_to(shared / "docker", target_is_directory=True)
    return root


def _record_start(run: Run, case: Case, servers: list[Server]) -> None:
    """Record how long the servers took to answer; with the first authentication mode they may have indexed the tree."""
    for server in servers:
        run.results.add(case, server.name, {START: server.start_seconds})


def _seed(run: Run, servers: list[Server], repositories: Mapping[str, int]) -> None:
    """Push the content to those that cannot read the tree."""
    config, layer = Blob.of(b"{}"), Blob.of(b"layer")
    manifest = render_manifest(config, (layer,))
    for server in [item for item in servers if not item.candidate.has_auth]:
        run.tell(f"{server.name}: pushing {sum(repositories.values()):,} tags")
        try:
            with server.connect() as connection:
                for name, tags in repositories.items():
                    for blob in (config, layer):
                        push_small_blob(connection, name, blob)
                    for number in range(tags):
                        put_manifest(connection, name, tag_name(number), manifest)
        except FAILURES as error:
            run.problem(f"{server.name}: the lists cannot be pushed: {describe(error)}")
            servers.remove(server)


def _pages(run: Run, label: str, target: str, middle: str, case: Case, servers: list[Server]) -> None:
    first = f"{target}?n={run.settings.page}"
    for page, address in (("first page", first), ("middle page", f"{first}&last={middle}")):
        run.turns(Case(case.group, f"{label}, {page}", case.auth), servers, _page_timer(run, address))


def _page_timer(run: Run, target: str) -> Callable[[Server], dict[Metric, float]]:
    def measure(server: Server) -> dict[Metric, float]:
        times: list[float] = []
        with server.connect() as connection:
            body = json.loads(connection.request("GET", target).expect(200).body)
            entries = body.get("tags", body.get("repositories")) or []
            if not entries:
                raise ValueError(f"GET {target} gave an empty list")
            end = time.perf_counter() + run.settings.page_seconds
            while not times or (len(times) < run.settings.pages and time.perf_counter() < end):
                began = time.perf_counter()
                connection.request("GET", target).expect(200)
                times.append((time.perf_counter() - began) * 1e3)
        times.sort()
        return {PAGE_P50: percentile(times, 50), PAGE_P99: percentile(times, 99), ENTRIES: float(len(entries))}

    return measure
