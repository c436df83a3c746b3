"""What the service and the library say when something fails, as the errors of drivers.

Source: Amazon S3 API reference, "Error responses"; S3 user guide, "Required permissions for Amazon S3 API operations".
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 -- the library's
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    MetadataRetrievalError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    SSLError,
)
from botocore.parsers import ResponseParserError
from yarl import URL

from matou.registry.drivers.base import NotFound, StorageError, StorageFull, Transient, Unusable
from matou.registry.drivers.proxies import failure_of_proxy, unauthenticated
from matou.registry.drivers.s3.explanation import ALWAYS, ROLES, explanation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matou.config.sections.s3 import S3Parameters

MISSING = frozenset(("NoSuchKey", "NoSuchUpload", "NoSuchVersion", "404", "NotFound"))
# Operations whose 404 is about the object, even where the answer does not say so.
ON_OBJECTS = frozenset(
    (
        "AbortMultipartUpload",
        "CompleteMultipartUpload",
        "CopyObject",
        "DeleteObject",
        "GetObject",
        "HeadObject",
        "UploadPart",
        "UploadPartCopy",
    )
)
THROTTLING = frozenset(
    (
        "BandwidthLimitExceeded",
        "RequestLimitExceeded",
        "SlowDown",
        "SlowDownRead",
        "SlowDownWrite",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "TooManyRequestsException",
    )
)
PASSING = frozenset(
    (
        "BadDigest",  # the content was damaged on its way
        "ConditionalRequestConflict",
        "IncompleteBody",
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "ServiceUnavailable",
        "XAmzContentChecksumMismatch",
    )
)
FULL = frozenset(("XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded", "InsufficientStorage"))
NOT_TLS = frozenset(("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"))
EXPECTED_REGION = re.compile(r"expecting '([a-z0-9-]+)'")
TOO_MANY_REQUESTS = 429
SERVICE_UNAVAILABLE = 503
INSUFFICIENT_STORAGE = 507
SERVER_ERROR = 500
NOT_IMPLEMENTED = 501
LONGEST_QUOTE = 200  # characters of what the service says
SECTION = "storage.s3"  # in messages, for the name that the configuration has


GIVE_A_KEY = (
    "set storage.s3.accesskey and storage.s3.secretkey, or give the machine a role, a profile, or AWS_ACCESS_KEY_ID "
    "and AWS_SECRET_ACCESS_KEY"
)
REMEDIES = {
    NoCredentialsError: GIVE_A_KEY,
    PartialCredentialsError: GIVE_A_KEY,
    ParamValidationError: "correct storage.s3.bucket",  # an ARN that is none: the library checks nothing else of ours
    ProfileNotFound: "correct AWS_PROFILE, or make the profile",
}


class Unsupported(StorageError):  # noqa: N818 -- as NotFound
    """The service does not have the operation, or not for this object."""


class Failures:
    """Translates errors of one bucket.

    Args:
        parameters: of the driver.
    """

    def __init__(self, parameters: S3Parameters) -> None:
        self._parameters = parameters

    @contextmanager
    def translated(self, operation: str, where: str) -> Iterator[None]:
        """Translate what a request raises; each message is one line.

        Args:
            operation: of S3, such as ``GetObject``.
            where: key or prefix that it concerns.

        Raises:
            NotFound: the object does not exist.
            StorageFull: there is no room left.
            Transient: repeating the request may help.
            StorageError: it will not; the message names the cause and what to do.
        """
        try:
            yield
        except ClientError as error:
            raise self.of_answer(error.response, error.operation_name or operation, where) from error
        except (BotoCoreError, ResponseParserError, aiohttp.ClientError, TimeoutError) as error:
            raise self._of_failure(error, operation, where) from error

    def _of_failure(self, error: Exception, operation: str, where: str) -> StorageError:
        """Return the error for a request that got no answer, or none that was understood."""
        if isinstance(error, HTTPClientError | ConnectionError | aiohttp.ClientError | TimeoutError):
            return self._of_connection(error, operation, where)
        if isinstance(error, CredentialRetrievalError | MetadataRetrievalError):
            return Transient(f"s3 {operation}: the credentials could not be fetched: {_line(error)}")
        if isinstance(error, tuple(REMEDIES)):
            remedy = next(text for kind, text in REMEDIES.items() if isinstance(error, kind))
            return Unusable(self._named(f"s3 {operation}: {_line(error)}; {remedy}"))
        if isinstance(error, ResponseParserError):
            return self.of_stranger(operation)
        return StorageError(f"s3 {operation} of {where}: {_line(error)}")

    def of_stranger(self, operation: str) -> StorageError:
        """Return the error for an answer that S3 does not give."""
        return StorageError(
            self._named(
                f"s3 {operation}: what answers at {self._place} does not speak S3; check storage.s3.regionendpoint"
            )
        )

    def _of_connection(self, error: Exception, operation: str, where: str) -> StorageError:
        inner = error.kwargs.get("error") if isinstance(error, BotoCoreError) else error
        if isinstance(error, SSLError) or isinstance(inner, aiohttp.ClientSSLError):
            return self._no_tls(inner, operation)
        if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
            return failure_of_proxy(f"s3 {operation}", error)
        if isinstance(error, EndpointConnectionError | aiohttp.ClientConnectorError):
            return Transient(
                self._named(
                    f"s3 {operation}: {self._place} cannot be reached: {_unreachable(inner)}; check "
                    "storage.s3.regionendpoint and storage.s3.region, and the network"
                )
            )
        return Transient(f"s3 {operation} of {where}: {_line(error) or type(error).__name__}")

    def _no_tls(self, error: object, operation: str) -> StorageError:
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            reason: object = error.certificate_error
        else:
            reason = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
        what = f"s3 {operation}: no TLS connection to {self._place}"
        if isinstance(reason, ssl.SSLCertVerificationError):
            return Unusable(
                self._named(
                    f"{what}: its certificate is not trusted ({reason.verify_message}); install the certificate of its "
                    "authority on this machine, or accept any with storage.s3.skipverify: true"
                )
            )
        if isinstance(reason, ssl.SSLError) and reason.reason in NOT_TLS:
            return Unusable(self._named(f"{what}: it does not speak TLS; write storage.s3.regionendpoint with http://"))
        return Transient(
            self._named(
                f"{what}: {_line(reason)}; check its certificate, or accept any with storage.s3.skipverify: true"
            )
        )

    def _named(self, text: str) -> str:
        """Put the name in that the section has in the configuration."""
        return text.replace(f"{SECTION}.", f"{self._parameters.section}.")

    @property
    def _place(self) -> str:
        return self._parameters.regionendpoint or f"Amazon S3 in {self._parameters.region}"

    def of_answer(self, response: Any, operation: str, where: str) -> StorageError:
        """Return the error that an answer stands for.

        Args:
            response: parsed by the library.
            operation: of S3, or of STS where a role could not be had.
            where: key or prefix that it concerns.
        """
        error = response.get("Error", {})
        code = str(error.get("Code", ""))
        metadata = response.get("ResponseMetadata", {})
        status = int(metadata.get("HTTPStatusCode", 0))
        headers = metadata.get("HTTPHeaders", {})
        if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            return unauthenticated(f"s3 {operation}")
        said = f"s3 {operation} of {where}: {code}: {_line(error.get('Message', ''))} (status {status})"
        if metadata.get("RequestId"):
            said = f"{said[:-1]}, request id {metadata['RequestId']})"
        if headers.get("content-type", "").startswith("text/html"):
            said += self._named(
                f"; {self._place} answers with a web page, which may not be S3; check storage.s3.regionendpoint"
            )
        if code in MISSING and operation in ON_OBJECTS:
            return NotFound(f"{where} does not exist")
        if code in FULL or status == INSUFFICIENT_STORAGE:
            return StorageFull(said)
        throttled = code in THROTTLING or status in (TOO_MANY_REQUESTS, SERVICE_UNAVAILABLE)
        if throttled or code in PASSING or (status >= SERVER_ERROR and status != NOT_IMPLEMENTED):
            return Transient(said, throttled=throttled, retry_after=_seconds(headers))
        expected = EXPECTED_REGION.search(str(error.get("Message", "")))
        why = explanation(
            self._parameters,
            operation=operation,
            code=code,
            status=status,
            text=str(error.get("Message", "")),
            region=str(headers.get("x-amz-bucket-region") or error.get("Region") or (expected[1] if expected else "")),
            location=_origin(headers.get("location", "")),
            skew=_skew(headers),
        )
        kind = Unusable if code in ALWAYS or operation.startswith(ROLES) else StorageError
        if code == "NotImplemented" or status == NOT_IMPLEMENTED:
            kind = Unsupported
        return kind(self._named(f"{said}; {why}") if why else said)


def _unreachable(error: object) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        if isinstance(error.os_error, socket.gaierror):
            return f"the name {error.host} is not known"
        if isinstance(error.os_error, ConnectionRefusedError):
            return f"nothing listens at {error.host}:{error.port}"
    return _line(error)


def _line(value: object) -> str:
    text = " ".join(str(value).split()).rstrip(".")
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}..."


def _seconds(headers: Any) -> float | None:
    try:
        return max(0.0, float(headers["retry-after"]))
    except (KeyError, ValueError):
        return None


def _origin(location: str) -> str:
    """Return scheme, host and port of a URL, whose rest may hold a signature; "" where it is none."""
    try:
        return str(URL(location).origin())
    except ValueError:
        return ""


def _skew(headers: Any) -> float | None:
    """Return the seconds by which this machine's clock is ahead of the service's."""
    try:
        return time.time() - parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return None
