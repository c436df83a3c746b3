"""The documents are true where a program can tell: links, commands, targets, variables."""

from __future__ import annotations

import ast
import itertools
import re
import subprocess
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest

from matou.cli.application import build
from tests.unit.architecture.checkout import PACKAGE, ROOT, files, markdown_files, python_files, relative, syntax
from tests.unit.architecture.markdown import anchors, is_prefix, links, matou_commands, shell_commands

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENTS = markdown_files()
TARGETS = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_links_lead_somewhere(document: Path) -> None:
    wrong = []
    for target in links(document.read_text("utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = unquote(target).partition("#")
        path = (document.parent / name).resolve() if name else document
        if path not in files() and not any(path in file.parents for file in files()):
            wrong.append(f"{target}: there is no such file")
        elif anchor and anchor not in anchors(path.read_text("utf-8")):
            wrong.append(f"{target}: there is no such heading")
    assert wrong == []


def test_every_page_is_reached_from_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    reached, ahead = set(), [index]
    while ahead:
        page = ahead.pop()
        reached.add(page)
        for target in links(page.read_text("utf-8")):
            path = (page.parent / unquote(target).partition("#")[0]).resolve()
            if path.suffix == ".md" and path in files() and path not in reached:
                ahead.append(path)
    missing = [relative(page) for page in DOCUMENTS if page.is_relative_to(ROOT / "docs") and page not in reached]
    assert missing == [], "add them to docs/README.md"


def options_of(command: Any) -> dict[str, bool]:
    """Return the options of a command, and whether each takes a value."""
    found = {"--help": False}
    for parameter in command.params:
        if parameter.param_type_name == "option":
            takes_value = not parameter.is_flag
            found |= dict.fromkeys([*parameter.opts, *parameter.secondary_opts], takes_value)
    return found


def complaint(arguments: list[str]) -> str | None:
    """Return what is wrong with a command line of ours, as far as names of commands and options go."""
    command = build()
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word.startswith("-"):
            name, equals, _ = word.partition("=")
            options = options_of(command)
            if name not in options:
                return f"{name} is not an option"
            if options[name] and not equals and not rest:
                return f"{name} lacks its value"
            if options[name] and not equals:
                rest.pop(0)
        elif hasattr(command, "commands"):
            if word not in command.commands:
                return f"{word} is not a command"
            command = command.commands[word]
    return "a group is not a command" if hasattr(command, "commands") and "--help" not in arguments else None


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_commands_of_ours_exist(document: Path) -> None:
    wrong = [
        f"matou {' '.join(arguments)}: {problem}"
        for arguments in matou_commands(document)
        if (problem := complaint(arguments)) is not None
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["version"], None),
        (["--help"], None),
        (["registry", "config-check", "x.yml", "--json"], None),
        (["registry", "config-check", "x.yml", "--jsn"], "--jsn is not an option"),
        (["registry", "config-chek"], "config-chek is not a command"),
        (["registry"], "a group is not a command"),
    ],
)
def test_the_check_of_commands_finds_what_it_is_for(arguments: list[str], problem: str | None) -> None:
    assert complaint(arguments) == problem


def make_targets(document: Path) -> set[str]:
    """Return the targets that a document's shell blocks make."""
    found = set()
    for words in shell_commands(document.read_text("utf-8")):
        command = list(itertools.dropwhile(is_prefix, words))
        if command[:1] == ["make"]:
            found |= {word for word in command[1:] if not is_prefix(word)}
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_make_targets_exist(document: Path) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8").replace("$(VENV)", ".venv")
    rules = set(re.findall(r"^([\w./-]+):", makefile, re.MULTILINE))
    assert make_targets(document) <= rules


def test_every_make_target_is_documented() -> None:
    assert TARGETS is not None
    contributing = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert [name for name in TARGETS[1].split() if f"`make {name}`" not in contributing] == []


@pytest.mark.parametrize(
    ("target", "command"),
    [
        ("serve", ".venv/bin/matou serve"),
        ("test", ".venv/bin/pytest "),
        ("test", ".ci/packages tests"),
        ("check", ".venv/bin/mypy"),
        ("check", ".venv/bin/ruff format --check ."),
        ("bench", ".venv/bin/python -m bench"),
        ("soak", "MATOU_SOAK_ROUNDS="),
        ("lock", "--output-file requirements/runtime.txt"),
        ("catalogues", ".venv/bin/python -m tests.unit.cli.catalogues"),
        ("reference", ".venv/bin/python -m matou.cli.reference > docs/reference/commands.md"),
        ("clean", "rm -rf .venv"),
    ],
)
def test_make_targets_do_what_they_say(target: str, command: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True)
    assert command in done.stdout


def test_continuous_integration_runs_make_test() -> None:
    lines = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    assert lines[-1] == "exec make test"


def variables(path: Path) -> set[str]:
    """Return the environment variables that a module names in its own right, not within other text."""
    return {
        node.value
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"(MATOU|REGISTRY)_[A-Z][A-Z_]*[A-Z]", node.value)
    }


def test_every_environment_variable_is_documented() -> None:
    page = (ROOT / "docs" / "reference" / "environment.md").read_text("utf-8")
    used = set().union(*(variables(path) for path in python_files(PACKAGE)))
    assert "MATOU_HOME" in used
    assert sorted(name for name in used if f"| `{name}` |" not in page) == []


def test_no_environment_variable_is_documented_that_nothing_reads() -> None:
    page = (ROOT / "docs" / "reference" / "environment.md").read_text("utf-8")
    documented = set(re.findall(r"^\| `((?:MATOU|REGISTRY)_[A-Z_]+)` \|", page, re.MULTILINE))
    read = set().union(*(variables(path) for path in python_files()))
    read |= set(re.findall(r"\bMATOU_[A-Z_]+", (ROOT / "Makefile").read_text("utf-8")))
    assert sorted(documented - read) == []


def test_the_architecture_page_names_every_part_of_both_planes() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    parts = [path.parent.name for path in PACKAGE.glob("*/*/__init__.py") if path.parts[-3] in ("registry", "portal")]
    assert len(parts) > 10
    assert [part for part in parts if f"`{part}/`" not in page] == []


def test_the_readme_has_the_two_commands() -> None:
    assert {"serve", "test"} <= make_targets(ROOT / "README.md")
