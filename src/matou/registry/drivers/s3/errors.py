"""What the service and the library say when something fails, as the errors of drivers.

Source: Amazon S3 API reference, "Error responses"; S3 user guide, "Required permissions for Amazon S3 API operations".
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 -- the library's
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    SSLError,
)
from botocore.parsers import ResponseParserError

from matou.registry.drivers.base import NotFound, StorageError, StorageFull, Transient
from matou.registry.drivers.s3.explanation import explanation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matou.config.sections.drivers import S3Parameters

MISSING = frozenset(("NoSuchKey", "NoSuchUpload", "404", "NotFound"))
THROTTLING = frozenset(
    (
        "SlowDown",
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "BandwidthLimitExceeded",
    )
)
PASSING = frozenset(("RequestTimeout", "InternalError", "ServiceUnavailable", "OperationAborted"))
FULL = frozenset(("XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded", "InsufficientStorage"))
TOO_MANY_REQUESTS = 429
SERVICE_UNAVAILABLE = 503
INSUFFICIENT_STORAGE = 507
SERVER_ERROR = 500
LONGEST_QUOTE = 200  # characters of what the service says


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
            raise self.of_answer(error.response, operation, where) from error
        except (SSLError, aiohttp.ClientSSLError) as error:
            raise StorageError(
                f"s3 {operation}: no TLS connection to {self._place}: {_line(error)}; check the certificate of the "
                "service and storage.s3.secure, or accept any certificate with storage.s3.skipverify: true"
            ) from error
        except (EndpointConnectionError, aiohttp.ClientConnectorError) as error:
            raise Transient(
                f"s3 {operation}: {self._place} cannot be reached: {_line(error)}; check storage.s3.regionendpoint and "
                "storage.s3.region, and the network"
            ) from error
        except (HTTPClientError, ConnectionError, aiohttp.ClientError, TimeoutError) as error:
            raise Transient(f"s3 {operation} of {where}: {_line(error) or type(error).__name__}") from error
        except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError) as error:
            raise StorageError(
                f"s3 {operation}: there are no credentials ({_line(error)}); set storage.s3.accesskey and "
                "storage.s3.secretkey, or give the machine a role, a profile, or AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY"
            ) from error
        except ResponseParserError as error:
            raise StorageError(
                f"s3 {operation}: what answers at {self._place} does not speak S3; check storage.s3.regionendpoint"
            ) from error
        except BotoCoreError as error:
            raise StorageError(f"s3 {operation} of {where}: {_line(error)}") from error

    @property
    def _place(self) -> str:
        return self._parameters.regionendpoint or f"Amazon S3 in {self._parameters.region}"

    def of_answer(self, response: Any, operation: str, where: str) -> StorageError:
        """Return the error that an answer stands for.

        Args:
            response: parsed by the library.
            operation: of S3.
            where: key or prefix that it concerns.
        """
        error = response.get("Error", {})
        code = str(error.get("Code", ""))
        metadata = response.get("ResponseMetadata", {})
        status = int(metadata.get("HTTPStatusCode", 0))
        headers = metadata.get("HTTPHeaders", {})
        said = f"s3 {operation} of {where}: {code}: {_line(error.get('Message', ''))} (status {status})"
        if code in MISSING:
            return NotFound(f"{where} does not exist")
        if code in FULL or status == INSUFFICIENT_STORAGE:
            return StorageFull(said)
        throttled = code in THROTTLING or status in (TOO_MANY_REQUESTS, SERVICE_UNAVAILABLE)
        if throttled or code in PASSING or status >= SERVER_ERROR:
            return Transient(said, throttled=throttled, retry_after=_seconds(headers))
        why = explanation(
            self._parameters,
            operation=operation,
            code=code,
            status=status,
            text=str(error.get("Message", "")),
            region=str(headers.get("x-amz-bucket-region") or error.get("Region") or ""),
            skew=_skew(headers),
        )
        return StorageError(f"{said}; {why}" if why else said)


def _line(value: object) -> str:
    text = " ".join(str(value).split()).rstrip(".")
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}..."


def _seconds(headers: Any) -> float | None:
    try:
        return max(0.0, float(headers["retry-after"]))
    except (KeyError, ValueError):
        return None


def _skew(headers: Any) -> float | None:
    """Return the seconds by which this machine's clock is ahead of the service's."""
    try:
        return time.time() - parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return None
