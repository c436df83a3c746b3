"""Tokens with any header, for tests."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from joserfc.jws import JWSRegistry

from matou.jwt.keyids import as_jwk
from matou.jwt.signing import signing_algorithm

if TYPE_CHECKING:
    from matou.jwt.keyids import PrivateKey

NOW = 1893456000.0  # 2030-01-01


def encode(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


def claims(**changes: Any) -> dict[str, Any]:
    """Return claims that are in order but for the changes; None takes a claim away."""
    values: dict[str, Any] = {
        "iss": "the-issuer",
        "aud": "the-service",
        "sub": "alice",
        "iat": NOW,
        "nbf": NOW - 5,
        "exp": NOW + 300,
        "jti": "1",
        "access": [{"type": "repository", "name": "a/b", "actions": ["pull", "push"]}],
    }
    values.update(changes)
    return {name: value for name, value in values.items() if value is not None}


def forge(
    payload: dict[str, Any] | bytes, key: PrivateKey, header: dict[str, Any] | bytes | None = None, **members: Any
) -> str:
    """Sign with a header of one's own; the algorithm is that of the key unless ``alg`` says otherwise."""
    algorithm = signing_algorithm(key)
    if header is None:
        header = {"typ": "JWT", "alg": algorithm, **members}
    if isinstance(header, dict):
        algorithm = header.get("alg", algorithm) if header.get("alg") in JWSRegistry.algorithms else algorithm
        header = json.dumps(header).encode()
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    signed = f"{encode(header)}.{encode(body)}"
    return f"{signed}.{encode(JWSRegistry.algorithms[algorithm].sign(signed.encode(), as_jwk(key)))}"
