"""Which answers other than success are worth a line, and at which level.

What a client does as a matter of course is not: it asks without credentials to be told where to get them, and looks
for blobs before it pushes them.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matou.registry.errors import RegistryError

log = logging.getLogger("matou.registry")

LONGEST_DETAIL = 512  # characters

_USUAL = frozenset({401, 404})
_SUSPICIOUS = frozenset({403, 429})


def refusal_level(status: int) -> int:
    """Return the level at which an answer is logged."""
    if status >= 500:  # noqa: PLR2004 -- HTTP
        return logging.ERROR
    if status in _SUSPICIOUS:
        return logging.WARNING
    return logging.DEBUG if status in _USUAL else logging.INFO


def log_refusal(error: RegistryError) -> None:
    """Log an error that is a request's answer, with the field names of Distribution."""
    level = refusal_level(error.status)
    if log.isEnabledFor(level):
        fields = {"err.code": error.code, "err.message": error.message, "http.response.status": error.status}
        if error.detail is not None:
            fields["err.detail"] = _text(error.detail)
        log.log(level, "response completed with error", extra=fields)


def _text(detail: Any) -> str:
    text = detail if isinstance(detail, str) else json.dumps(detail, ensure_ascii=False, default=str)
    return text[:LONGEST_DETAIL]
