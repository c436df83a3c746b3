"""What OSS and its library say when something fails, as the errors of drivers.

Source: OSS API reference, "Error codes"; RAM authorization reference of OSS for the permissions.
"""

from __future__ import annotations

from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import ParseError

import aiohttp
from alibabacloud_oss_v2 import exceptions

from matou.registry.drivers.base import NotFound, StorageError, Transient, Unusable
from matou.registry.drivers.proxies import failure_of_proxy, unauthenticated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matou.registry.drivers.oss.endpoint import Endpoint

NOT_FOUND = 404
FORBIDDEN = 403
TOO_MANY_REQUESTS = 429
SERVICE_UNAVAILABLE = 503
SERVER_ERROR = 500
NOT_IMPLEMENTED = 501
LONGEST_QUOTE = 200  # characters of what the service says

PASSING = frozenset(("RequestTimeout", "InternalError", "OperationAborted", "ConnectionTimeout"))
DAMAGED_ON_THE_WAY = frozenset(("InvalidDigest", "BadDigest"))  # the checksum of a body; the body itself is right
PERMISSIONS = {
    "ListObjectsV2": "oss:ListObjects",
    "GetObject": "oss:GetObject",
    "HeadObject": "oss:GetObject",
    "PutObject": "oss:PutObject",
    "CopyObject": "oss:GetObject and oss:PutObject",
    "DeleteObject": "oss:DeleteObject",
    "DeleteMultipleObjects": "oss:DeleteObject",
    "InitiateMultipartUpload": "oss:PutObject",
    "UploadPart": "oss:PutObject",
    "UploadPartCopy": "oss:GetObject and oss:PutObject",
    "CompleteMultipartUpload": "oss:PutObject",
    "AbortMultipartUpload": "oss:AbortMultipartUpload",
    "ListMultipartUploads": "oss:ListMultipartUploads",
}
EXPIRED = "the temporary key has expired or is wrong: renew OSS_SESSION_TOKEN and its key"
FIXES = {
    "InvalidAccessKeyId": "the key id does not exist or is disabled: check storage.oss.accesskeyid (OSS_ACCESS_KEY_ID)",
    "SignatureDoesNotMatch": (
        "the secret does not belong to the key id: check storage.oss.accesskeysecret (OSS_ACCESS_KEY_SECRET)"
    ),
    "RequestTimeTooSkewed": "the clock of this machine is more than 15 minutes wrong: let it be set (NTP)",
    "SecurityTokenExpired": EXPIRED,
    "InvalidSecurityToken": EXPIRED,
    "UserDisable": "the account is disabled or has bills to pay: look at the console of Alibaba Cloud",
    "InvalidBucketName": "storage.oss.bucket has a name that no bucket has",
    "NoSuchBucket": "the bucket does not exist: create it, or check storage.oss.bucket and storage.oss.region",
    "InvalidObjectState": "the object is archived: restore it, and let no lifecycle rule archive objects of a registry",
    "KmsServiceNotEnabled": "the service KMS is not enabled: enable it, or remove storage.oss.encryptionkeyid",
    "FileImmutable": "a retention policy (WORM) forbids to change objects: a registry needs a bucket without one",
}
ALWAYS = frozenset(FIXES) - {"InvalidObjectState", "KmsServiceNotEnabled", "FileImmutable"}  # whatever is asked for


class NoSuchUpload(StorageError):  # noqa: N818 -- the service's term
    """The multipart upload is not there: it was completed or aborted."""


class Inaccessible(StorageError):  # noqa: N818 -- as NotFound
    """The key may not do this, or there is no such bucket."""


class NoSuchBucket(Inaccessible, Unusable):
    """There is no such bucket."""


@contextmanager
def translated(operation: str, bucket: str, key: str, endpoint: Endpoint) -> Iterator[None]:
    """Translate what a request raises; each message is one line.

    Args:
        operation: of OSS, such as ``GetObject``.
        bucket: its name.
        key: or prefix that it concerns; may be empty.
        endpoint: that the request goes to.

    Raises:
        NotFound: the object does not exist.
        NoSuchUpload: the multipart upload does not exist.
        Inaccessible: permission or bucket are missing.
        Transient: repeating the request may help.
        StorageError: it will not.
    """
    try:
        yield
    except exceptions.OperationError as error:
        raise _translate(error.unwrap(), operation, bucket, key, endpoint) from error
    except (exceptions.BaseError, aiohttp.ClientError, TimeoutError, ParseError) as error:
        raise _translate(error, operation, bucket, key, endpoint) from error


