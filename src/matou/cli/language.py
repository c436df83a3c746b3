"""Texts of the command line in the language of ``LANGUAGE``, ``LC_ALL``, ``LC_MESSAGES`` and ``LANG``."""

from __future__ import annotations

import gettext
from pathlib import Path

DOMAIN = "matou"
CATALOGUES = Path(__file__).parent / "catalogues"


def use_language() -> None:
    """Have ``gettext`` of this process answer from our catalogues.

    The default domain is used because Typer's own words (Usage, Options) are looked up there too.
    """
    gettext.bindtextdomain(DOMAIN, str(CATALOGUES))
    gettext.textdomain(DOMAIN)


def text(message: str) -> str:
    """Return ``message`` in the user's language; the English text itself where there is no other."""
    return gettext.dgettext(DOMAIN, message)


def mark(message: str) -> str:
    """Return ``message`` as it is: one that is looked up later, and that the catalogues must have."""
    return message
