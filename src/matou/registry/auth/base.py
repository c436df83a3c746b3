"""What the HTTP layer asks of an authenticator: one contract for token, htpasswd, silly and none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Access(NamedTuple):
    """One action on one resource, as in the Docker token specification's scope (``type:name:action``)."""

    type: str
    name: str
    action: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a request is made for.

    Attributes:
        subject: user name, or "" for an anonymous caller.
    """

    subject: str


class Unauthorized(Exception):  # noqa: N818 -- the HTTP term
    """The caller must present (other) credentials.

    Attributes:
        challenge: value of ``WWW-Authenticate``.
        wanted: what the request needs; goes into the error's detail.
        reason: for the log: never contains a secret.
        message: for the client, where it can be told more than that it has to authenticate.
    """

    def __init__(self, challenge: str, wanted: tuple[Access, ...], reason: str, message: str | None = None) -> None:
        super().__init__(reason)
        self.message = message
        self.challenge = challenge
        self.wanted = wanted
        self.reason = reason


class Origin(NamedTuple):
    """Where a request came in, for challenges that depend on it (``autoredirect``)."""

    scheme: str
    host: str


class Authenticator(Protocol):
    """Decides whether the holder of an ``Authorization`` header has every wanted access.

    Both methods raise ``Unauthorized`` when not. An instance and its caches belong to one worker's event loop.
    """

    def authorize_now(
        self,
        authorization: str | None,
        wanted: tuple[Access, ...],
        origin: Origin,
        *,
        expired_ok: bool = False,
    ) -> Identity | None:
        """Decide without waiting; None when only ``authorize`` can (a password hash must be computed, say).

        Args:
            authorization: the header's value, or None.
            wanted: all must be granted; an empty tuple asks only for valid credentials (``GET /v2/``).
            origin: scheme and host of the request as the client sees them.
            expired_ok: an upload that was authorised at its start may be finished after its token expired:
                accept a token that is valid but for ``exp``.
        """
        ...

    async def authorize(
        self,
        authorization: str | None,
        wanted: tuple[Access, ...],
        origin: Origin,
        *,
        expired_ok: bool = False,
    ) -> Identity:
        """Decide, off the event loop where that takes long."""
        ...
