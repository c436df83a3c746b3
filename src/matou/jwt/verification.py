"""Deciding whether a registry token is genuine, meant for this registry and in force.

Sources: Docker's token specification, RFC 7515 (JWS), RFC 7519 (JWT), RFC 8725 (best current practice), and
Distribution's ``registry/auth/token`` for what is accepted and what the log says.
"""

from __future__ import annotations

import binascii
import datetime as dt
import json
import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64decode

from matou.jwt.trust import UntrustedKeyError

if TYPE_CHECKING:
    from collections.abc import Collection

    from matou.jwt.trust import SigningKey, TrustedKeys

LEEWAY = 60.0  # seconds of clock difference, as in Distribution
MAX_TOKEN_LENGTH = 64 << 10
MAX_HEADER_LENGTH = 24 << 10  # room for an x5c chain
ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA", "Ed25519"}
)
"""What may sign a token. Neither ``none`` nor a symmetric algorithm is among them, and no setting adds one."""


_LATEST = 253402300799.0  # the end of the year 9999, beyond which a time cannot be shown
_SHOWN_LENGTH = 200  # characters
_UNSAFE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")  # what would break a log line, or its encoding


class TokenError(Exception):
    """A token is refused; the text says why, for the log, and holds no part of the signature."""


class VerifiedToken(NamedTuple):
    """What a genuine token says.

    Attributes:
        subject: ``sub``, or "" for an anonymous caller.
        access: granted (type, name, action) triples.
        valid_from: seconds since 1970; leeway included.
        valid_until: as ``valid_from``; the last moment at which the token may be used.
        key_valid_until: until when its key may be trusted.
        claims: all claims.
    """

    subject: str
    access: frozenset[tuple[str, str, str]]
    valid_from: float
    valid_until: float
    key_valid_until: float
    claims: dict[str, Any]


def verify(
    token: str,
    keys: TrustedKeys,
    *,
    issuer: str,
    audience: str,
    now: float,
    algorithms: Collection[str] = ALGORITHMS,
    expired_for: float = 0.0,
) -> VerifiedToken:
    """Verify a compact JWT: its key, signature, issuer, audience, time and the types of its claims, in this order.

    Args:
        token: without the word ``Bearer``.
        keys: those that may have signed it.
        issuer: the only accepted ``iss``.
        audience: must be ``aud`` or among it.
        now: seconds since 1970.
        algorithms: accepted ``alg`` values; what is not in ``ALGORITHMS`` is never accepted.
        expired_for: seconds (beside the leeway) that the token may have been expired.

    Raises:
        TokenError: the token is refused.
    """
    if len(token) > MAX_TOKEN_LENGTH:
        raise TokenError(f"token of {len(token)} bytes; at most {MAX_TOKEN_LENGTH} are accepted")
    try:
        header_text, payload_text, signature_text = token.encode("ascii").split(b".")
    except ValueError as error:
        raise TokenError("malformed token: expected three base64url parts with dots between them") from error
    if len(header_text) > MAX_HEADER_LENGTH:
        raise TokenError(f"token header of {len(header_text)} bytes; at most {MAX_HEADER_LENGTH} are accepted")
    header = _json_object(_base64(header_text, "header"), "header")
    signature = _base64(signature_text, "signature")
    payload = _base64(payload_text, "claims")
    key_valid_until = _verify_signature(
        header, header_text + b"." + payload_text, signature, keys, now=now, algorithms=algorithms
    )
    # Only now is the content known to come from a trusted service: nobody else can make us parse more than a header.
    return _check_claims(
        _json_object(payload, "claims"),
        issuer=issuer,
        audience=audience,
        now=now,
        expired_for=expired_for,
        key_valid_until=key_valid_until,
    )


def _verify_signature(
    header: dict[str, Any],
    signing_input: bytes,
    signature: bytes,
    keys: TrustedKeys,
    *,
    now: float,
    algorithms: Collection[str],
) -> float:
    """Return until when the key that made the signature may be trusted."""
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS or algorithm not in algorithms:
        raise TokenError(
            f"token with signing algorithm {_shown(algorithm)}; accepted are {', '.join(sorted(algorithms))}"
        )
    if header.get("crit") is not None:
        raise TokenError(f"token with critical header parameters that are not understood: {_shown(header['crit'])}")
    if not signature:
        raise TokenError("token has no signature")
    try:
        candidates = keys.candidates(header, now)
    except UntrustedKeyError as error:
        raise TokenError(str(error)) from error
    for candidate in candidates:
        if _matches(algorithm, candidate, signing_input, signature):
            return candidate.valid_until
    kid = header.get("kid")
    if kid and not keys.knows(kid):
        raise TokenError(f"token signed by untrusted key with ID: {_shown(kid)}")
    raise TokenError("unable to verify token signature: it was made by another key, or the token was altered")


