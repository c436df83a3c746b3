"""What an answer of Google Cloud Storage that is no success means, and what to do about it.

Source: https://cloud.google.com/storage/docs/json_api/v1/status-codes
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from matou.registry.drivers.base import NotFound, StorageError, Transient, Unusable
from matou.registry.drivers.proxies import unauthenticated

if TYPE_CHECKING:
    from collections.abc import Mapping

PERMISSION = re.compile(r"storage\.[a-z]+\.[a-zA-Z]+")
THROTTLED = {"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "dailyLimitExceeded"}
AGAIN = {408, 429, 500, 502, 503, 504}
LONGEST_MESSAGE = 300  # characters


class PreconditionFailed(StorageError):  # noqa: N818 -- the name of status 412
    """The object is not as the request's condition said."""


class Unauthorized(Unusable):
    """The access token is not accepted."""


def failure(status: int, headers: Mapping[str, str], body: bytes, bucket: str, what: str) -> StorageError:
    """Return the exception for an answer.

    Args:
        status: of HTTP, 400 or more.
        headers: of the answer.
        body: the beginning of it.
        bucket: its name.
        what: was asked for, to begin a sentence with.
    """
    message, reason = _said(body)
    said = f"{what}: Google Cloud Storage answered {status}" + (f" ({message})" if message else "")
    is_throttled = status == HTTPStatus.TOO_MANY_REQUESTS or reason in THROTTLED
    error = StorageError(said)
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return unauthenticated(what)
    if status in AGAIN or is_throttled:
        error = Transient(said, throttled=is_throttled, retry_after=_seconds(headers))
    elif status == HTTPStatus.NOT_FOUND and "bucket does not exist" in message:
        error = Unusable(f"the bucket {bucket} does not exist: look at storage.gcs.bucket")
    elif status == HTTPStatus.NOT_FOUND:
        error = NotFound(f"{what}: there is no such object")
    elif status == HTTPStatus.PRECONDITION_FAILED:
        error = PreconditionFailed(said)
    elif status == HTTPStatus.UNAUTHORIZED:
        error = Unauthorized(f"{said}; the credentials are not accepted: look at storage.gcs.keyfile")
    elif status == HTTPStatus.FORBIDDEN:
        error = StorageError(_forbidden(said, message, bucket))
    return error


def _forbidden(said: str, message: str, bucket: str) -> str:
    permission = PERMISSION.search(message)
    if permission is not None:
        return (
            f"{said}; the account lacks {permission[0]} on the bucket {bucket}: grant it the role Storage Object User "
            "(roles/storage.objectUser) there"
        )
    lower = message.lower()
    if "billing" in lower:
        return f"{said}; the project of the bucket {bucket} has no billing account that works: look at its billing"
    if "disabled" in lower:
        return f"{said}; enable the account, or the Cloud Storage API, in the project"
    return f"{said}; look at the account's roles on the bucket {bucket} and at the organization's policies"


def _said(body: bytes) -> tuple[str, str]:
    """Return the message of an answer in one line, and the reason by its short name."""
    text = body.decode(errors="replace")
    try:
        error = json.loads(text)["error"]
        message, reasons = str(error["message"]), error.get("errors") or [{}]
        reason = str(reasons[0].get("reason", ""))
    except (ValueError, LookupError, TypeError, AttributeError):
        # Downloads are refused in plain text, and some front ends answer in HTML, of which nothing is worth reading.
        message, reason = ("" if text.lstrip().startswith("<") else text), ""
    return " ".join(message.split())[:LONGEST_MESSAGE].rstrip("."), reason


def _seconds(headers: Mapping[str, str]) -> float | None:
    value = headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else None
