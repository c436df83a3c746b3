"""The stand-in for OSS itself: it knows the signatures that Alibaba's libraries are tested by.

Source of what is signed, and of the signatures: ``oss/signer/signer_test.go`` of ``alibabacloud-oss-go-sdk-v2``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.servers.oss.errors import OssError
from tests.servers.oss.incoming import Incoming
from tests.servers.oss.signatures import Key, signer

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS = {"ak": Key("sk")}
TEMPORARY = {"ak": Key("sk", "token")}
SIGNED = {"param1": "value1", "+param1": "value3", "|param1": "value4", "+param2": "", "|param2": "", "param2": ""}
HEADERS = {"x-oss-head1": "value", "abc": "value", "zabc": "value", "xyz": "value"}


def request(
    headers: Mapping[str, str],
    query: Mapping[str, str],
    *,
    method: str = "PUT",
    place: tuple[str, str] = ("bucket", "1234+-/123/1.txt"),
) -> Incoming:
    return Incoming(method, "", *place, query, headers)


def v4(date: str, signature: str, additional: str = "", **headers: str) -> Incoming:
    credential = f"ak/{date[:8]}/cn-hangzhou/oss/aliyun_v4_request"
    return request(
        {
            **HEADERS,
            "content-type": "text/plain",
            "x-oss-content-sha256": "UNSIGNED-PAYLOAD",
            "x-oss-date": date,
            "authorization": f"OSS4-HMAC-SHA256 Credential={credential},{additional}Signature={signature}",
            **headers,
        },
        SIGNED,
    )


def v4_url(date: str, signature: str, **query: str) -> Incoming:
    return request(
        {**HEADERS, "content-type": "application/octet-stream"},
        {
            **SIGNED,
            "x-oss-signature-version": "OSS4-HMAC-SHA256",
            "x-oss-date": date,
            "x-oss-expires": "599",
            "x-oss-credential": f"ak/{date[:8]}/cn-hangzhou/oss/aliyun_v4_request",
            "x-oss-signature": signature,
            **query,
        },
    )


def v1(signature: str, query: Mapping[str, str], method: str, key: str, **headers: str) -> Incoming:
    date = "Wed, 28 Dec 2022 10:27:41 GMT"
    return request(
        {"x-oss-date": date, "authorization": f"OSS ak:{signature}", **headers},
        query,
        method=method,
        place=("examplebucket", key),
    )


def v1_url(expires: str, signature: str, key: str, **query: str) -> Incoming:
    return request(
        {},
        {"Expires": expires, "OSSAccessKeyId": "ak", "Signature": signature, "versionId": "versionId", **query},
        method="GET",
        place=("bucket", key),
    )


WRITTEN = {
    "content-md5": "eB5eJF1ptWaXm4bijSPyxw==",
    "content-type": "text/html",
    "x-oss-meta-author": "alice",
    "x-oss-meta-magic": "abracadabra",
}
CASES: list[tuple[Incoming, Mapping[str, Key], int]] = [
    (v4("20231216T162057Z", "e21d18daa82167720f9b1047ae7e7f1ce7cb77a31e8203a7d5f4624fa0284afe"), KEYS, 1702743657),
    (
        v4(
            "20231217T034736Z",
            "b94a3f999cf85bcdc00d332fbd3734ba03e48382c36fa4d5af5df817395bd9ea",
            **{"x-oss-security-token": "token"},
        ),
        TEMPORARY,
        1702784856,
    ),
    (
        v4(
            "20231216T172512Z",
            "4a4183c187c07c8947db7620deb0a6b38d9fbdd34187b6dbaccb316fa251212f",
            "AdditionalHeaders=abc;zabc,",
        ),
        KEYS,
        1702747512,
    ),
    (v4_url("20231217T025437Z", "a39966c61718be0d5b14e668088b3fa07601033f6518ac7b523100014269c0fe"), KEYS, 1702781677),
    (
        v4_url(
            "20231217T035628Z",
            "3817ac9d206cd6dfc90f1c09c00be45005602e55898f26f5ddb06d7892e1f8b5",
            **{"x-oss-security-token": "token"},
        ),
        TEMPORARY,
        1702785388,
    ),
    (v1("kSHKmLxlyEAKtZPkJhG9bZb5k7M=", {}, "PUT", "nelson", **WRITTEN), KEYS, 1672223261),
    (v1("/afkugFbmWDQ967j1vr6zygBLQk=", {"acl": ""}, "PUT", "nelson", **WRITTEN), KEYS, 1672223261),
    (v1_url("1699807420", "dcLTea+Yh9ApirQ8o8dOPqtvJXQ=", "key"), KEYS, 1699807420),
    (
        v1_url("1699808204", "jzKYRrM5y6Br0dRFPaTGOsbrDhY=", "key+123", **{"security-token": "token"}),
        TEMPORARY,
        1699808204,
    ),
]
IDS = [
    "v4",
    "v4 temporary",
    "v4 additional",
    "v4 url",
    "v4 url temporary",
    "v1",
    "v1 acl",
    "v1 url",
    "v1 url temporary",
]


@pytest.mark.parametrize(("signed", "keys", "now"), CASES, ids=IDS)
def test_signatures_of_alibabas_own_tests_are_good(signed: Incoming, keys: Mapping[str, Key], now: int) -> None:
    assert signer(signed, keys, "cn-hangzhou", now) is keys["ak"]


@pytest.mark.parametrize(("signed", "keys", "now"), CASES, ids=IDS)
def test_they_are_of_this_request_only(signed: Incoming, keys: Mapping[str, Key], now: int) -> None:
    with pytest.raises(OssError, match="SignatureDoesNotMatch"):
        signer(request(signed.headers, signed.query, method="DELETE"), keys, "cn-hangzhou", now)
    other = {name: Key("another", key.token) for name, key in keys.items()}
    with pytest.raises(OssError, match="SignatureDoesNotMatch"):
        signer(signed, other, "cn-hangzhou", now)


def test_what_is_wrong_is_told_apart() -> None:
    signed, url = CASES[0][0], CASES[3][0]
    for message, arguments in {
        "RequestTimeTooSkewed": (signed, KEYS, "cn-hangzhou", 1702743657 + 901),
        "Invalid signing region": (signed, KEYS, "cn-beijing", 1702743657),
        "InvalidAccessKeyId": (signed, {}, "cn-hangzhou", 1702743657),
        "InvalidSecurityToken": (signed, TEMPORARY, "cn-hangzhou", 1702743657),
        "Request has expired": (url, KEYS, "cn-hangzhou", 1702781677 + 600),
        "no right": (request({}, {}), KEYS, "cn-hangzhou", 0),
    }.items():
        with pytest.raises(OssError, match=message):
            signer(*arguments)