def _translate(error: Any, operation: str, bucket: str, key: str, endpoint: Endpoint) -> StorageError:
    while isinstance(error, exceptions.RequestError | exceptions.ResponseError) and error.unwrap() is not None:
        error = error.unwrap()
    what = f"OSS {operation} of {bucket}/{key}"
    if isinstance(error, exceptions.ServiceError):
        return _answered(error, what, operation, bucket, key, endpoint)
    return _unanswered(error, what, endpoint)


def _unanswered(error: Any, what: str, endpoint: Endpoint) -> StorageError:
    if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return failure_of_proxy(what, error)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Unusable(f"{what}: the certificate of {endpoint.host} is not good: {_line(error)}")
    if isinstance(error, aiohttp.ClientConnectorError):
        return Transient(
            f"{what}: {endpoint.host} cannot be reached ({_line(error)}): check region, internal and endpoint of "
            "storage.oss"
        )
    if isinstance(error, TimeoutError):
        return Transient(f"{what}: no answer from {endpoint.host} in time")
    if isinstance(error, aiohttp.ClientError | ParseError | exceptions.DeserializationError):
        return Transient(f"{what}: the connection to {endpoint.host} failed: {_line(error)}")
    return StorageError(f"{what}: {_line(error)}")


def _answered(error: Any, what: str, operation: str, bucket: str, key: str, endpoint: Endpoint) -> StorageError:
    status, code = int(error.status_code or 0), str(error.code or "")
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return unauthenticated(what)
    if code == "NoSuchUpload":
        return NoSuchUpload(f"{what}: the multipart upload is gone")
    if code == "NoSuchKey" or (status == NOT_FOUND and code not in FIXES):
        return NotFound(f"{key} does not exist")
    request = f" (request {_line(error.request_id)})" if error.request_id else ""
    throttled = status in (SERVICE_UNAVAILABLE, TOO_MANY_REQUESTS) or code.endswith("LimitExceeded")
    if throttled or code in PASSING | DAMAGED_ON_THE_WAY or (status >= SERVER_ERROR and status != NOT_IMPLEMENTED):
        return Transient(
            f"{what}: {code} (status {status}): {_line(error.message or '')}{request}",
            throttled=throttled,
            retry_after=_seconds(error.headers),
        )
    known: type[StorageError] = Unusable if code in ALWAYS else StorageError
    if code == "NoSuchBucket":
        known = NoSuchBucket
    elif status == FORBIDDEN and code not in FIXES:
        known = Inaccessible
    return known(f"{what}: {code}: {_fix(error, operation, bucket, endpoint)}{request}")


def _fix(error: Any, operation: str, bucket: str, endpoint: Endpoint) -> str:
    """Say what to do about an answer."""
    status, code, text = int(error.status_code or 0), str(error.code or ""), _line(error.message or "")
    if code in FIXES:
        return FIXES[code]
    if "signing region" in text:
        return f"the bucket does not lie in the region {endpoint.region}: check storage.oss.region"
    place = (error.error_fileds or {}).get("Endpoint")
    if status == FORBIDDEN and place:
        return (
            f"the bucket lies at {_line(place)}: set storage.oss.region to its region, and storage.oss.endpoint, if "
            "any, to its endpoint"
        )
    if status == FORBIDDEN:
        permission = PERMISSIONS.get(operation, "for this")
        return (
            f"the key lacks the permission {permission}: grant it in a RAM policy for acs:oss:*:*:{bucket} and "
            f"acs:oss:*:*:{bucket}/* (the service says: {text or 'nothing'})"
        )
    return f"{text} (status {status})"


def _line(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}..."


def _seconds(headers: Any) -> float | None:
    try:
        return max(0.0, float(headers["Retry-After"]))
    except (KeyError, TypeError, ValueError):
        return None
