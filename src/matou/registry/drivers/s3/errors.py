"""What the service and the library say when something fails, as the errors of drivers."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError  # noqa: A004

from matou.registry.drivers.base import NotFound, StorageError, Transient

if TYPE_CHECKING:
    from collections.abc import Iterator

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
TOO_MANY_REQUESTS = 429
SERVICE_UNAVAILABLE = 503
SERVER_ERROR = 500


@contextmanager
def translated(operation: str, where: str) -> Iterator[None]:
    """Translate what a request raises.

    Args:
        operation: of S3, such as ``GetObject``.
        where: key or prefix that it concerns.

    Raises:
        NotFound: the object does not exist.
        Transient: repeating the request may help.
        StorageError: it will not.
    """
    try:
        yield
    except ClientError as error:
        raise _answered(error.response, operation, where) from error
    except (HTTPClientError, ConnectionError, aiohttp.ClientError, TimeoutError) as error:
        raise Transient(f"s3 {operation} of {where}: {error}") from error
    except BotoCoreError as error:
        raise StorageError(f"s3 {operation} of {where}: {error}") from error


def _answered(response: Any, operation: str, where: str) -> StorageError:
    error = response.get("Error", {})
    code, text = str(error.get("Code", "")), str(error.get("Message", ""))
    metadata = response.get("ResponseMetadata", {})
    status = int(metadata.get("HTTPStatusCode", 0))
    message = f"s3 {operation} of {where}: {code}: {text} (status {status})"
    if code in MISSING:
        return NotFound(f"{where} does not exist")
    throttled = code in THROTTLING or status in (TOO_MANY_REQUESTS, SERVICE_UNAVAILABLE)
    if throttled or code in PASSING or status >= SERVER_ERROR:
        return Transient(message, throttled=throttled, retry_after=_seconds(metadata))
    return StorageError(message)


def _seconds(metadata: Any) -> float | None:
    try:
        return max(0.0, float(metadata["HTTPHeaders"]["retry-after"]))
    except (KeyError, ValueError):
        return None
