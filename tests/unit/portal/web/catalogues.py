"""The catalogues of the portal's pages, and which texts they must have.

``make catalogues`` runs this: every text of the sources and templates is in the ``.po`` file afterwards, new ones
without a translation, and the ``.mo`` file is what the ``.po`` file compiles to.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

from django.conf import settings

from tests.translations.catalogue import Catalogue, main

PORTAL = Path(__file__).parents[4] / "src" / "matou" / "portal"
TRANSLATE = re.compile(r"""\{%\s*translate\s+"([^"]+)"\s*%\}""")
ANY_TAG = re.compile(r"\{%\s*(?:translate|trans|blocktranslate|blocktrans)\b")
FUNCTIONS = ("gettext", "gettext_lazy")


def templates() -> list[Path]:
    """Return the templates."""
    return sorted(PORTAL.rglob("*.html"))


def sources() -> list[Path]:
    """Return the modules."""
    return sorted(path for path in PORTAL.rglob("*.py") if "migrations" not in path.parts)


def template_texts(path: Path) -> list[str]:
    """Return the texts that a template looks up.

    Raises:
        ValueError: a tag has another form than ``{% translate "text" %}``, and would be overlooked.
    """
    content = path.read_text("utf-8")
    texts: list[str] = TRANSLATE.findall(content)
    if len(texts) != len(ANY_TAG.findall(content)):
        raise ValueError(f'{path.name}: a tag is not of the form {{% translate "text" %}}')
    return texts


def source_texts(path: Path) -> list[str]:
    """Return the texts that a module looks up.

    Raises:
        ValueError: one is put together at run time.
    """
    tree = ast.parse(path.read_text("utf-8"))
    names = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "django.utils.translation"
        for alias in node.names
        if alias.name in FUNCTIONS
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            argument = node.args[0]
            if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
                raise ValueError(f"{path.name}:{node.lineno}: {ast.unparse(node)}")
            found.append(argument.value)
    return found


def wanted() -> dict[str, list[str]]:
    """Return every text, with the files where it occurs."""
    found: dict[str, list[str]] = {}
    for path in templates():
        for text in template_texts(path):
            found.setdefault(text, []).append(path.relative_to(PORTAL).as_posix())
    for path in sources():
        for text in source_texts(path):
            found.setdefault(text, []).append(path.relative_to(PORTAL).as_posix())
    return found


CATALOGUES = {
    name: Catalogue(
        Path(settings.LOCALE_PATHS[0]) / name / "LC_MESSAGES" / "django.po", name, "Texts of Matou's pages.", wanted
    )
    for name in ("zh_Hans",)
}

if __name__ == "__main__":
    sys.exit(main(CATALOGUES))
