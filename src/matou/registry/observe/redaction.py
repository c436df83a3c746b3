"""What no line may hold: credentials, the signed state of uploads, and signed URLs of a storage.

Handlers do not log secrets; this is the second line of defence, for query strings and for exceptions that quote what
they were given.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

REDACTED = "REDACTED"

_SECRET_PARAMETER = re.compile(
    r"state|token|password|secret|signature|credential|authorization|(?:^|_)sig$", re.IGNORECASE
)
# A word after "basic" is prose, not a credential.
_SECRET_TEXT = re.compile(
    r"(?P<kept>\b(?:bearer|basic)\s+(?-i:(?![a-z]+\b))|\b_state=|\b(?:access_|refresh_)?token[\"']?\s*[=:]\s*[\"']?"
    r"|\bpassword[\"']?\s*[=:]\s*[\"']?|\b(?:temp_url_)?sig(?:nature)?=)[A-Za-z0-9._~+/=%-]{4,}"
    r"|(?P<user>://[^/\s:@]*:)[^/\s@]+(?=@)",
    re.IGNORECASE,
)


def redact_query(query: str) -> str:
    """Return a query string with the values of secret parameters replaced.

    Args:
        query: as it came, without the question mark; "" is returned as it is.
    """
    if not query:
        return query
    return "&".join(_redact_parameter(parameter) for parameter in query.split("&"))


def _redact_parameter(parameter: str) -> str:
    name, equals, _ = parameter.partition("=")
    # A client may write %5Fstate: what counts is what the handlers read.
    return f"{name}={REDACTED}" if equals and _SECRET_PARAMETER.search(unquote_plus(name)) else parameter


def redact_text(text: str) -> str:
    """Return a text with what looks like a credential replaced: ``Bearer ...``, ``_state=...``, ``Signature=...``."""
    return _SECRET_TEXT.sub(lambda found: (found["kept"] or found["user"]) + REDACTED, text)
