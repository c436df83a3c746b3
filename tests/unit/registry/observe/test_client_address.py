from __future__ import annotations

import pytest

from matou.registry.observe.client_address import connection_address, forwarded_address
from tests.unit.registry.observe.scopes import FakeScope


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"x-forwarded-for": "203.0.113.9"}, "203.0.113.9"),
        ({"x-forwarded-for": " 203.0.113.9 , 10.0.0.1"}, "203.0.113.9"),
        ({"x-forwarded-for": "2001:db8::1, 10.0.0.1"}, "2001:db8::1"),
        ({"x-forwarded-for": "unknown, 10.0.0.1"}, None),
        ({"x-forwarded-for": "unknown", "x-real-ip": "203.0.113.8"}, "203.0.113.8"),
        ({"x-forwarded-for": "203.0.113.9", "x-real-ip": "203.0.113.8"}, "203.0.113.9"),
        ({"x-real-ip": '203.0.113.8" 200 "'}, None),
        ({"x-forwarded-for": "fe80::1%eth0 x"}, None),
        ({"x-forwarded-for": "1" * 10_000}, None),
        ({"x-forwarded-for": ""}, None),
    ],
)
def test_forwarded(headers: dict[str, str], expected: str | None) -> None:
    assert forwarded_address(headers.get) == expected


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        ("192.0.2.7:40000", "192.0.2.7"),
        ("[2001:db8::7]:40000", "2001:db8::7"),
        ("[::ffff:192.0.2.7]:40000", "192.0.2.7"),
        ("", "-"),
        ("unix", "-"),
    ],
)
def test_connection(client: str, expected: str) -> None:
    assert connection_address(FakeScope(client=client)) == expected
