from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from matou.registry.drivers.gcs.signing import unsigned_url

ACCOUNT = "test-iam-credentials@dummy-project-id.iam.gserviceaccount.com"
# Google's conformance tests of version 4 (googleapis/conformance-tests, storage/v1/v4_signatures.json): the digest of
# the canonical request that has to be signed.
VECTORS = {
    "GET https://storage.googleapis.com/test-bucket/test-object 2019-02-01 10": (
        "00e2fb794ea93d7adb703edaebdd509821fcc7d4f1a79ac5c8d2b394df109320"
    ),
    "PUT https://storage.googleapis.com/test-bucket/test-object 2019-02-01 10": (
        "78742860705da91404222d5d66ff89850292471199c3c2808d116ad12e6177b4"
    ),
    "GET https://storage.googleapis.com/test-bucket/test-object 2019-03-01 20": (
        "779f19fdb6fd381390e2d5af04947cf21750277ee3c20e0c97b7e46a1dff8907"
    ),
    "GET https://storage.googleapis.com/test-bucket2/test-object2 2019-02-01 10": (
        "a139afbf35ac30e9864f63197f79609731ab1b0ca166e2a456dba156fcd3f9ce"
    ),
    "GET https://storage.googleapis.com/test-bucket//path/with/slashes/under_score/amper%26sand/file.ext"
    " 2019-02-01 10": ("63c601ecd6ccfec84f1113fc906609cbdf7651395f4300cecd96ddd2c35164f8"),
    "GET https://storage.googleapis.com:443/test-bucket/test-object 2019-02-01 10": (
        "00e2fb794ea93d7adb703edaebdd509821fcc7d4f1a79ac5c8d2b394df109320"
    ),
    "GET http://localhost:8080/test-bucket/test-object 2019-02-01 10": (
        "e47446edb8eed4c1797dfd31ce30272be89659a6ef38e91b549740c8f875d27b"
    ),
    "GET https://storage.domain.com/test-bucket/test-object 2019-02-01 10": (
        "31ff08f2cd5e6f02cc5ded6d74bb90ad97322b49b30d0cba130fcc473f85e822"
    ),
}


@pytest.mark.parametrize("vector", VECTORS)
def test_signs_what_google_signs(vector: str) -> None:
    method, url, date, seconds = vector.split(" ")
    now = datetime.fromisoformat(f"{date}T09:00:00Z")
    day = date.replace("-", "")
    unsigned = unsigned_url(method, url, ACCOUNT, now, float(seconds))
    scope = f"{day}/auto/storage/goog4_request"
    assert unsigned.to_sign.decode() == f"GOOG4-RSA-SHA256\n{day}T090000Z\n{scope}\n{VECTORS[vector]}"
    account = "test-iam-credentials%40dummy-project-id.iam.gserviceaccount.com"
    assert unsigned.signed(b"\x95\xe6") == (
        f"{url}?X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential={account}%2F{day}%2Fauto%2Fstorage%2Fgoog4_request"
        f"&X-Goog-Date={day}T090000Z&X-Goog-Expires={seconds}&X-Goog-SignedHeaders=host&X-Goog-Signature=95e6"
    )


@pytest.mark.parametrize(("seconds", "expected"), [(0.2, "1"), (20.9, "20"), (604800, "604800"), (1e9, "604800")])
def test_lasts_between_a_second_and_a_week(seconds: float, expected: str) -> None:
    unsigned = unsigned_url("GET", "https://h/b/o", ACCOUNT, datetime(2026, 1, 1, tzinfo=UTC), seconds)
    assert parse_qs(urlsplit(unsigned.url).query)["X-Goog-Expires"] == [expected]


def test_every_part_counts() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    signed = {
        unsigned_url(method, url, account, now, seconds).to_sign
        for method in ("GET", "HEAD")
        for url in ("https://h/b/o", "https://h/b/p", "https://i/b/o")
        for account in ("a@x", "b@x")
        for seconds in (1, 2)
    }
    assert len(signed) == 2 * 3 * 2 * 2
    assert all(len(content.split(b"\n")[-1]) == hashlib.sha256().digest_size * 2 for content in signed)
