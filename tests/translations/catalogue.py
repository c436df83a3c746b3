"""A catalogue of translations: brought up to date from the texts that the sources look up, and compiled."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polib

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Catalogue:
    """One language of one domain.

    Attributes:
        po: the file that people edit; the compiled one is beside it.
        language: tag of the language.
        about: what the texts are.
        wanted: returns every text, with the files where it occurs.
    """

    po: Path
    language: str
    about: str
    wanted: Callable[[], dict[str, list[str]]]

    @property
    def mo(self) -> Path:
        """The file that is read at run time."""
        return self.po.with_suffix(".mo")

    def read(self) -> polib.POFile:
        """Return what people edited."""
        return polib.pofile(str(self.po))

    def compiled(self) -> bytes:
        """Return what the file compiles to."""
        return bytes(self.read().to_binary())

    def update(self) -> list[str]:
        """Take in new texts, drop those that are gone, and compile; return the texts that lack a translation."""
        self.po.parent.mkdir(parents=True, exist_ok=True)
        present = {entry.msgid: entry.msgstr for entry in self.read()} if self.po.exists() else {}
        updated = polib.POFile(wrapwidth=110)
        updated.header = f"{self.about}\nUpdated and compiled by: make catalogues"
        updated.metadata = {
            "Language": self.language,
            "MIME-Version": "1.0",
            "Content-Type": "text/plain; charset=UTF-8",
            "Content-Transfer-Encoding": "8bit",
            "Plural-Forms": "nplurals=1; plural=0;",
        }
        texts = self.wanted()
        for text in sorted(texts, key=lambda text: (sorted(texts[text]), text)):
            places = [(place, "") for place in sorted(set(texts[text]))]
            updated.append(polib.POEntry(msgid=text, msgstr=present.get(text, ""), occurrences=places))
        updated.save(str(self.po))
        self.mo.write_bytes(self.compiled())
        return [entry.msgid for entry in updated if not entry.msgstr]


def main(catalogues: dict[str, Catalogue]) -> int:
    """Update catalogues; return 1 when translations are missing."""
    missing = [(catalogue, text) for catalogue in catalogues.values() for text in catalogue.update()]
    for catalogue, text in missing:
        sys.stderr.write(f"{catalogue.po}: no translation of {text!r}\n")
    return 1 if missing else 0
