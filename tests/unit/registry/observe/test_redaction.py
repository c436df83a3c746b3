from __future__ import annotations

import pytest

from matou.registry.observe.redaction import redact_query, redact_text


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ""),
        ("n=3&last=a", "n=3&last=a"),
        ("_state=abc.def&digest=sha256:00", "_state=REDACTED&digest=sha256:00"),
        ("%5Fstate=abc", "%5Fstate=REDACTED"),
        ("x=1&access_token=a&Password=b", "x=1&access_token=REDACTED&Password=REDACTED"),
        ("_state", "_state"),
        ("X-Amz-Signature=0a1b&X-Amz-Credential=k", "X-Amz-Signature=REDACTED&X-Amz-Credential=REDACTED"),
        ("sv=2024-11-04&sig=a%2Fb%3D", "sv=2024-11-04&sig=REDACTED"),
        ("temp_url_sig=0a1b&temp_url_expires=1", "temp_url_sig=REDACTED&temp_url_expires=1"),
    ],
)
def test_query(query: str, expected: str) -> None:
    assert redact_query(query) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Bearer eyJhbGciOi.J9.abc-_x", "Authorization: Bearer REDACTED"),
        ("header 'basic dXNlcjpwYXNz'", "header 'basic REDACTED'"),
        ("GET /v2/a/blobs/uploads/1?_state=abcdef&n=1", "GET /v2/a/blobs/uploads/1?_state=REDACTED&n=1"),
        ('{"token": "glpat-0123", "n": 1}', '{"token": "REDACTED", "n": 1}'),
        ("password=hunter22 for alice", "password=REDACTED for alice"),
        ("https://b/k?X-Amz-Signature=0a1b2c&x=1", "https://b/k?X-Amz-Signature=REDACTED&x=1"),
        ("https://b/k?sp=r&sig=a%2Fb%3D for reading", "https://b/k?sp=r&sig=REDACTED for reading"),
        ("https://b/k?temp_url_sig=0a1b2c&x=1", "https://b/k?temp_url_sig=REDACTED&x=1"),
        ("http://user:hunter2@proxy.example:3128/x", "http://user:REDACTED@proxy.example:3128/x"),
    ],
)
def test_text(text: str, expected: str) -> None:
    assert redact_text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "listening on http://127.0.0.1:5000",
        'token signed by untrusted key with ID: "ABCD:EFGH"',
        'token from untrusted issuer: "x"',
        "token not to be used after 2026-11-24 - currently 2026-11-25",
        "basic authentication is not configured",
        "error authorizing context: no token",
    ],
)
def test_messages_stay(text: str) -> None:
    assert redact_text(text) == text
