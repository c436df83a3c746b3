from __future__ import annotations

import json
import re
import select
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matou.registry.observe.access_log import AccessLog, combined_date
from tests.unit.registry.observe.scopes import FakeScope

NOON = 1795502580.25  # 24 November 2026, 06:43:00 UTC

# Apache's combined format, as strictly as a log shipper may take it.
COMBINED = re.compile(
    r'(\S+) - - \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000)\] "(\S+) (\S+) HTTP/([\d.]+)" (\d{3}) (\d+) '
    r'"((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"\n'
)


class Collected:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, line: str) -> None:
        self.lines.append(line)


def line(formatter: str, scope: Any, path: str = "/v2/", method: str = "GET") -> str:
    collected = Collected()
    AccessLog(collected, formatter, clock=lambda: NOON).log(scope, method, path, "abc-1", 200, 42, 0.0123)
    (written,) = collected.lines
    return written


def test_combined() -> None:
    scope = FakeScope({"user-agent": "curl/7.88.1", "referer": "http://x/"}, query_string="n=3")
    assert line("text", scope, "/v2/_catalog") == (
        '192.0.2.7 - - [24/Nov/2026:06:43:00 +0000] "GET /v2/_catalog?n=3 HTTP/1.1" 200 42 "http://x/" "curl/7.88.1"\n'
    )


def test_json() -> None:
    scope = FakeScope({"user-agent": "curl/7.88.1", "host": "r.example", "x-forwarded-for": "203.0.113.9"})
    assert json.loads(line("json", scope, "/v2/_catalog")) == {
        "correlation_id": "abc-1",
        "duration_ms": 12.3,
        "host": "r.example",
        "level": "info",
        "method": "GET",
        "msg": "access",
        "proto": "HTTP/1.1",
        "referrer": "",
        "remote_addr": "192.0.2.7",
        "remote_ip": "203.0.113.9",
        "status": 200,
        "time": "2026-11-24T06:43:00.250Z",
        "uri": "/v2/_catalog",
        "user_agent": "curl/7.88.1",
        "written_bytes": 42,
    }


@pytest.mark.parametrize("formatter", ["text", "json"])
def test_state_is_not_logged(formatter: str) -> None:
    scope = FakeScope(
        {"authorization": "Bearer secret-token", "referer": "http://x/?a=1"},
        query_string="_state=secret-state&digest=sha256:0",
    )
    written = line(formatter, scope, "/v2/a/blobs/uploads/1", "PUT")
    assert "secret" not in written
    assert "_state=REDACTED&digest=sha256:0" in written


@pytest.mark.parametrize("formatter", ["text", "json"])
@pytest.mark.parametrize("secret", ["referer", "user-agent"])
def test_headers_that_quote_secrets(formatter: str, secret: str) -> None:
    scope = FakeScope({secret: "http://x/upload?_state=secret-state"})
    assert "secret-state" not in line(formatter, scope)


wild = st.text(st.characters(), max_size=700)
token = st.text("AZaz09!#$%&'*+-.^_`|~", min_size=1)  # RFC 9110: what a method is made of


@given(agent=wild, referrer=wild, path=wild, query=wild, method=token)
def test_no_injection_into_combined(agent: str, referrer: str, path: str, query: str, method: str) -> None:
    scope = FakeScope({"user-agent": agent, "referer": referrer, "x-forwarded-for": agent}, query_string=query)
    written = line("text", scope, "/" + path, method)
    found = COMBINED.fullmatch(written)
    assert found, written
    assert found[6] == "200"
    assert written.isascii()
    assert written[:-1].isprintable()
    assert len(written) < select.PIPE_BUF


@given(agent=wild, referrer=wild, path=wild, query=wild, method=token, host=wild)
def test_no_injection_into_json(agent: str, referrer: str, path: str, query: str, method: str, host: str) -> None:
    scope = FakeScope({"user-agent": agent, "referer": referrer, "host": host}, query_string=query)
    written = line("json", scope, "/" + path, method)
    assert json.loads(written)["status"] == 200
    assert written.count("\n") == 1
    assert written.isascii()
    assert len(written) < select.PIPE_BUF


def test_a_year_of_dates() -> None:
    assert [combined_date(86400 * day)[:11] for day in (0, 31, 59, 364)] == [
        "01/Jan/1970",
        "01/Feb/1970",
        "01/Mar/1970",
        "31/Dec/1970",
    ]


def test_unknown_formatter() -> None:
    with pytest.raises(ValueError, match="expected one of text, json"):
        AccessLog(Collected(), "xml")
