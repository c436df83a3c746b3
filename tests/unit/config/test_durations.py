from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matou.config.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("24h", 86400.0),
        ("1h30m", 5400.0),
        ("1h30m5s", 5405.0),
        ("500ms", 0.5),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("5.s", 5.0),
        ("-1h", -3600.0),
        ("+2s", 2.0),
        ("100ns", 1e-7),
        ("1us", 1e-6),
        ("1µs", 1e-6),
        ("1μs", 1e-6),
        ("0h", 0.0),
    ],
)
def test_as_go_reads_it(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", "5", "h", "1 h", "1d", "1H", "1h-5m", "--1h", "1h ", "soon", "٣s", "1e3s", "300000000h", "1" * 5000 + "h"],
)
def test_what_go_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|long"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (604800.0, "168h"),
        (5400.0, "1h30m"),
        (0.5, "500ms"),
        (1e-7, "100ns"),
        (-1.0, "-1s"),
        (1200.0, "20m"),
    ],
)
def test_written_as_people_do(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(min_value=-(10**15), max_value=10**15))
def test_what_is_written_reads_the_same(nanoseconds: int) -> None:
    seconds = nanoseconds / 10**9
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds)
