from __future__ import annotations

import json
import logging
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matou.registry.observe.rendering import FORMATTERS, escape, line_formatter

if TYPE_CHECKING:
    from collections.abc import Mapping

# What a logfmt parser takes: bare values, or quoted ones with escapes.
PAIR = re.compile(r'([A-Za-z0-9\-._/@]+)=([A-Za-z0-9\-._/@^+]+|"(?:[^"\\]|\\.)*")(?: |$)')


def record(message: str, *arguments: object, level: int = logging.INFO, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("matou.registry", level, "/src/module.py", 7, message, arguments, None, "function")
    made.created = 1795502580.25
    made.__dict__.update(extra)
    return made


def line(
    formatter: str,
    made: logging.LogRecord,
    fields: Mapping[str, Any] | None = None,
    *,
    reportcaller: bool = False,
) -> str:
    return line_formatter(formatter, fields or {}, reportcaller=reportcaller).format(made)


def parse(written: str) -> dict[str, str]:
    pairs = PAIR.findall(written)
    assert "".join(f"{key}={value} " for key, value in pairs).rstrip() == written, written
    return dict(pairs)


def test_text() -> None:
    written = line("text", record("listening on %s", "127.0.0.1:5000"), {"service": "registry", "environment": "a b"})
    # As docker-registry 2.8.2 writes it.
    assert written == (
        'time="2026-11-24T06:43:00.250000Z" level=info msg="listening on 127.0.0.1:5000" '
        'environment="a b" service=registry'
    )


def test_json() -> None:
    written = line("json", record("stopped", level=logging.WARNING), {"service": "registry"})
    assert written == '{"level":"warning","msg":"stopped","service":"registry","time":"2026-11-24T06:43:00.250000Z"}'


def test_logstash() -> None:
    written = line("logstash", record("stopped"), {"service": "registry"})
    assert written == (
        '{"@timestamp":"2026-11-24T06:43:00.250000Z","@version":"1","level":"info","message":"stopped",'
        '"service":"registry"}'
    )


def test_fields_keep_their_types_in_json() -> None:
    written = json.loads(line("json", record("x", count=3), {"flag": True, "nested": {"a": [1]}, "none": None}))
    assert (written["count"], written["flag"], written["nested"], written["none"]) == (3, True, {"a": [1]}, None)


def test_values_in_text() -> None:
    written = line("text", record("x", count=3, flag=True, empty="", err="DENIED"))
    assert written.endswith('msg=x count=3 empty="" err=DENIED flag=true')


def test_a_line_wins_over_the_constant_fields() -> None:
    assert json.loads(line("json", record("x", service="other"), {"service": "registry", "level": "y"})) == {
        "time": "2026-11-24T06:43:00.250000Z",
        "level": "info",
        "msg": "x",
        "service": "other",
    }


@pytest.mark.parametrize("formatter", FORMATTERS)
def test_tracebacks_are_in_the_line(formatter: str) -> None:
    made = record("request 1 failed", level=logging.ERROR)
    try:
        raise LookupError("no such thing: Bearer abcDEF123456")
    except LookupError:
        made.exc_info = sys.exc_info()
    written = line(formatter, made)
    assert "\n" not in written
    assert "Traceback" in written
    assert "LookupError: no such thing: Bearer REDACTED" in written


@pytest.mark.parametrize("formatter", FORMATTERS)
def test_caller(formatter: str) -> None:
    written = line(formatter, record("x"), reportcaller=True)
    assert "module.function" in written
    assert "/src/module.py:7" in written
    assert "module.function" not in line(formatter, record("x"))


@pytest.mark.parametrize("formatter", FORMATTERS)
@given(message=st.text(st.characters()), value=st.text(st.characters()), key=st.text(st.characters(), min_size=1))
def test_no_injection(formatter: str, message: str, value: str, key: str) -> None:
    written = line(formatter, record("%s", message, value=value), {f"x{key}": value})
    encoded = written.encode(errors="backslashreplace")
    assert not any(byte < 0x20 or byte == 0x7F for byte in encoded)
    if formatter == "text":
        assert parse(written)["level"] == "info"
    else:
        assert json.loads(written)["level"] == "info"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain text é", "plain text é"),
        ('a"b\\c', 'a\\"b\\\\c'),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x1b[31m\x00\x7f", "\\x1b[31m\\x00\\x7f"),
        ("\u202e\u2028\U000e0001", "\\u202e\\u2028\\U000e0001"),
        ("\ud800", "\\ud800"),
    ],
)
def test_escape(text: str, expected: str) -> None:
    assert escape(text) == expected


def test_unknown_formatter() -> None:
    with pytest.raises(ValueError, match="expected one of text, json, logstash"):
        line_formatter("xml", {}, reportcaller=False)
