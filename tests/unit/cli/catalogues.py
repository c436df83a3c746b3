"""The catalogues of the command line, and which texts they must have.

``make catalogues`` runs this: every text of the sources and of Typer is in the ``.po`` file afterwards, new ones
without a translation, and the ``.mo`` file is what the ``.po`` file compiles to.
"""

from __future__ import annotations

import ast
import sys
from importlib.util import find_spec
from pathlib import Path

from matou.cli.language import CATALOGUES as DIRECTORY
from matou.cli.language import DOMAIN
from tests.translations.catalogue import Catalogue, main

SOURCE = Path(__file__).parents[3] / "src" / "matou"
LANGUAGE_MODULE = "matou.cli.language"


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


CATALOGUES = {
    # Found for zh_CN, zh_SG and zh_Hans_CN alike.
    "zh": Catalogue(
        DIRECTORY / "zh" / "LC_MESSAGES" / f"{DOMAIN}.po", "zh_Hans", "Texts of Matou's command line.", wanted
    ),
}

if __name__ == "__main__":
    sys.exit(main(CATALOGUES))