def _matches(algorithm: str, candidate: SigningKey, signing_input: bytes, signature: bytes) -> bool:
    model = JWSRegistry.algorithms[algorithm]
    try:
        model.check_key(candidate.key)  # the key's type and curve are those of the algorithm
    except JoseError:
        return False
    return model.verify(signing_input, signature, candidate.key)


def _check_claims(
    claims: dict[str, Any],
    *,
    issuer: str,
    audience: str,
    now: float,
    expired_for: float,
    key_valid_until: float,
) -> VerifiedToken:
    if claims.get("iss") != issuer:
        raise TokenError(f"token from untrusted issuer: {_shown(claims.get('iss'))}; expected {_shown(issuer)}")
    audiences = claims.get("aud")
    if isinstance(audiences, str):
        audiences = [audiences]
    if not isinstance(audiences, list) or audience not in audiences:
        raise TokenError(
            f"token intended for another audience: {_shown(claims.get('aud'))}; expected {_shown(audience)}"
        )
    expires = _time_claim(claims, "exp")
    if expires is None:
        raise TokenError("token without exp: it would never expire")
    valid_until = expires + LEEWAY
    if now > valid_until + expired_for:
        raise TokenError(f"token not to be used after {_moment(valid_until)} - currently {_moment(now)}")
    not_before = _time_claim(claims, "nbf")
    issued = _time_claim(claims, "iat")
    valid_from = max(-math.inf if value is None else value - LEEWAY for value in (not_before, issued))
    if now < valid_from:
        raise TokenError(f"token not to be used before {_moment(valid_from)} - currently {_moment(now)}")
    return VerifiedToken(
        subject=_text(claims, "sub"),
        access=_access(claims.get("access")),
        valid_from=valid_from,
        valid_until=valid_until,
        key_valid_until=key_valid_until,
        claims=claims,
    )


def _access(entries: object) -> frozenset[tuple[str, str, str]]:
    """Return every granted triple; entries on the same resource add up, an entry's class makes no difference."""
    if entries is None:
        return frozenset()
    if not isinstance(entries, list):
        raise TokenError("malformed token: access is not a list")
    granted: set[tuple[str, str, str]] = set()
    for entry in entries:
        if not isinstance(entry, dict):
            raise TokenError("malformed token: an entry of access is not an object")
        kind, name = _text(entry, "type"), _text(entry, "name")
        actions = entry.get("actions")
        if actions is None:
            continue
        if not isinstance(actions, list) or not all(isinstance(action, str) for action in actions):
            raise TokenError("malformed token: actions is not a list of strings")
        granted.update((kind, name, action) for action in actions)
    return frozenset(granted)


def _text(mapping: dict[str, Any], name: str) -> str:
    value = mapping.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TokenError(f"malformed token: {name} is not a string")
    if _UNSAFE.search(value):
        raise TokenError(f"malformed token: {name} contains control characters or is not Unicode")
    return value


def _time_claim(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LATEST:
        raise TokenError(f"malformed token: {name} is not a number of seconds since 1970")
    return float(value)


def _moment(seconds: float) -> str:
    return dt.datetime.fromtimestamp(min(max(seconds, 0.0), _LATEST), dt.UTC).isoformat(timespec="seconds")


def _base64(text: bytes, part: str) -> bytes:
    try:
        return urlsafe_b64decode(text)
    except (ValueError, binascii.Error) as error:
        raise TokenError(f"malformed token: {part} is not base64url") from error


def _json_object(content: bytes, part: str) -> dict[str, Any]:
    try:
        value = json.loads(content.decode("utf-8"), object_pairs_hook=_distinct, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise TokenError(f"malformed token: {part} is not plain JSON") from error
    if not isinstance(value, dict):
        raise TokenError(f"malformed token: {part} is not a JSON object")
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a name that occurs twice: another reader could see the other value (RFC 7515 section 4)."""
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise ValueError("a name occurs twice in an object")
    return mapping


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _shown(value: object) -> str:
    """Quote what a token says for the log, shortened: it may be long, and it is not ours."""
    try:
        text = json.dumps(value)
    except RecursionError:
        text = "(deeply nested)"
    return text if len(text) <= _SHOWN_LENGTH else text[:_SHOWN_LENGTH] + "..."
