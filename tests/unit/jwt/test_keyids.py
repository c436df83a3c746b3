from __future__ import annotations

import base64
import hashlib
import re

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from matou.jwt.keyids import (
    PrivateKey,
    UnsupportedKeyError,
    as_jwk,
    as_public_key,
    libtrust_fingerprint,
    rfc7638_thumbprint,
)

# The example of RFC 7638, section 3.1.
RFC7638_MODULUS = (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs"
    "tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5haj"
    "rn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
)
RFC7638_THUMBPRINT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def rfc7638_example() -> rsa.RSAPublicKey:
    modulus = int.from_bytes(base64.urlsafe_b64decode(RFC7638_MODULUS + "=="), "big")
    return rsa.RSAPublicNumbers(65537, modulus).public_key()


def test_thumbprint_of_the_rfc() -> None:
    assert rfc7638_thumbprint(rfc7638_example()) == RFC7638_THUMBPRINT


def test_fingerprint_is_the_truncated_hash_in_twelve_groups(any_key: PrivateKey) -> None:
    public = any_key.public_key()
    fingerprint = libtrust_fingerprint(public)
    assert re.fullmatch(r"[A-Z2-7]{4}(:[A-Z2-7]{4}){11}", fingerprint)
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert base64.b32decode(fingerprint.replace(":", "")) == hashlib.sha256(der).digest()[:30]


def test_private_and_public_half_have_the_same_thumbprint(any_key: PrivateKey) -> None:
    assert as_jwk(any_key).thumbprint() == rfc7638_thumbprint(any_key.public_key())


def test_unsupported_curve_and_type_are_named() -> None:
    with pytest.raises(UnsupportedKeyError, match="secp256k1"):
        as_public_key(ec.generate_private_key(ec.SECP256K1()).public_key())
    with pytest.raises(UnsupportedKeyError, match="Ed448PublicKey"):
        as_public_key(ed448.Ed448PrivateKey.generate().public_key())
