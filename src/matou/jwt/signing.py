"""Making registry tokens.

Source: Docker's token specification ("Token Authentication Implementation").
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64encode

from matou.jwt.keyids import PrivateKey, as_jwk, libtrust_fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping

_EC_ALGORITHMS = {256: "ES256", 384: "ES384", 521: "ES512"}


def sign(claims: Mapping[str, Any], private_key: PrivateKey) -> str:
    """Return a compact JWT of the claims.

    The header is ``{"typ": "JWT", "alg": ..., "kid": <libtrust fingerprint>}``. The algorithm follows from the key: RSA
    RS256; P-256, P-384 and P-521 the ES of their size; Ed25519 EdDSA.

    Raises:
        UnsupportedKeyError: the key cannot sign tokens.
        TypeError: a claim is not a JSON value.
    """
    algorithm = signing_algorithm(private_key)
    header = {"typ": "JWT", "alg": algorithm, "kid": libtrust_fingerprint(private_key.public_key())}
    signing_input = b".".join(urlsafe_b64encode(_compact_json(part)) for part in (header, claims))
    signature = JWSRegistry.algorithms[algorithm].sign(signing_input, as_jwk(private_key))
    return (signing_input + b"." + urlsafe_b64encode(signature)).decode("ascii")


def signing_algorithm(private_key: PrivateKey) -> str:
    """Return the name of the JWS algorithm that ``sign`` uses with the key.

    Raises:
        UnsupportedKeyError: the key cannot sign tokens.
    """
    as_jwk(private_key)
    if isinstance(private_key, rsa.RSAPrivateKey):
        return "RS256"
    if isinstance(private_key, ec.EllipticCurvePrivateKey):
        return _EC_ALGORITHMS[private_key.curve.key_size]
    return "EdDSA"


def _compact_json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")
