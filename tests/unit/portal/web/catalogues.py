"""The catalogues of the portal's pages: their texts, and how they are brought up to date and compiled.

``make catalogues`` runs this: every text of the sources and templates is in the ``.po`` file afterwards, new ones
without a translation, and the ``.mo`` file is what the ``.po`` file compiles to.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import polib
from django.conf import settings

PORTAL = Path(__file__).parents[4] / "src" / "matou" / "portal"
LANGUAGES = {"zh_Hans": "zh_Hans"}  # directory -> the language's tag
HEADER = """\
Texts of Matou's pages.
Updated and compiled by: make catalogues"""
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


def po_path(language: str) -> Path:
    """Return the catalogue that people edit."""
    (directory,) = settings.LOCALE_PATHS
    return Path(directory) / language / "LC_MESSAGES" / "django.po"


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
        "Plural-Forms": "nplurals=1; plural=0;",
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
