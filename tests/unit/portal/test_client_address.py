from __future__ import annotations

import pytest
from django.test import RequestFactory

from matou.portal.client_address import client_address


@pytest.mark.parametrize(
    ("peer", "forwarded", "wanted"),
    [
        ("192.0.2.1", None, "192.0.2.1"),
        ("192.0.2.1", "203.0.113.1", "192.0.2.1"),
        ("127.0.0.1", None, "127.0.0.1"),
        ("127.0.0.1", "203.0.113.1", "203.0.113.1"),
        ("127.0.0.1", "198.51.100.7, 203.0.113.1", "203.0.113.1"),
        ("::1", "2001:db8::1", "2001:db8::1"),
        ("127.0.0.1", "[2001:db8::1]", "2001:db8::1"),
        ("127.0.0.1", "unknown", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.1, <script>", "127.0.0.1"),
        ("::ffff:127.0.0.1", "203.0.113.1", "203.0.113.1"),
        ("::ffff:192.0.2.1", "203.0.113.1", "192.0.2.1"),
        ("", "203.0.113.1", "203.0.113.1"),
        ("", None, ""),
    ],
)
def test_whom_to_believe(peer: str, forwarded: str | None, wanted: str) -> None:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    assert client_address(RequestFactory(REMOTE_ADDR=peer).get("/", headers=headers)) == wanted
