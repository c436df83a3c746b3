"""No ``auth`` at all, or ``auth.none``: whoever reaches the registry may do everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matou.registry.auth.base import Identity

if TYPE_CHECKING:
    from matou.registry.auth.base import Access, Origin


class NoneAuthenticator:
    """Grants everything to everybody; the caller is anonymous whatever header is sent."""

    def __init__(self) -> None:
        self._identity = Identity("")

    def authorize_now(
        self,
        authorization: str | None,  # noqa: ARG002 -- part of the contract
        wanted: tuple[Access, ...],  # noqa: ARG002 -- part of the contract
        origin: Origin,  # noqa: ARG002 -- part of the contract
        *,
        expired_ok: bool = False,  # noqa: ARG002 -- part of the contract
    ) -> Identity:
        """See ``Authenticator.authorize_now``."""
        return self._identity

    async def authorize(
        self,
        authorization: str | None,  # noqa: ARG002 -- part of the contract
        wanted: tuple[Access, ...],  # noqa: ARG002 -- part of the contract
        origin: Origin,  # noqa: ARG002 -- part of the contract
        *,
        expired_ok: bool = False,  # noqa: ARG002 -- part of the contract
    ) -> Identity:
        """See ``Authenticator.authorize``."""
        return self._identity
