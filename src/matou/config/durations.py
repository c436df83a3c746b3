"""Durations as Go writes them: ``24h``, ``1h30m``, ``500ms``.

Source: Go's ``time.ParseDuration`` and ``time.Duration.String``.
"""

from __future__ import annotations

import re
from decimal import Decimal

NANOSECONDS = 1_000_000_000  # a second
LONGEST = (2**63 - 1) / NANOSECONDS  # seconds; Go counts nanoseconds in 64 bits

_UNITS = {
    "ns": Decimal(1) / NANOSECONDS,
    "us": Decimal(1) / 1_000_000,
    "µs": Decimal(1) / 1_000_000,  # U+00B5, micro sign
    "μs": Decimal(1) / 1_000_000,
    "ms": Decimal(1) / 1000,
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
}
_PART = r"(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:" + "|".join(sorted(_UNITS, key=len, reverse=True)) + ")"
_DURATION = re.compile(rf"([+-]?)((?:{_PART})+|0)", re.ASCII)
_PARTS = re.compile(r"([0-9.]+)([^0-9.]+)", re.ASCII)


def parse_duration(text: str) -> float:
    """Return the seconds of a Go duration.

    Args:
        text: numbers, each with a unit: ns, us, ms, s, m or h; ``0`` may stand alone.

    Raises:
        ValueError: it is none, or is longer than Go can count (292 years).
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no duration; expected one such as 30s, 1h30m or 500ms")
    seconds = sum((Decimal(number) * _UNITS[unit] for number, unit in _PARTS.findall(match[2])), Decimal(0))
    if seconds > LONGEST:
        raise ValueError(f"{text!r} is too long; the longest is 292 years")
    return float(-seconds if match[1] == "-" else seconds)


def format_duration(seconds: float) -> str:
    """Return a duration as people write it: ``168h``, ``1h30m``, ``500ms``."""
    nanoseconds = round(abs(seconds) * NANOSECONDS)
    sign = "-" if seconds < 0 and nanoseconds else ""
    if nanoseconds == 0:
        return "0s"
    parts: list[str] = []
    for unit, size in (("h", 3600 * NANOSECONDS), ("m", 60 * NANOSECONDS), ("s", NANOSECONDS), ("ms", 1_000_000)):
        count, nanoseconds = divmod(nanoseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    if nanoseconds:
        parts.append(f"{nanoseconds}ns")
    return sign + "".join(parts)
