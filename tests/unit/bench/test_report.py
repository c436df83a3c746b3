from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from bench.cases import GROUPS
from bench.report import BEGIN, END, TITLES, main, number, print_tables, render_markdown, replace_between_marks, times
from bench.results import PER_CORE, Case, Results

if TYPE_CHECKING:
    from pathlib import Path


def results() -> Results:
    found = Results()
    case = Case("manifests", "GET by tag", "token")
    found.add(case, "docker-registry", {PER_CORE: 1600})
    found.add(case, "matou", {PER_CORE: 32000})
    found.add(Case("manifests", "HEAD by tag", "off"), "docker-registry", {PER_CORE: 1700})
    found.problems.append("tags, [odd] case")
    return found


def document() -> dict[str, Any]:
    return {
        "started": "2026-01-02T03:04:05+00:00",
        "seconds": 61.2,
        "quick": True,
        "settings": {"rounds": 3},
        "environment": {
            "cpu": "Some CPU",
            "cores": 2,
            "memory_gib": 8,
            "kernel": "6.1",
            "python": "3.11",
            "commit": "abc1234",
            "wrk": "wrk 4.1.0 Copyright (C)",
            "storage": "ext4",
            "server_core": 0,
            "client_core": 1,
            "servers": {"matou": {"command": "matou", "version": "matou 0.1"}},
        },
        **results().as_json(),
    }


@pytest.mark.parametrize(
    ("value", "text"), [(31234.5, "31,234"), (100, "100"), (99.94, "99.9"), (10, "10.0"), (1.234, "1.23"), (0, "0.00")]
)
def test_numbers_have_about_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_ratios_say_times() -> None:
    assert times(20) == "20.0\N{MULTIPLICATION SIGN}"


def test_markdown_has_every_figure_matou_first() -> None:
    text = render_markdown(document())
    assert "Measured 2026-01-02 at commit abc1234: 3 rounds (quick), 61 s in all." in text
    assert "| case | auth | figure | matou | docker-registry | better than docker-registry |" in text
    row = "| GET by tag | token | requests per core, requests/CPU s | 32,000 | 1,600 | 20.0\N{MULTIPLICATION SIGN} |"
    assert row in text
    assert "| HEAD by tag | off | requests per core, requests/CPU s | \N{EN DASH} | 1,700 |  |" in text
    assert "at least 12 times docker-registry | 20.0\N{MULTIPLICATION SIGN} | yes |" in text
    assert "- tags, [odd] case" in text


def test_terminal_tables() -> None:
    output = io.StringIO()
    print_tables(Console(file=output, width=160), results())
    assert "32,000" in output.getvalue()
    assert "problem: tags, [odd] case" in output.getvalue()


def test_only_what_is_between_the_marks_is_replaced() -> None:
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert replace_between_marks(text, "new\n") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"


@pytest.mark.parametrize("text", ["nothing", BEGIN, END, f"{END}{BEGIN}"])
def test_missing_marks(text: str) -> None:
    with pytest.raises(ValueError, match="no place for the figures"):
        replace_between_marks(text, "new")


def test_update_of_a_page(tmp_path: Path) -> None:
    figures, page = tmp_path / "bench.json", tmp_path / "page.md"
    figures.write_text(json.dumps(document()))
    page.write_text(f"# Page\n{BEGIN}\n{END}\n")
    assert main([str(figures), "--update", str(page)]) == 0
    assert page.read_text() == f"# Page\n{BEGIN}\n{render_markdown(document())}{END}\n"


@pytest.mark.parametrize(
    ("content", "said"), [("{}", "no 'figures' in it"), ("[", "Expecting"), (None, "No such file")]
)
def test_unusable_results(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, said: str) -> None:
    figures = tmp_path / "bench.json"
    if content is not None:
        figures.write_text(content)
    with pytest.raises(SystemExit) as stopped:
        main([str(figures)])
    assert stopped.value.code == 1
    assert said in capsys.readouterr().err


def test_every_group_has_a_table() -> None:
    assert TITLES.keys() == GROUPS.keys()
