from __future__ import annotations

import ssl
from types import SimpleNamespace
from typing import Any
from xml.etree.ElementTree import ParseError

import aiohttp
import pytest
from alibabacloud_oss_v2 import exceptions

from matou.config.sections.oss import OssParameters
from matou.registry.drivers.base import NotFound, StorageError, Transient, Unusable
from matou.registry.drivers.oss.endpoint import endpoint_of
from matou.registry.drivers.oss.failures import Inaccessible, NoSuchBucket, NoSuchUpload, translated

ENDPOINT = endpoint_of(OssParameters(region="cn-hangzhou", bucket="images"))
CONNECTION: Any = SimpleNamespace(host="images", port=443, ssl=True, is_ssl=True)


def answer(status: int, code: str = "BadErrorResponse", message: str = "", **fields: str) -> exceptions.OperationError:
    headers = {"Retry-After": "7"} if status == 429 else {}
    return exceptions.OperationError(
        name="X",
        error=exceptions.ServiceError(
            status_code=status,
            code=code,
            message=message,
            request_id="5C3D",
            ec="",
            timestamp="",
            request_target="GET https://images/?x-oss-signature=abc",
            headers=headers,
            error_fileds=fields,
        ),
    )


def library(error: Exception) -> exceptions.OperationError:
    return exceptions.OperationError(name="X", error=error)


def translation(error: Exception, operation: str = "GetObject") -> StorageError:
    with pytest.raises(StorageError) as caught, translated(operation, "images", "a/b", ENDPOINT):
        raise error
    assert "\n" not in str(caught.value)
    assert "signature" not in str(caught.value).lower().replace("signaturedoesnotmatch", "")
    return caught.value


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (answer(404, "NoSuchKey"), NotFound, "a/b does not exist"),
        (answer(404), NotFound, "a/b does not exist"),
        (answer(404, "NoSuchBucket"), NoSuchBucket, "the bucket does not exist"),
        (answer(404, "NoSuchUpload"), NoSuchUpload, "the multipart upload is gone"),
        (
            answer(403),
            Inaccessible,
            "lacks the permission oss:GetObject: grant it in a RAM policy for acs:oss:*:*:images",
        ),
        (answer(403, "UserDisable"), Unusable, "the account is disabled or has bills to pay"),
        (answer(403, "InvalidObjectState"), StorageError, "the object is archived"),
        (
            answer(403, "AccessDenied", "x", Endpoint="oss-cn-beijing.aliyuncs.com"),
            Inaccessible,
            "at oss-cn-beijing.aliyun",
        ),
        (answer(400, "InvalidArgument", "a\n b"), StorageError, "InvalidArgument: a b (status 400) (request 5C3D)"),
        (answer(500, "InternalError", "?"), Transient, "InternalError (status 500): ?"),
        (answer(501, "NotImplemented"), StorageError, "NotImplemented"),
        (answer(502), Transient, "(status 502)"),
        (answer(400, "RequestTimeout"), Transient, "RequestTimeout"),
        (
            library(exceptions.RequestError(error=aiohttp.ServerDisconnectedError())),
            Transient,
            "connection to oss-cn-hang",
        ),
        (
            library(exceptions.ResponseError(error=TimeoutError())),
            Transient,
            "no answer from oss-cn-hangzhou.aliyuncs.com",
        ),
        (
            library(exceptions.RequestError(error=aiohttp.ClientConnectorError(CONNECTION, OSError(111, "refused")))),
            Transient,
            "cannot be reached",
        ),
        (
            library(
                exceptions.RequestError(
                    error=aiohttp.ClientConnectorCertificateError(
                        CONNECTION, ssl.SSLCertVerificationError("self-signed")
                    )
                )
            ),
            Unusable,
            "the certificate of oss-cn-hangzhou.aliyuncs.com is not good",
        ),
        (library(exceptions.BucketNameInvalidError(name="x")), StorageError, "Bucket name is invalid"),
        (ParseError("no XML"), Transient, "no XML"),
        (aiohttp.ClientPayloadError("short"), Transient, "short"),
    ],
)
def test_what_becomes_of_an_error(error: Exception, kind: type[StorageError], message: str) -> None:
    found = translation(error)
    assert type(found) is kind
    assert message in str(found)


@pytest.mark.parametrize(
    ("error", "throttled", "seconds"),
    [
        (answer(503, "ServiceBusy"), True, None),
        (answer(503, "DownloadTrafficRateLimitExceeded"), True, None),
        (answer(429, "QpsLimitExceeded"), True, 7.0),
        (answer(500, "InternalError"), False, None),
    ],
)
def test_throttling_is_told_apart(error: Exception, throttled: bool, seconds: float | None) -> None:
    found = translation(error)
    assert isinstance(found, Transient)
    assert (found.throttled, found.retry_after) == (throttled, seconds)


def test_long_texts_of_the_service_are_cut() -> None:
    assert len(str(translation(answer(400, "InvalidArgument", "x" * 5000)))) < 400


def test_other_errors_are_left_alone() -> None:
    with pytest.raises(KeyError), translated("GetObject", "images", "a/b", ENDPOINT):
        raise KeyError("a bug")
