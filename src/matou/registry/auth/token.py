"""``auth.token``: Bearer tokens of a token service that this registry trusts.

Sources: Docker's token specification and Distribution's ``registry/auth/token``.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matou.jwt.scope import render_scopes
from matou.jwt.verification import ALGORITHMS, TokenError, verify
from matou.registry.auth.base import Access, Identity, Unauthorized
from matou.registry.auth.challenge import bearer_challenge, redirected_realm

if TYPE_CHECKING:
    from collections.abc import Callable

    from matou.jwt.verification import VerifiedToken
    from matou.registry.auth.base import Origin
    from matou.registry.auth.keysource import KeySource

UPLOAD_GRACE = 24 * 3600.0  # seconds after its expiry for which a token may finish the upload that it began
KEYS_CHECKED_EVERY = 5.0  # seconds
CACHE_BYTES = 32 << 20
CACHE_ENTRY_BYTES = 1536  # what an entry costs beside its header, claims and grants, rounded up
CACHE_GRANT_BYTES = 300
INVALID_TOKEN = "invalid_token"  # noqa: S105 -- an error code of RFC 6750
INSUFFICIENT_SCOPE = "insufficient_scope"


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """``auth.token`` without its key files.

    Attributes:
        realm: URL of the token service.
        service: name of this registry; the ``aud`` of its tokens.
        issuer: the ``iss`` of its tokens.
        autoredirectpath: path of the token service on the host that a client used, or "" to name ``realm`` to all.
        algorithms: accepted ``alg`` values.
    """

    realm: str
    service: str
    issuer: str
    autoredirectpath: str = ""
    algorithms: frozenset[str] = ALGORITHMS


class _Known:
    """A token that was verified: all that is needed to decide on the next request with it."""

    __slots__ = ("cost", "granted", "identity", "valid_from", "valid_until", "verified")

    def __init__(self, verified: VerifiedToken, cost: int) -> None:
        self.valid_from = verified.valid_from
        # An upload's grace is for the token's own expiry, not for that of the certificate that vouched for its key.
        self.valid_until = min(verified.valid_until, verified.key_valid_until)
        self.granted = verified.access
        self.identity = Identity(verified.subject)
        self.verified = verified
        self.cost = cost


class TokenAuthenticator:
    """Verifies a token once and remembers it, within bounds, while it is in force.

    Args:
        settings: what the configuration says.
        keys: the keys that the registry trusts.
        clock: seconds since 1970.
        cache_bytes: most memory that remembered tokens may take, roughly.
    """

    def __init__(
        self,
        settings: TokenSettings,
        keys: KeySource,
        *,
        clock: Callable[[], float] = time.time,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._free = cache_bytes
        self._checked = clock()
        self._check_next = self._checked + KEYS_CHECKED_EVERY

    def authorize_now(
        self,
        authorization: str | None,
        wanted: tuple[Access, ...],
        origin: Origin,
        *,
        expired_ok: bool = False,
    ) -> Identity:
        """See ``Authenticator.authorize_now``; this one always decides."""
        now = self._clock()
        if not self._checked <= now < self._check_next:  # also when the clock was set back
            self._follow_keys(now)
        if authorization is not None:
            known = self._known.get(authorization)
            if known is not None and known.valid_from <= now <= known.valid_until and known.granted.issuperset(wanted):
                self._known.move_to_end(authorization)
                return known.identity
        return self._decide(authorization, wanted, origin, now=now, expired_ok=expired_ok)

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

    def _decide(
        self,
        authorization: str | None,
        wanted: tuple[Access, ...],
        origin: Origin,
        *,
        now: float,
        expired_ok: bool,
    ) -> Identity:
        scheme, _, token = (authorization or "").partition(" ")
        if authorization is None or scheme.lower() != "bearer" or not token:
            raise self._refusal(wanted, origin, "", "authorization token required")
        known = self._known.get(authorization)
        if known is None or not self._in_force(known, now, expired_ok=expired_ok):
            # A remembered token that is no longer in force is verified anew: that gives the reason.
            self._forget(authorization)
            known = self._verify(authorization, token, wanted, origin, now=now, expired_ok=expired_ok)
        granted = known.granted
        missing = tuple(
            access for access in wanted if access not in granted and (access.type, access.name, "*") not in granted
        )
        if missing:
            holder = f'"{known.identity.subject}"' if known.identity.subject else "an anonymous caller"
            reason = f"insufficient scope: the token of {holder} does not grant {render_scopes(missing)}"
            raise self._refusal(wanted, origin, INSUFFICIENT_SCOPE, reason)
        return known.identity

    @staticmethod
    def _in_force(known: _Known, now: float, *, expired_ok: bool) -> bool:
        verified = known.verified
        grace = UPLOAD_GRACE if expired_ok else 0.0
        return verified.valid_from <= now <= min(verified.valid_until + grace, verified.key_valid_until)

    def _verify(
        self,
        authorization: str,
        token: str,
        wanted: tuple[Access, ...],
        origin: Origin,
        *,
        now: float,
        expired_ok: bool,
    ) -> _Known:
        settings = self._settings
        try:
            verified = verify(
                token,
                self._keys.keys,
                issuer=settings.issuer,
                audience=settings.service,
                now=now,
                algorithms=settings.algorithms,
                expired_for=UPLOAD_GRACE if expired_ok else 0.0,
            )
        except TokenError as error:
            raise self._refusal(wanted, origin, INVALID_TOKEN, str(error)) from error
        cost = CACHE_ENTRY_BYTES + 2 * len(authorization) + CACHE_GRANT_BYTES * len(verified.access)
        known = _Known(verified, cost)
        self._remember(authorization, known)
        return known

    def _remember(self, authorization: str, known: _Known) -> None:
        self._free -= known.cost
        self._known[authorization] = known
        while self._free < 0 and self._known:
            _, oldest = self._known.popitem(last=False)
            self._free += oldest.cost

    def _forget(self, authorization: str) -> None:
        known = self._known.pop(authorization, None)
        if known is not None:
            self._free += known.cost

    def _follow_keys(self, now: float) -> None:
        self._checked = now
        self._check_next = now + KEYS_CHECKED_EVERY
        if self._keys.refresh():
            for authorization in list(self._known):  # a key that is no longer trusted vouches for nothing
                self._forget(authorization)

    def _refusal(self, wanted: tuple[Access, ...], origin: Origin, error: str, reason: str) -> Unauthorized:
        settings = self._settings
        realm = redirected_realm(origin, settings.autoredirectpath) if settings.autoredirectpath else None
        message, description = None, ""
        if error == INSUFFICIENT_SCOPE:
            message = f"requested access to the resource is denied: this login does not allow {render_scopes(wanted)}"
            description = message
            if any(access.type == "repository" for access in wanted):  # a token service does not tell which of these
                description += " (wrong name or missing right or container registry disabled)"
        challenge = bearer_challenge(realm or settings.realm, settings.service, wanted, error, description)
        return Unauthorized(challenge, wanted, reason, message)
