"""The translations are complete, fit their texts, and are compiled."""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING

import pytest

from matou.cli.application import build
from tests.unit.cli import catalogues
from tests.unit.cli.shell import matou

if TYPE_CHECKING:
    from tests.translations.catalogue import Catalogue

HAN = re.compile(r"[\u4e00-\u9fff]")


def fields(text: str) -> list[str]:
    """Return the replacement fields of a text."""
    return sorted(
        f"{name}!{conversion}" for _, name, _, conversion in string.Formatter().parse(text) if name is not None
    )


@pytest.fixture(params=sorted(catalogues.CATALOGUES))
def catalogue(request: pytest.FixtureRequest) -> Catalogue:
    return catalogues.CATALOGUES[request.param]


def test_every_text_of_the_command_line_and_of_typer_is_translated(catalogue: Catalogue) -> None:
    translated = {entry.msgid for entry in catalogue.read() if entry.msgstr and not entry.fuzzy and not entry.obsolete}
    missing = sorted(set(catalogue.wanted()) - translated)
    assert missing == [], "run 'make catalogues' and translate what it names"


def test_no_translation_is_left_of_a_text_that_is_gone(catalogue: Catalogue) -> None:
    gone = sorted({entry.msgid for entry in catalogue.read()} - set(catalogue.wanted()))
    assert gone == [], "run 'make catalogues'"


def test_translations_have_the_fields_of_their_texts(catalogue: Catalogue) -> None:
    wrong = [entry.msgid for entry in catalogue.read() if fields(entry.msgid) != fields(entry.msgstr)]
    assert wrong == []


def test_translations_begin_and_end_as_their_texts_do(catalogue: Catalogue) -> None:
    wrong = [
        entry.msgid
        for entry in catalogue.read()
        if (entry.msgid[0].isspace(), entry.msgid[-1].isspace(), entry.msgid.count("\n"))
        != (entry.msgstr[0].isspace(), entry.msgstr[-1].isspace(), entry.msgstr.count("\n"))
    ]
    assert wrong == []


def test_the_compiled_catalogue_is_the_one_that_people_edit(catalogue: Catalogue) -> None:
    assert catalogue.mo.read_bytes() == catalogue.compiled(), "run 'make catalogues'"


@pytest.mark.parametrize(
    "variables",
    [
        {"LANG": "zh_CN.UTF-8"},
        {"LC_ALL": "zh_CN.UTF-8", "LANG": "C"},
        {"LC_MESSAGES": "zh_SG.UTF-8"},
        {"LANGUAGE": "zh_Hans_CN:en", "LANG": "en_US.UTF-8"},
    ],
)
def test_help_is_in_the_language_of_the_environment(variables: dict[str, str]) -> None:
    done = matou("--help", **variables)
    assert done.status == 0
    assert "用法" in done.out
    assert "Usage" not in done.out


@pytest.mark.parametrize(
    "variables", [{}, {"LANG": "C.UTF-8"}, {"LANG": "fr_FR.UTF-8"}, {"LC_ALL": "C", "LANG": "zh_CN"}]
)
def test_help_is_in_english_otherwise(variables: dict[str, str]) -> None:
    done = matou("--help", **variables)
    assert done.status == 0
    assert "Usage: matou" in done.out
    assert not HAN.search(done.out)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("serv",),
        ("registry",),
        ("registry", "serv"),
        ("registry", "config-check", "--strictt"),
        ("registry", "config-check", "--nothing-like-it"),
        ("registry", "config-check", "a", "b"),
        ("registry", "config-check", "--strict=1"),
        ("registry", "serve"),
        ("admin",),
        ("admin", "create-token"),
        ("admin", "create-token", "root"),
        ("admin", "create-token", "root", "--scope"),
        ("admin", "create-token", "root", "--scope", "api", "--expires-at", "tomorrow"),
        ("admin", "create-project", "a/b", "--visibility", "secret"),
        ("admin", "add-member", "a", "b", "--role", "king"),
        ("admin", "create-user", "a"),
        ("admin", "create-project", "a"),
    ],
    ids=" ".join,
)
def test_complaints_are_in_the_language_too(arguments: tuple[str, ...]) -> None:
    done = matou(*arguments, LANG="zh_CN.UTF-8")
    assert done.status == 2
    for line in done.err.splitlines():
        said = re.sub(r"'[^']*'|“[^”]*”|--[\w-]+", "", line.removeprefix("matou: "))
        assert HAN.search(said), line
        assert not re.search(r"[A-Za-z]+ [A-Za-z]+ [A-Za-z]+", said), line


def every_command() -> list[tuple[str, ...]]:
    """Return the path of every command and group."""
    root = build()
    groups = [(name, getattr(root.commands[name], "commands", {})) for name in root.commands]
    return [(), *((name,) for name, _ in groups), *((name, below) for name, commands in groups for below in commands)]


@pytest.mark.parametrize("path", every_command(), ids=" ".join)
def test_help_is_whole_in_both_languages(path: tuple[str, ...]) -> None:
    english, chinese = matou(*path, "--help"), matou(*path, "--help", LANG="zh_CN.UTF-8")
    assert (english.status, chinese.status) == (0, 0)
    assert not HAN.search(english.out)
    assert "…" not in english.out + chinese.out
    for line in chinese.out.replace(" ".join(("matou", *path)), "").splitlines():
        assert not re.search(r"\b[a-z]+ [a-z]+ [a-z]+\b", line), line


def test_a_terminal_that_lacks_the_characters_still_gets_an_answer() -> None:
    done = matou("version", "--help", LANG="zh_CN.UTF-8", PYTHONIOENCODING="ascii")
    assert (done.status, done.err) == (0, "")
    assert "matou version" in done.out
    assert "?" in done.out
