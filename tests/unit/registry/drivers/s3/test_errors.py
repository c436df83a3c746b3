"""Each refusal of the service names its cause and the setting to look at, in one line."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import aiohttp
import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
    SSLError,
)
from botocore.parsers import ResponseParserError

from matou.config.sections.s3 import S3Parameters
from matou.registry.drivers.base import NotFound, StorageError, StorageFull, Transient, Unusable
from matou.registry.drivers.s3.errors import Failures

PARAMETERS = S3Parameters(
    accesskey="the-key", secretkey="the-secret", region="eu-central-1", bucket="images", rootdirectory="/registry"
)


def raised(error: BaseException, operation: str = "PutObject") -> StorageError:
    with pytest.raises(StorageError) as caught, Failures(PARAMETERS).translated(operation, "a/b"):
        raise error
    assert "\n" not in str(caught.value)
    assert "the-secret" not in str(caught.value)
    return caught.value


def answer(code: str, status: int, operation: str, message: str = "", **headers: str) -> ClientError:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": names},
    }
    return ClientError(response, operation)


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("InvalidAccessKeyId", 403, "storage.s3.accesskey"),
        ("SignatureDoesNotMatch", 403, "storage.s3.secretkey"),
        ("ExpiredToken", 400, "storage.s3.sessiontoken"),
        ("NoSuchBucket", 404, "there is no bucket images; create it, or correct storage.s3.bucket"),
        ("InvalidBucketName", 400, "storage.s3.bucket"),
        ("AuthorizationHeaderMalformed", 400, "storage.s3.region"),
        ("PermanentRedirect", 301, "storage.s3.region"),
        ("KMS.NotFoundException", 400, "storage.s3.keyid"),
        ("AccessControlListNotSupported", 400, "storage.s3.objectownership: true"),
        ("InvalidStorageClass", 400, "storage.s3.storageclass"),
    ],
)
def test_a_refusal_names_what_to_look_at(code: str, status: int, said: str) -> None:
    error = raised(answer(code, status, "PutObject", "Something\nis wrong."))
    assert said in str(error)
    assert f"{code}: Something is wrong (status {status}); " in str(error)
    assert not isinstance(error, NotFound | Transient)


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        ("PutObject", "allow s3:PutObject on arn:aws:s3:::images/registry/*"),
        ("ListObjectsV2", "allow s3:ListBucket on arn:aws:s3:::images,"),
        ("DeleteObjects", "allow s3:DeleteObject on arn:aws:s3:::images/registry/*"),
        ("UploadPartCopy", "allow s3:GetObject and s3:PutObject on"),
        ("HeadObject", "s3:GetObject on arn:aws:s3:::images/registry/* and s3:ListBucket on arn:aws:s3:::images"),
    ],
)
def test_a_missing_right_is_named(operation: str, said: str) -> None:
    code = "403" if operation == "HeadObject" else "AccessDenied"
    assert said in str(raised(answer(code, 403, operation), operation))


def test_the_true_region_is_named_where_the_service_tells_it() -> None:
    error = raised(answer("403", 403, "HeadObject", x_amz_bucket_region="us-west-2"), "HeadObject")
    assert "the bucket images lies in us-west-2; set storage.s3.region: us-west-2" in str(error)
    error = raised(answer("403", 403, "HeadObject", x_amz_bucket_region="eu-central-1"), "HeadObject")
    assert "allow s3:GetObject" in str(error)


@pytest.mark.parametrize(
    ("code", "status", "is_for_all"),
    [
        ("InvalidAccessKeyId", 403, True),
        ("SignatureDoesNotMatch", 403, True),
        ("NoSuchBucket", 404, True),
        ("RequestTimeTooSkewed", 403, True),
        ("PermanentRedirect", 301, True),
        ("AccessDenied", 403, False),
        ("403", 403, False),
        ("InvalidStorageClass", 400, False),
        ("InvalidRequest", 400, False),
    ],
)
def test_what_every_request_meets_is_told_from_what_one_does(code: str, status: int, is_for_all: bool) -> None:
    assert isinstance(raised(answer(code, status, "PutObject")), Unusable) == is_for_all


@pytest.mark.parametrize(("ahead", "said"), [(3600, "ahead of"), (-3600, "behind")])
def test_a_wrong_clock_is_measured(ahead: int, said: str) -> None:
    date = formatdate(time.time() - ahead, usegmt=True)
    assert f"s {said} the service's; have it set by NTP" in str(
        raised(answer("RequestTimeTooSkewed", 403, "x", date=date))
    )
    assert "is too far from the service's" in str(raised(answer("RequestTimeTooSkewed", 403, "x", date="nonsense")))


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (answer("404", 404, "HeadObject"), NotFound, "a/b does not exist"),
        (answer("QuotaExceeded", 403, "PutObject"), StorageFull, "QuotaExceeded"),
        (answer("x", 507, "PutObject"), StorageFull, "507"),
        (answer("SlowDown", 503, "PutObject"), Transient, "SlowDown"),
        (answer("InternalError", 500, "PutObject"), Transient, "InternalError"),
        (ReadTimeoutError(endpoint_url="http://there"), Transient, "PutObject of a/b: "),
        (ConnectTimeoutError(endpoint_url="http://there"), Transient, "PutObject of a/b: "),
        (TimeoutError(), Transient, "TimeoutError"),
        (aiohttp.ServerDisconnectedError(), Transient, "Server disconnected"),
        (EndpointConnectionError(endpoint_url="http://there"), Transient, "check storage.s3.regionendpoint"),
        (SSLError(endpoint_url="https://there", error="bad"), Transient, "storage.s3.skipverify: true"),
        (NoCredentialsError(), Unusable, "set storage.s3.accesskey and storage.s3.secretkey"),
        (ResponseParserError("<html>"), StorageError, "does not speak S3"),
    ],
)
def test_what_may_pass_is_told_from_what_will_not(error: Exception, kind: type[StorageError], said: str) -> None:
    found = raised(error)
    assert type(found) is kind
    assert said in str(found)


def test_how_long_to_wait_is_kept() -> None:
    error = raised(answer("SlowDown", 503, "PutObject", retry_after="7"))
    assert isinstance(error, Transient)
    assert (error.throttled, error.retry_after) == (True, 7.0)
