from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest
from joserfc import jws

from matou.jwt.keyids import PrivateKey, as_jwk, libtrust_fingerprint
from matou.jwt.signing import sign, signing_algorithm

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import rsa


def test_header_and_claims(rsa_key: rsa.RSAPrivateKey) -> None:
    header, claims, _ = sign({"iss": "x", "sub": "名"}, rsa_key).split(".")
    assert json.loads(base64.urlsafe_b64decode(header + "==")) == {
        "typ": "JWT",
        "alg": "RS256",
        "kid": libtrust_fingerprint(rsa_key.public_key()),
    }
    assert json.loads(base64.urlsafe_b64decode(claims + "==")) == {"iss": "x", "sub": "名"}
    assert "=" not in header + claims


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def test_signature_verifies_with_the_algorithm_of_the_key(any_key: PrivateKey) -> None:
    token = sign({"a": 1}, any_key)
    algorithm = signing_algorithm(any_key)
    found = jws.deserialize_compact(token, as_jwk(any_key.public_key()), algorithms=[algorithm])
    assert json.loads(found.payload) == {"a": 1}
    assert found.protected["alg"] == algorithm


def test_claims_that_are_not_json_are_refused(rsa_key: rsa.RSAPrivateKey) -> None:
    with pytest.raises(TypeError):
        sign({"a": object()}, rsa_key)
    with pytest.raises(ValueError, match="Out of range"):
        sign({"a": float("nan")}, rsa_key)
