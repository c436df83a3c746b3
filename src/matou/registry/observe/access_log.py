"""The access log: a line a request on standard output, in Apache's combined format or in JSON.

Source: Apache ``mod_log_config``, "combined"; Distribution ``log.accesslog``; for JSON the names of GitLab's fork.
"""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from matou.registry.observe.client_address import connection_address, forwarded_address
from matou.registry.observe.redaction import redact_query, redact_text
from matou.registry.observe.rendering import escape, timestamp

if TYPE_CHECKING:
    from collections.abc import Callable

FORMATTERS = ("text", "json")

LONGEST_URI = 1024  # characters; with the other fields a line stays below PIPE_BUF
LONGEST_HEADER = 512
LONGEST_QUOTED = 600  # characters of a JSON string; escapes can make six of one
SHORT = 80  # characters that are left of a text beyond that
REMEMBERED = 1024  # texts whose escaped form is remembered

_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._~:@!$&'()*+,;=-]*")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Lines(Protocol):
    """Where lines go."""

    def add(self, line: str) -> None:
        """Take a line that ends with its newline."""
        ...


class AccessLog:
    """Formats one line a request.

    Args:
        lines: where they go.
        formatter: ``text`` (combined) or ``json``.
        clock: returns seconds since the epoch.

    Raises:
        ValueError: there is no such formatter.
    """

    def __init__(self, lines: Lines, formatter: str = "text", clock: Callable[[], float] = time.time) -> None:
        if formatter not in FORMATTERS:
            raise ValueError(f"log.accesslog.formatter is {formatter!r}; expected one of {', '.join(FORMATTERS)}")
        self._add = lines.add
        self._clock = clock
        self._second = -1
        self._date = ""
        self._paths = Remembered(_uri_path)
        self._quoted = Remembered(_json_string)
        self._values = Remembered(_quoted_value)
        #: Called with (scope, method, path, request id, status, bytes sent, seconds).
        self.log: Callable[[Any, str, str, str, int, int, float], None] = (
            self._combined if formatter == "text" else self._json
        )

    def _combined(
        self, scope: Any, method: str, path: str, _request_id: str, status: int, size: int, _seconds: float
    ) -> None:
        now = int(self._clock())
        if now != self._second:
            self._second = now
            self._date = combined_date(now)
        header = scope.headers.get
        agent = header("user-agent")
        referrer = header("referer")
        self._add(
            f"{forwarded_address(header) or connection_address(scope)} - - [{self._date}] "
            f'"{self._values[method]} {self._uri(path, scope.query_string)} HTTP/{scope.http_version}" {status} {size} '
            f'"{self._values[referrer] if referrer else ""}" "{self._values[agent] if agent else ""}"\n'
        )

    def _json(
        self, scope: Any, method: str, path: str, request_id: str, status: int, size: int, seconds: float
    ) -> None:
        now = self._clock()
        second = int(now)
        if second != self._second:
            self._second = second
            self._date = timestamp(second)[:-8]  # without the fraction
        header = scope.headers.get
        quoted = self._quoted
        connection = connection_address(scope)
        # Written out: json.dumps would take five times as long. Every text is quoted by it all the same.
        self._add(
            f'{{"correlation_id":"{request_id}","duration_ms":{seconds * 1000:.3f},'
            f'"host":{quoted[header("host") or scope.authority or ""]},'
            f'"level":"info","method":{quoted[method]},"msg":"access",'
            f'"proto":"HTTP/{scope.http_version}","referrer":{quoted[header("referer") or ""]},'
            f'"remote_addr":"{connection}","remote_ip":"{forwarded_address(header) or connection}","status":{status},'
            f'"time":"{self._date}.{int((now - second) * 1000):03}Z",'
            f'"uri":{json.dumps(self._uri(path, scope.query_string))},'
            f'"user_agent":{quoted[header("user-agent") or ""]},"written_bytes":{size}}}\n'
        )

    def _uri(self, path: str, query: str) -> str:
        uri = self._paths[path]
        if query:
            uri = f"{uri}?{quote(redact_query(query), safe=_SAFE_IN_QUERY, errors='replace')}"
        return uri if len(uri) <= LONGEST_URI else uri[:LONGEST_URI] + "..."


class Remembered(dict[str, str]):
    """Texts to what is written for them; clients are few and send the same ones again and again.

    Args:
        compute: returns what is written.
    """

    def __init__(self, compute: Callable[[str], str]) -> None:
        super().__init__()
        self._compute = compute

    def __missing__(self, text: str) -> str:
        written = self._compute(text)
        if len(text) <= LONGEST_HEADER:
            if len(self) >= REMEMBERED:
                self.clear()
            self[text] = written
        return written


_SAFE_IN_QUERY = "/?:@!$&'()*+,;=%-._~[]"


def _uri_path(path: str) -> str:
    """Return a decoded path as it stands in a request line."""
    return path if _PLAIN_PATH.fullmatch(path) else quote(path, safe="/:@!$&'()*+,;=~", errors="replace")


def _quoted_value(text: str) -> str:
    """Return a header's value as it stands between quotes, in ASCII."""
    escaped = escape(redact_text(text[:LONGEST_HEADER])).encode("ascii", "backslashreplace").decode()
    # Half an escape at the end would swallow the quote.
    return escaped if len(escaped) <= LONGEST_HEADER else escaped[:LONGEST_HEADER].rstrip("\\")


def _json_string(text: str) -> str:
    quoted = json.dumps(redact_text(text[:LONGEST_HEADER]))
    return quoted if len(quoted) <= LONGEST_QUOTED else json.dumps(redact_text(text[:SHORT]))


def combined_date(seconds: int) -> str:
    """Return a time since the epoch as Apache writes it, UTC: ``24/Nov/2026:06:43:00 +0000``."""
    moment = time.gmtime(seconds)
    return (
        f"{moment.tm_mday:02}/{_MONTHS[moment.tm_mon - 1]}/{moment.tm_year}:"
        f"{moment.tm_hour:02}:{moment.tm_min:02}:{moment.tm_sec:02} +0000"
    )
