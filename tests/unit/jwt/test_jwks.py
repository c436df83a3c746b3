from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from joserfc.jwk import OctKey

from matou.jwt.jwks import load_jwks, public_jwks
from matou.jwt.keyfiles import KeyFileError
from matou.jwt.keyids import PrivateKey, as_jwk, libtrust_fingerprint, rfc7638_thumbprint
from matou.jwt.signing import sign
from matou.jwt.trust import TrustedKeys
from matou.jwt.verification import verify
from tests.unit.jwt.forge import NOW, claims, forge

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import rsa


def accepted(token: str, keys: TrustedKeys) -> bool:
    return verify(token, keys, issuer="the-issuer", audience="the-service", now=NOW).subject == "alice"


def jwk(key: PrivateKey, **more: Any) -> dict[str, Any]:
    return {**as_jwk(key.public_key()).as_dict(private=False), **more}


def write_jwks(path: Path, *entries: object) -> Path:
    path.write_text(json.dumps({"keys": list(entries)}))
    return path


def test_key_set(tmp_path: Path, any_key: PrivateKey) -> None:
    path = write_jwks(tmp_path / "jwks", jwk(any_key, kid="chosen", use="sig"))
    keys = TrustedKeys([], load_jwks(path))
    assert accepted(forge(claims(), any_key, kid="chosen"), keys)
    assert accepted(sign(claims(), any_key), keys)
    assert "chosen" in keys.ids


def test_private_and_symmetric_and_encryption_keys_in_a_key_set(tmp_path: Path, rsa_key: rsa.RSAPrivateKey) -> None:
    secret = OctKey.generate_key(256).as_dict(private=True)
    private = as_jwk(rsa_key).as_dict(private=True)
    ed448_jwk = {"kty": "OKP", "crv": "Ed448", "x": "AA"}
    path = write_jwks(tmp_path / "jwks", secret, private, jwk(rsa_key, use="enc"))
    ((kid, key),) = load_jwks(path)
    assert kid == ""
    assert not key.is_private
    with pytest.raises(KeyFileError, match=r"keys\[0\]"):
        load_jwks(write_jwks(path, ed448_jwk))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"keys": {}}',
        '{"keys": [1]}',
        '{"keys": [{"kty": "RSA"}]}',
        '{"keys": [{"kty": "RSA", "n": "!", "e": "AQAB"}]}',
        '{"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}',
        '{"keys": [{"kty": "EC", "crv": [], "x": "AA", "y": "AA"}]}',
        '{"keys": [{"kty": "EC", "kid": 1}]}',
        "[" * 100000,
    ],
)
def test_unusable_key_sets(tmp_path: Path, content: str) -> None:
    path = tmp_path / "jwks"
    path.write_text(content)
    with pytest.raises(KeyFileError) as caught:
        load_jwks(path)
    assert str(path) in str(caught.value)


def test_published_key_set_names_each_key_in_both_ways(any_key: PrivateKey, tmp_path: Path) -> None:
    public = any_key.public_key()
    document = public_jwks([public])
    assert [entry["kid"] for entry in document["keys"]] == [libtrust_fingerprint(public), rfc7638_thumbprint(public)]
    assert all(not {"d", "p", "q", "k"} & set(entry) for entry in document["keys"])
    path = tmp_path / "jwks"
    path.write_text(json.dumps(document))
    assert accepted(sign(claims(), any_key), TrustedKeys([], load_jwks(path)))
