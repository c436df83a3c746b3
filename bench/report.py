"""Rendering a run: a table for the terminal, and Markdown for docs/performance.md.

``python -m bench.report bench.json`` prints the Markdown; ``--update FILE`` puts it between the two marks in the file.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.table import Table

from bench.results import SUBJECT, Case, Metric, Results
from bench.targets import verdicts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

BEGIN = "<!-- measured figures: begin (made by python -m bench.report) -->"
END = "<!-- measured figures: end -->"
TITLES = {
    "manifests": "Manifests",
    "blobs": "Blobs",
    "images": "Small images",
    "tags": "Tag lists",
    "catalog": "Catalogue",
    "memory": "Memory",
    "large": "A very large blob",
}
_WHOLE_FROM, _TENTHS_FROM = 100, 10


def number(value: float) -> str:
    """Return a figure with about three digits."""
    if value >= _WHOLE_FROM:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= _TENTHS_FROM else f"{value:.2f}"


def times(value: float) -> str:
    """Return a ratio."""
    return f"{number(value)}×"  # noqa: RUF001 -- the multiplication sign is meant


def server_names(results: Results) -> list[str]:
    """Return the servers that have figures, Matou first."""
    names = dict.fromkeys(name for _, _, servers in results.cases() for name in servers)
    return sorted(names, key=lambda name: name != SUBJECT)


def rows(results: Results, group: str, names: Sequence[str]) -> Iterable[tuple[Case, Metric, list[str]]]:
    """Return a group's rows: the medians of every server, then the ratio to every peer."""
    ratios = {(item.case, item.metric, item.peer): item.value for item in results.ratios()}
    for case, metric, servers in results.cases():
        if case.group != group:
            continue
        cells = [number(statistics.median(servers[name])) if name in servers else "–" for name in names]  # noqa: RUF001 -- a dash for nothing
        for peer in names:
            if peer != SUBJECT:
                found = ratios.get((case, metric, peer))
                cells.append("" if found is None else times(found))
        yield case, metric, cells


def headings(names: Sequence[str]) -> list[str]:
    """Return the titles of the columns of ``rows``' cells."""
    return [*names, *(f"better than {peer}" for peer in names if peer != SUBJECT)]


def print_tables(console: Console, results: Results) -> None:
    """Print a table for each group, the targets and the problems."""
    names = server_names(results)
    for group, title in TITLES.items():
        found = list(rows(results, group, names))
        if not found:
            continue
        table = Table(title=title, title_justify="left", box=SIMPLE)
        for heading in ("case", "auth", "figure"):
            table.add_column(heading, no_wrap=True)
        for heading in headings(names):
            table.add_column(heading, justify="right", no_wrap=True)
        for case, metric, cells in found:
            table.add_row(case.name, case.auth, _label(metric), *cells)
        console.print(table)
    judged = verdicts(results)
    if judged:
        table = Table("target", "measured", "met", title="Targets", title_justify="left", box=SIMPLE)
        for verdict in judged:
            measured = times(verdict.measured) if verdict.target.is_ratio else number(verdict.measured)
            table.add_row(verdict.target.text, measured, "yes" if verdict.met else "NO")
        console.print(table)
    for problem in results.problems:
        console.print(f"problem: {problem}", markup=False)


def _label(metric: Metric) -> str:
    return f"{metric.name}, {metric.unit}" if metric.unit else metric.name


def render_markdown(document: dict[str, Any]) -> str:
    """Return a whole run as Markdown."""
    results = Results.from_json(document)
    names = server_names(results)
    lines = _environment(document)
    judged = verdicts(results)
    if judged:
        lines += ["", "### Targets", "", "| target | measured | met |", "|---|---:|---|"]
        for verdict in judged:
            measured = times(verdict.measured) if verdict.target.is_ratio else number(verdict.measured)
            lines.append(f"| {verdict.target.text} | {measured} | {'yes' if verdict.met else '**no**'} |")
    for group, title in TITLES.items():
        found = list(rows(results, group, names))
        if found:
            columns = headings(names)
            lines += ["", f"### {title}", "", f"| case | auth | figure | {' | '.join(columns)} |"]
            lines.append(f"|---|---|---|{'---:|' * len(columns)}")
            lines += [
                f"| {case.name} | {case.auth} | {_label(metric)} | {' | '.join(cells)} |"
                for case, metric, cells in found
            ]
    if results.problems:
        lines += ["", "### Problems of this run", "", *(f"- {problem}" for problem in results.problems)]
    return "\n".join(lines) + "\n"


def _environment(document: dict[str, Any]) -> list[str]:
    place, settings = document["environment"], document["settings"]
    servers = "; ".join(f"{name}: {facts['version']}" for name, facts in place["servers"].items())
    measured = f"Measured {document['started'][:10]} at commit {place['commit']}: {settings['rounds']} rounds"
    machine = f"{place['cpu']}, {place['cores']} cores, {place['memory_gib']} GiB; Linux {place['kernel']}"
    software = f"Python {place['python']}; {place['wrk'].partition(' Copyright')[0]}"
    return [
        f"{measured}{' (quick)' if document['quick'] else ''}, {document['seconds']:.0f} s in all.",
        "",
        f"- Machine: {machine}; storage on {place['storage']}.",
        f"- Servers on core {place['server_core']}, clients on core {place['client_core']}; {software}.",
        f"- {servers}.",
    ]


def replace_between_marks(text: str, content: str) -> str:
    """Return the text with the part between the marks replaced.

    Raises:
        ValueError: a mark is missing.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"no place for the figures: expected the lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n{content}{END}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.report", description="Render a run of python -m bench.")
    parser.add_argument("results", type=Path, help="the JSON file of a run")
    parser.add_argument("--update", type=Path, metavar="FILE", help="Markdown file with the two marks, to be updated")
    options = parser.parse_args(arguments)
    try:
        content = render_markdown(json.loads(options.results.read_text()))
        if options.update:
            options.update.write_text(replace_between_marks(options.update.read_text(), content))
        else:
            sys.stdout.write(content)
    except (OSError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    except KeyError as error:
        parser.exit(1, f"{parser.prog}: {options.results}: no {error} in it; expected a file made by python -m bench\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
