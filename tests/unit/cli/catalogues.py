"""The catalogues of the command line: which texts they must have, and how they are brought up to date and compiled.

``make catalogues`` runs this: every text of the sources and of Typer is in the ``.po`` file afterwards, new ones
without a translation, and the ``.mo`` file is what the ``.po`` file compiles to.
"""

from __future__ import annotations

import ast
import sys
from importlib.util import find_spec
from pathlib import Path

import polib

from matou.cli.language import CATALOGUES, DOMAIN

SOURCE = Path(__file__).parents[3] / "src" / "matou"
LANGUAGE_MODULE = "matou.cli.language"
LANGUAGES = {"zh": "zh_Hans"}  # directory -> the language's tag; "zh" is found for zh_CN, zh_SG and zh_Hans_CN alike
HEADER = """\
Texts of Matou's command line.
Updated and compiled by: make catalogues"""


class NotLiteralError(ValueError):
    """A text cannot be looked up, because it is put together at run time."""


def sources() -> list[Path]:
    """Return the modules that speak to the user of the command line."""
    return [*sorted((SOURCE / "cli").glob("*.py")), SOURCE / "supervisor" / "readiness.py"]


def library() -> list[Path]:
    """Return the modules of Typer that look texts up."""
    spec = find_spec("typer")
    assert spec is not None
    assert spec.origin is not None
    return sorted(Path(spec.origin).parent.rglob("*.py"))


def our_texts(path: Path) -> set[str]:
    """Return the texts that a module of ours looks up or marks.

    Raises:
        NotLiteralError: one is not a literal, and is not looked up by a loop over marked ones either.
    """
    tree = ast.parse(path.read_text("utf-8"))
    names = {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == LANGUAGE_MODULE
        for alias in node.names
        if alias.name in ("text", "mark")
    }
    found = set()
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names):
            continue
        argument = node.args[0]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            found.add(argument.value)
        elif names[node.func.id] == "mark" or not isinstance(argument, ast.Name):
            raise NotLiteralError(f"{path.name}:{node.lineno}: {ast.unparse(node)}")
    return found


def library_texts(path: Path) -> set[str]:
    """Return the texts that a module of Typer looks up."""
    tree = ast.parse(path.read_text("utf-8"))
    return {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("_", "gettext")
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }


def wanted() -> dict[str, list[str]]:
    """Return every text, with the modules where it occurs."""
    found: dict[str, list[str]] = {}
    for path in sources():
        for text in our_texts(path):
            found.setdefault(text, []).append(path.relative_to(SOURCE.parent).as_posix())
    for path in library():
        for text in library_texts(path):
            found.setdefault(text, []).append("typer")
    return found


def po_path(language: str) -> Path:
    """Return the catalogue that people edit."""
    return CATALOGUES / language / "LC_MESSAGES" / f"{DOMAIN}.po"


def mo_path(language: str) -> Path:
    """Return the catalogue that is read at run time."""
    return po_path(language).with_suffix(".mo")


def compiled(catalogue: polib.POFile) -> bytes:
    """Return what a catalogue compiles to."""
    return bytes(catalogue.to_binary())


def update(language: str) -> list[str]:
    """Bring a catalogue up to date and compile it; return the texts that lack a translation."""
    path = po_path(language)
    path.parent.mkdir(parents=True, exist_ok=True)
    present = {entry.msgid: entry for entry in polib.pofile(str(path))} if path.exists() else {}
    catalogue = polib.POFile(wrapwidth=110)
    catalogue.header = HEADER
    catalogue.metadata = {
        "Language": LANGUAGES[language],
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=UTF-8",
        "Content-Transfer-Encoding": "8bit",
    }
    texts = wanted()
    for text in sorted(texts, key=lambda text: (sorted(texts[text]), text)):
        old = present.get(text)
        places = [(place, "") for place in sorted(set(texts[text]))]
        catalogue.append(polib.POEntry(msgid=text, msgstr=old.msgstr if old else "", occurrences=places))
    catalogue.save(str(path))
    mo_path(language).write_bytes(compiled(catalogue))
    return [entry.msgid for entry in catalogue if not entry.msgstr]


def main() -> int:
    """Update every catalogue; return 1 when translations are missing."""
    missing = {language: update(language) for language in LANGUAGES}
    for language, texts in missing.items():
        for text in texts:
            sys.stderr.write(f"{po_path(language)}: no translation of {text!r}\n")
    return 1 if any(missing.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
