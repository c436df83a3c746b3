"""Our signatures are those of Amazon's library."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any
from unittest import mock
from urllib.parse import parse_qsl, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials as LibraryCredentials

from matou.registry.drivers.s3.signing import UNSIGNED, Credentials, Signer, encoded_key, encoded_query

KEY = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "")
TEMPORARY = KEY._replace(token="FwoGZXIvYXdzEBYaDH//+==")
NOW = datetime(2013, 5, 24, tzinfo=UTC)
HOST = "examplebucket.s3.amazonaws.com"
KEYS = ["test.txt", "docker/registry/v2/blobs/sha256/ab/data", "with space/+/=/~tilde/%41/码头"]


def library(credentials: Credentials) -> LibraryCredentials:
    return LibraryCredentials(credentials.key, credentials.secret, credentials.token or None)


def at_the_time() -> Any:
    return mock.patch("botocore.auth.get_current_datetime", return_value=NOW.replace(tzinfo=None))


def test_the_example_of_the_reference() -> None:
    """Amazon S3 API reference, "Examples: Signature Calculations", GET Object."""
    empty = hashlib.sha256().hexdigest()
    signed = Signer("us-east-1", "s3").headers(
        KEY,
        NOW,
        method="GET",
        host=HOST,
        path="/test.txt",
        query=(),
        headers={"range": "bytes=0-9"},
        payload=empty,
    )
    assert signed["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )


def test_the_example_of_a_listing() -> None:
    """As above, Get Bucket (List Objects)."""
    signed = Signer("us-east-1", "s3").headers(
        KEY,
        NOW,
        method="GET",
        host=HOST,
        path="/",
        query=(("prefix", "J"), ("max-keys", "2")),
        headers={},
        payload=hashlib.sha256().hexdigest(),
    )
    assert signed["authorization"].endswith("34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")


def test_the_example_of_a_signed_url() -> None:
    """Amazon S3 API reference, "Authenticating Requests: Using Query Parameters"."""
    query = Signer("us-east-1", "s3").query(KEY, NOW, method="GET", host=HOST, path="/test.txt", seconds=86400)
    assert query.endswith("X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")


@pytest.mark.parametrize("credentials", [KEY, TEMPORARY], ids=["key", "temporary"])
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    ("method", "query", "headers", "body"),
    [
        ("GET", [], {"range": "bytes=5-9"}, b""),
        ("GET", [("list-type", "2"), ("prefix", "a b/+"), ("continuation-token", "1/x==")], {}, b""),
        ("POST", [("uploads", "")], {"content-type": "application/xml"}, b"<x/>"),
        (
            "PUT",
            [("partNumber", "3"), ("uploadId", "a-_.~")],
            {"x-amz-copy-source": "b/k  k", "content-md5": "x=="},
            b"y",
        ),
    ],
)
def test_requests(
    credentials: Credentials, key: str, method: str, query: list[tuple[str, str]], headers: dict[str, str], body: bytes
) -> None:
    path = f"/{encoded_key(key)}"
    url = f"https://{HOST}{path}?{encoded_query(query)}"
    theirs = AWSRequest(method, url, dict(headers), body)
    theirs.context["client_config"] = Config(s3={"payload_signing_enabled": True})
    with at_the_time():
        S3SigV4Auth(library(credentials), "s3", "eu-central-1").add_auth(theirs)
    ours = Signer("eu-central-1", "s3").headers(
        credentials,
        NOW,
        method=method,
        host=HOST,
        path=path,
        query=query,
        headers={**headers, "user-agent": "x"},
        payload=hashlib.sha256(body).hexdigest(),
    )
    assert ours["authorization"] == theirs.headers["Authorization"]
    assert ours.get("x-amz-security-token", "") == credentials.token


@pytest.mark.parametrize("credentials", [KEY, TEMPORARY], ids=["key", "temporary"])
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_urls(credentials: Credentials, key: str, method: str) -> None:
    path = f"/{encoded_key(key)}"
    theirs = AWSRequest(method, f"https://{HOST}{path}")
    with at_the_time():
        S3SigV4QueryAuth(library(credentials), "s3", "eu-central-1", expires=77).add_auth(theirs)
    ours = Signer("eu-central-1", "s3").query(credentials, NOW, method=method, host=HOST, path=path, seconds=77)
    assert dict(parse_qsl(ours)) == dict(parse_qsl(urlsplit(theirs.url).query))


def test_a_body_that_is_not_signed_and_keys_that_change() -> None:
    signer = Signer("eu-central-1", "s3")

    def signed(credentials: Credentials, now: datetime, payload: str) -> str:
        headers = signer.headers(
            credentials, now, method="PUT", host=HOST, path="/x", query=(), headers={}, payload=payload
        )
        assert headers["x-amz-content-sha256"] == payload
        return headers["authorization"]

    first = signed(KEY, NOW, UNSIGNED)
    others = [
        signed(KEY, NOW, hashlib.sha256().hexdigest()),
        signed(KEY._replace(secret="other"), NOW, UNSIGNED),
        signed(KEY, NOW.replace(day=25), UNSIGNED),
    ]
    assert len({first, *others}) == 4
    assert signed(KEY, NOW, UNSIGNED) == first
