"""From a log record to its line: ``text`` (logfmt), ``json`` and ``logstash``, with the keys of Distribution.

Source: ``log.formatter`` in Distribution's configuration reference; the lines that docker-registry 2.8.2 writes.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from matou.registry.observe.current_request import current_fields
from matou.registry.observe.redaction import redact_text

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from structlog.typing import EventDict, Processor, WrappedLogger

FORMATTERS = ("text", "json", "logstash")

_BARE = re.compile(r"[A-Za-z0-9\-._/@^+]+")
_NOT_IN_KEYS = re.compile(r"[^A-Za-z0-9\-._/@]")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def line_formatter(formatter: str, fields: Mapping[str, Any], *, reportcaller: bool) -> logging.Formatter:
    """Return what makes records into lines: exactly one each, without control characters.

    Args:
        formatter: one of ``FORMATTERS``.
        fields: of every line.
        reportcaller: add ``func`` and ``file`` of the statement that logged.

    Raises:
        ValueError: there is no such formatter.
    """
    render: dict[str, Processor] = {"text": _text, "json": _json, "logstash": _logstash}
    if formatter not in render:
        raise ValueError(f"log.formatter is {formatter!r}; expected one of {', '.join(FORMATTERS)}")
    constant = {_NOT_IN_KEYS.sub("_", name): value for name, value in fields.items()}

    def add_fields(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {**constant, **current_fields(), **event}

    first: list[Processor] = [_add_time, _add_level, structlog.stdlib.ExtraAdder(), add_fields]
    if reportcaller:
        first.append(_add_caller)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*first, structlog.processors.format_exc_info],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.EventRenamer("msg"),
            _redact,
            render[formatter],
        ],
    )


def timestamp(seconds: float) -> str:
    """Return a time since the epoch in RFC 3339, UTC, with microseconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _add_time(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event["time"] = timestamp(event["_record"].created)
    return event


def _add_level(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event["level"] = event["_record"].levelname.lower()
    return event


def _add_caller(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    record: logging.LogRecord = event["_record"]
    event["func"] = f"{record.module}.{record.funcName}"
    event["file"] = f"{record.pathname}:{record.lineno}"
    return event


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: redact_text(value) if isinstance(value, str) else value for key, value in event.items()}


def _text(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    first = [(key, event.pop(key)) for key in ("time", "level", "msg")]
    # The time is always quoted, as Distribution's.
    pairs = [f'time="{first[0][1]}"', *(f"{key}={_text_value(value)}" for key, value in first[1:])]
    pairs += [f"{_NOT_IN_KEYS.sub('_', key)}={_text_value(event[key])}" for key in sorted(event)]
    return " ".join(pairs)


def _text_value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return text if _BARE.fullmatch(text) else f'"{escape(text)}"'


def escape(text: str) -> str:
    r"""Return a text that can stand between quotes: everything unprintable becomes ``\x1b`` or so."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return "".join(_ESCAPES.get(char) or (char if char.isprintable() else _code(ord(char))) for char in text)


def _code(number: int) -> str:
    if number < 0x80:  # noqa: PLR2004 -- ASCII, as Go's %q writes it
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"  # noqa: PLR2004 -- the plane of 16 bits


def _json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return json.dumps(event, default=str, sort_keys=True, separators=(",", ":"))


def _logstash(logger: WrappedLogger, method: str, event: EventDict) -> str:
    event["@timestamp"] = event.pop("time")
    event["@version"] = "1"
    event["message"] = event.pop("msg")
    return _json(logger, method, event)
