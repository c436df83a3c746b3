"""From what Swift answers to what a driver raises.

Source: the object storage API reference of OpenStack; 498 is what the ratelimit middleware answers.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from matou.registry.drivers.base import NotFound, StorageError, StorageFull, Transient, Unusable
from matou.registry.drivers.proxies import unauthenticated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matou.config.sections.swift import SwiftParameters

THROTTLED = frozenset((429, 498))
PASSING = frozenset((408, 409, 422, 499))
LONGEST_REASON = 200  # characters of an answer that a message repeats


def failure(parameters: SwiftParameters, what: str, status: int, headers: Mapping[str, str], text: str) -> StorageError:
    """Return the error for an answer.

    Args:
        parameters: of the driver, whose secrets are not repeated.
        what: was asked for: a method and a name.
        status: of the answer.
        headers: of it.
        text: of it.
    """
    reason = " ".join(text.split())[:LONGEST_REASON]
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return unauthenticated(what)
    if status in THROTTLED:
        return Transient(
            f"{what}: Swift asks for fewer requests ({status})", throttled=True, retry_after=_after(headers)
        )
    if status in PASSING or (status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.INSUFFICIENT_STORAGE):
        return Transient(f"{what}: Swift answered {status} {reason}".rstrip(), retry_after=_after(headers))
    kind, explanation = _lasting(parameters).get(status, (StorageError, f"Swift answered it with {reason}"))
    return kind(f"{what}: {explanation} ({status})")


def _lasting(parameters: SwiftParameters) -> dict[int, tuple[type[StorageError], str]]:
    """Return what statuses mean that repeating the request does not change."""
    container = f"the container {parameters.container!r}"
    return {
        HTTPStatus.NOT_FOUND: (NotFound, "it does not exist"),
        HTTPStatus.UNAUTHORIZED: (
            Unusable,
            (
                "Swift refuses the token that the identity service has just given; check that authurl and region in "
                "storage.swift belong to one cloud, and the clocks"
            ),
        ),
        HTTPStatus.FORBIDDEN: (
            StorageError,
            (
                f"Swift does not permit it to the user {parameters.username!r}; give the user a role that may use the "
                f"account, or read and write access to {container}"
            ),
        ),
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
            StorageFull,
            (
                f"Swift takes no so large object: a quota of {container} or of its account is used up, or chunksize in "
                "storage.swift is more than the cluster permits"
            ),
        ),
        HTTPStatus.INSUFFICIENT_STORAGE: (StorageFull, "Swift has no room left"),
    }


def _after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of ``Retry-After``."""
    value = headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdecimal() else None
