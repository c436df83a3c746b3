"""Paging: ``n``, ``last`` and the ``Link`` header.

Source: OCI Distribution Specification 1.1, "Listing Tags"; RFC 8288.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from matou.registry.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_DIGITS = 18  # more does not fit the index's integers


def parse_limit(text: str | None) -> int | None:
    """Return the parameter ``n``, or None when there is none.

    Raises:
        RegistryError: PAGINATION_NUMBER_INVALID.
    """
    if text is None or text == "":
        return None
    if not text.isascii() or not text.isdigit() or len(text) > MAX_DIGITS:
        raise RegistryError(
            "PAGINATION_NUMBER_INVALID",
            detail={"n": text[:100], "reason": "expected a whole number from 0 up"},
        )
    return int(text)


def next_link(path: str, parameters: Mapping[str, str]) -> str:
    """Return the ``Link`` header that leads to the next page.

    Args:
        path: of this page, decoded.
        parameters: of the next page; they appear in alphabetical order, as in Distribution.
    """
    return f'<{quote(path)}?{urlencode(sorted(parameters.items()))}>; rel="next"'
