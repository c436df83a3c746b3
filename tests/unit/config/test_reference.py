from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from matou.config.environment import override
from matou.config.findings import Findings, Origin
from matou.config.kinds import Place
from matou.config.reference import main, reference
from matou.config.schema import Effective, NoEffect, Refused, Section, Settings, section_of, settings_of, walk
from matou.config.sections.middleware import OPTIONS
from matou.config.sections.root import Configuration
from matou.config.yaml_lines import read_yaml

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == reference(), "run: python -m matou.config.reference > docs/configuration.md"


def test_the_command_prints_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out == reference()
    assert main(["x"]) == 2


def tables(page: str) -> dict[str, str]:
    """Return the text below each heading."""
    parts = re.split(r"^#+ (?:`(.*)`|(.*))$", page, flags=re.MULTILINE)
    return {(parts[n] or parts[n + 1]): parts[n + 2] for n in range(1, len(parts), 3)}


def test_every_key_is_named() -> None:
    found = tables(reference())
    elsewhere = tuple(above for above, text in found.items() if "The keys of [" in text)
    assert elsewhere
    for path, each, _ in walk(Configuration):
        if not path.startswith(tuple(f"{above}." for above in elsewhere)):
            assert f"\n| `{each.key}` |" in found[path.rpartition(".")[0] or "Top level"], path
    for name, options in OPTIONS.items():
        for each in settings_of(options):
            assert f"\n| `{each.key}` |" in found[f"middleware.storage[].options of {name}"]


def test_links_lead_somewhere() -> None:
    page = reference()
    anchors = {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", page, flags=re.MULTILINE)
    }
    links = re.findall(r"\]\(#([^)]*)\)", page)
    assert links
    assert set(links) <= anchors


def test_names_of_variables_that_differ_are_told() -> None:
    page = reference()
    differing = {
        each.variable for _, each, _ in walk(Configuration) if each.variable != each.key.replace("_", "").upper()
    }
    assert differing == {"FILECHECKERS", "HTTPCHECKERS", "TCPCHECKERS", "EVENTCONFIG", "MAILOPTIONS", "TRUSTKEY"}
    for name in differing:
        assert f"(in the environment `{name}`)" in page


def sections(cls: type[Settings]) -> set[type[Settings]]:
    found = {cls}
    for each in settings_of(cls):
        below = section_of(each.kind)
        if below is not None:
            found |= sections(below)
    return found


@pytest.mark.parametrize("cls", sorted(sections(Configuration) | set(OPTIONS.values()), key=repr))
def test_every_key_has_a_meaning_and_a_name(cls: type[Settings]) -> None:
    for each in settings_of(cls):
        assert each.doc
        assert re.fullmatch(r"[a-z0-9_]+", each.key)
        assert re.fullmatch(r"[A-Z0-9]+", each.variable)


def status(path: str) -> Any:
    return next(own for each, _, own in walk(Configuration) if each == path)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("storage.filesystem.rootdirectory", Effective),
        ("http.addr", Effective),
        ("gc.blobs.interval", NoEffect),
        ("proxy.remoteurl", Refused),
    ],
)
def test_statuses(path: str, kind: type) -> None:
    assert isinstance(status(path), kind)


def test_nothing_below_a_refused_section_claims_to_work() -> None:
    refused = [path for path, _, own in walk(Configuration) if isinstance(own, Refused)]
    for path, _, own in walk(Configuration):
        if any(path.startswith((f"{above}.", f"{above}[]")) for above in refused):
            assert not isinstance(own, Effective), path


def documented_variables() -> list[str]:
    """Return the names of environment variables, as a reader puts them together."""
    found = []
    for text in tables(reference()).values():
        prefix = re.search(r"^In the environment: `(.*)\.\.\.`$", text, re.MULTILINE)
        for key, rest in re.findall(r"^\| `([^`]+)` \|(.*)$", text, re.MULTILINE) if prefix else []:
            named = re.search(r"\(in the environment `(\w+)`\)", rest)
            is_parameter = prefix is not None and prefix[1].startswith(("REGISTRY_STORAGE_", "REGISTRY_MIDDLEWARE_"))
            part = named[1] if named else (key if is_parameter else key.replace("_", "")).upper()
            found.append(f"{prefix[1] if prefix else ''}{part}")
    return found


def test_every_documented_variable_is_known() -> None:
    names = documented_variables()
    assert len(names) > 400
    for name in names:
        findings = Findings()
        tree = read_yaml(b"version: 0.1\nstorage: inmemory\n", Origin("config.yml", 1), findings)
        root: Section[Configuration] = Section(Configuration)
        root.read(override(tree, root, {name: ""}, findings), Place("", findings))
        told = [str(each) for each in findings.warnings]
        assert told == [] or name == "REGISTRY_VERSION", told
