"""The portal's log: one line for each event on standard error, in the form of the registry's and the supervisor's."""

from __future__ import annotations

import contextvars
import json
import logging
import sys
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote

if TYPE_CHECKING:
    from collections.abc import Mapping

LOGGED_PATH = 2000  # characters
FILTERED = "[FILTERED]"  # GitLab's word
# Parameters whose values let somebody in, or are chosen by somebody to that end.
_SECRET_WORDS = ("token", "password", "secret", "assertion", "authorization", "private", "otp")

current_request: contextvars.ContextVar[str] = contextvars.ContextVar("current_request", default="")


class LineFormatter(logging.Formatter):
    """Writes ``time="..." level=info msg="..." process=portal``; a traceback becomes one more field."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "msg": record.getMessage(),
            "process": "portal",
            **getattr(record, "fields", {}),
        }
        request = current_request.get()
        if request:
            fields["request_id"] = request
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        return " ".join(f"{name}={_value(value)}" for name, value in fields.items())


def _value(value: object) -> str:
    text = str(value)
    plain = text.isascii() and text.replace("-", "").replace("_", "").replace(".", "").isalnum()
    # JSON's form escapes line ends and control characters: nobody writes lines of their own into the log.
    return text if plain else json.dumps(text, ensure_ascii=False)


def configure(level: int = logging.INFO) -> None:
    """Send the log of this process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(handlers=[handler], level=level, force=True)
    # The access log tells of refused requests already; of the server itself and django-axes only trouble is of use.
    for name, least in (
        ("django.request", logging.ERROR),
        ("django.security", logging.ERROR),
        ("granian.access", logging.ERROR),
        ("axes", logging.ERROR),
    ):
        logging.getLogger(name).setLevel(least)


def loggable_target(path: str, query: str) -> str:
    """Return a request's target without secrets.

    Args:
        path: as sent.
        query: as sent, without the question mark.
    """
    if query:
        pairs = parse_qsl(query[:LOGGED_PATH], keep_blank_values=True, errors="replace")
        path += "?" + "&".join(f"{quote(name)}={_shown(name, value)}" for name, value in pairs)
    return path[:LOGGED_PATH]


def _shown(name: str, value: str) -> str:
    lowered = name.lower()
    return FILTERED if any(word in lowered for word in _SECRET_WORDS) else quote(value, safe="/:,")


def log_access(fields: Mapping[str, object]) -> None:
    """Write a line of the access log; what supervisors and load balancers ask all the time is for debugging."""
    level = logging.DEBUG if str(fields["target"]).startswith("/-/") else logging.INFO
    logging.getLogger("matou.portal.access").log(level, "request answered", extra={"fields": fields})
