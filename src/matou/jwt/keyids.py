"""The two ways in which registries name a public key in a token's ``kid``.

Sources: ``libtrust``'s ``KeyID`` (Docker Registry 2.x, GitLab) and RFC 7638 (Distribution 3.x).
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, cast

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey, OKPKey, RSAKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
JoseKey = RSAKey | ECKey | OKPKey

LIBTRUST_BYTES = 30  # 240 bits of the hash: 48 base32 characters, 12 groups of 4
LIBTRUST_GROUP = 4


class UnsupportedKeyError(ValueError):
    """A key is of a type or curve with which registry tokens are not signed."""


def libtrust_fingerprint(public_key: PublicKey) -> str:
    """Return libtrust's key id, ``ABCD:EFGH:...`` in twelve groups of four characters.

    It is the base32 form of the first 240 bits of the SHA-256 of the DER SubjectPublicKeyInfo.
    """
    der = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    text = base64.b32encode(hashlib.sha256(der).digest()[:LIBTRUST_BYTES]).decode("ascii")
    return ":".join(text[start : start + LIBTRUST_GROUP] for start in range(0, len(text), LIBTRUST_GROUP))


def rfc7638_thumbprint(public_key: PublicKey) -> str:
    """Return the JWK thumbprint (SHA-256, base64url without padding) of RFC 7638.

    Raises:
        UnsupportedKeyError: see ``as_jwk``.
    """
    return as_jwk(public_key).thumbprint()


def as_jwk(key: PublicKey | PrivateKey) -> JoseKey:
    """Wrap a key of ``cryptography`` as joserfc's key of the same type.

    Raises:
        UnsupportedKeyError: the key is none of RSA, EC on P-256, P-384 or P-521, and Ed25519.
    """
    if isinstance(key, rsa.RSAPublicKey | rsa.RSAPrivateKey):
        return RSAKey(key, key)
    if isinstance(key, ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey):
        if not isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1):
            raise UnsupportedKeyError(f"curve {key.curve.name} is not supported; expected P-256, P-384 or P-521")
        return ECKey(key, key)
    if isinstance(key, ed25519.Ed25519PublicKey | ed25519.Ed25519PrivateKey):
        return OKPKey(key, key)
    raise UnsupportedKeyError(f"{type(key).__name__} is not supported; expected an RSA, EC or Ed25519 key")


def as_public_key(key: PublicKeyTypes) -> PublicKey:
    """Narrow any public key of ``cryptography`` to the types that tokens are signed with.

    Raises:
        UnsupportedKeyError: see ``as_jwk``.
    """
    narrowed = cast("PublicKey", key)
    as_jwk(narrowed)
    return narrowed
