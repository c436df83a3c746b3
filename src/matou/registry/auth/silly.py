"""``auth.silly``: for tests of clients only; any ``Authorization`` header is good enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matou.registry.auth.base import Identity, Unauthorized
from matou.registry.auth.challenge import bearer_challenge

if TYPE_CHECKING:
    from matou.registry.auth.base import Access, Origin


class SillyAuthenticator:
    """Grants everything to whoever sends a header, as user ``silly``.

    Args:
        realm: appears in the challenge.
        service: appears in the challenge.
    """

    def __init__(self, realm: str, service: str) -> None:
        self._realm = realm
        self._service = service
        self._identity = Identity("silly")

    def authorize_now(
        self,
        authorization: str | None,
        wanted: tuple[Access, ...],
        origin: Origin,  # noqa: ARG002 -- part of the contract
        *,
        expired_ok: bool = False,  # noqa: ARG002 -- part of the contract
    ) -> Identity:
        """See ``Authenticator.authorize_now``."""
        if not authorization:
            challenge = bearer_challenge(self._realm, self._service, wanted)
            raise Unauthorized(challenge, wanted, "authorization header required (silly)")
        return self._identity

    async def authorize(
        self,
        authorization: str | None,
        wanted: tuple[Access, ...],
        origin: Origin,
        *,
        expired_ok: bool = False,
    ) -> Identity:
        """See ``Authenticator.authorize``."""
        return self.authorize_now(authorization, wanted, origin, expired_ok=expired_ok)
