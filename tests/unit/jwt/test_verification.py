from __future__ import annotations

import hashlib
import hmac
import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from matou.jwt.keyfiles import self_signed_certificate
from matou.jwt.keyids import libtrust_fingerprint, rfc7638_thumbprint
from matou.jwt.signing import sign
from matou.jwt.trust import TrustedKeys
from matou.jwt.verification import (
    ALGORITHMS,
    MAX_HEADER_LENGTH,
    MAX_TOKEN_LENGTH,
    TokenError,
    VerifiedToken,
    verify,
)
from tests.unit.jwt.forge import NOW, claims, encode, forge

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import rsa

    from matou.jwt.keyids import PrivateKey


@pytest.fixture(scope="module")
def trusted(rsa_key: rsa.RSAPrivateKey) -> TrustedKeys:
    return TrustedKeys([self_signed_certificate(rsa_key)])


def check(token: str, keys: TrustedKeys, now: float = NOW, **changes: Any) -> VerifiedToken:
    return verify(token, keys, **{"issuer": "the-issuer", "audience": "the-service", "now": now, **changes})


def refusal(token: str, keys: TrustedKeys, now: float = NOW, **changes: Any) -> str:
    with pytest.raises(TokenError) as caught:
        check(token, keys, now, **changes)
    return str(caught.value)


def test_what_sign_makes_is_accepted_for_every_type_of_key(any_key: PrivateKey) -> None:
    found = check(sign(claims(), any_key), TrustedKeys([self_signed_certificate(any_key)]))
    assert found.subject == "alice"
    assert found.access == {("repository", "a/b", "pull"), ("repository", "a/b", "push")}
    assert found.valid_from == NOW - 60
    assert found.valid_until == NOW + 360
    assert found.key_valid_until == math.inf
    assert found.claims == claims()


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"])
def test_all_algorithms_of_rsa(algorithm: str, rsa_key: rsa.RSAPrivateKey, trusted: TrustedKeys) -> None:
    token = forge(claims(), rsa_key, alg=algorithm)
    assert check(token, trusted).subject == "alice"
    assert "signing algorithm" in refusal(token, trusted, algorithms=ALGORITHMS - {algorithm})


# -- the signature


def test_unsigned_token_is_refused(rsa_key: rsa.RSAPrivateKey, trusted: TrustedKeys) -> None:
    kid = libtrust_fingerprint(rsa_key.public_key())
    body = encode(json.dumps(claims()).encode())
    for algorithm in ("none", "None", "NONE", "nOnE", ""):
        header = encode(json.dumps({"alg": algorithm, "kid": kid}).encode())
        assert "signing algorithm" in refusal(f"{header}.{body}.", trusted)
        assert "signing algorithm" in refusal(f"{header}.{body}.", trusted, algorithms={"none", "RS256"})
    header = encode(json.dumps({"alg": "RS256", "kid": kid}).encode())
    assert refusal(f"{header}.{body}.", trusted) == "token has no signature"


@pytest.mark.parametrize(("algorithm", "digest"), [("HS256", "sha256"), ("HS384", "sha384"), ("HS512", "sha512")])
def test_public_key_is_no_hmac_secret(
    algorithm: str, digest: str, rsa_key: rsa.RSAPrivateKey, trusted: TrustedKeys
) -> None:
    public = rsa_key.public_key()
    secrets = [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        self_signed_certificate(rsa_key).public_bytes(Encoding.PEM),
        b"",
    ]
    header = encode(json.dumps({"alg": algorithm, "kid": libtrust_fingerprint(public)}).encode())
    signed = f"{header}.{encode(json.dumps(claims()).encode())}"
    for secret in secrets:
        token = f"{signed}.{encode(hmac.new(secret, signed.encode(), getattr(hashlib, digest)).digest())}"
        assert "signing algorithm" in refusal(token, trusted)
        # Not even when a setting asks for it.
        assert "signing algorithm" in refusal(token, trusted, algorithms={algorithm, "RS256"})


def test_every_changed_character_of_a_token_is_noticed(rsa_key: rsa.RSAPrivateKey, trusted: TrustedKeys) -> None:
    token = sign(claims(), rsa_key)
    for position in range(0, len(token), 7):
        changed = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        refusal(changed, trusted)
    for shorter in (token[:-1], token[:-4], token[1:], token + "A", token + "=", token + "\n", " " + token):
        refusal(shorter, trusted)


def test_claims_cannot_be_exchanged(rsa_key: rsa.RSAPrivateKey, trusted: TrustedKeys) -> None:
    header, _, signature = sign(claims(), rsa_key).split(".")
    forged = encode(json.dumps(claims(sub="root")).encode())
    assert "unable to verify token signature" in refusal(f"{header}.{forged}.{signature}", trusted)


def test_foreign_key_is_named_as_in_distribution(other_rsa_key: rsa.RSAPrivateKey, trusted: TrustedKeys) -> None:
    kid = libtrust_fingerprint(other_rsa_key.public_key())
    assert refusal(sign(claims(), other_rsa_key), trusted) == f'token signed by untrusted key with ID: "{kid}"'


def test_foreign_key_under_a_trusted_kid(
    rsa_key: rsa.RSAPrivateKey, other_rsa_key: rsa.RSAPrivateKey, trusted: TrustedKeys
) -> None:
    token = forge(claims(), other_rsa_key, kid=libtrust_fingerprint(rsa_key.public_key()))
    assert "unable to verify token signature" in refusal(token, trusted)


def test_trusted_key_under_the_kid_of_another_trusted_key(
    rsa_key: rsa.RSAPrivateKey, other_rsa_key: rsa.RSAPrivateKey
) -> None:
    keys = TrustedKeys([self_signed_certificate(rsa_key), self_signed_certificate(other_rsa_key)])
    right = forge(claims(), other_rsa_key, kid=libtrust_fingerprint(other_rsa_key.public_key()))
    assert check(right, keys).subject == "alice"
    token = forge(claims(), other_rsa_key, kid=libtrust_fingerprint(rsa_key.public_key()))
    assert "unable to verify token signature" in refusal(token, keys)


def test_key_is_found_by_either_id_and_without_one(rsa_key: rsa.RSAPrivateKey, trusted: TrustedKeys) -> None:
    public = rsa_key.public_key()
    for kid in (libtrust_fingerprint(public), rfc7638_thumbprint(public), "of a service's own making", "", None):
        assert check(forge(claims(), rsa_key, kid=kid), trusted).subject == "alice"
    assert check(forge(claims(), rsa_key), trusted).subject == "alice"


@pytest.mark.parametrize("kid", [1, True, ["a"], {"a": 1}])
def test_kid_of_another_type(kid: object, rsa_key: rsa.RSAPrivateKey, trusted: TrustedKeys) -> None:
    assert refusal(forge(claims(), rsa_key, kid=kid), trusted) == "kid is not a string"


def test_algorithm_of_another_type_of_key(rsa_key: rsa.RSAPrivateKey, trusted: TrustedKeys) -> None:
    elliptic = ec.generate_private_key(ec.SECP256R1())
    token = forge(claims(), elliptic, kid=libtrust_fingerprint(rsa_key.public_key()))
    assert "unable to verify token signature" in refusal(token, trusted)


def test_algorithm_of_another_curve() -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    keys = TrustedKeys([self_signed_certificate(key)])
    token = forge(claims(), key, header=json.dumps({"alg": "ES256"}).encode())
    assert "unable to verify token signature" in refusal(token, keys)


def test_no_key_at_all(rsa_key: rsa.RSAPrivateKey) -> None:
    assert "untrusted key" in refusal(sign(claims(), rsa_key), TrustedKeys())


def test_critical_header_parameters_are_refused(rsa_key: rsa.RSAPrivateKey, trusted: TrustedKeys) -> None:
    for critical in (["exp"], ["b64"], [], "x"):
        assert "critical header" in refusal(forge(claims(), rsa_key, crit=critical, b64=False), trusted)


@pytest.mark.parametrize("algorithm", [None, 1, [], {}, ["RS256"], "rs256", "RS256 ", "ES256K", "A" * 9000])
def test_algorithm_that_is_none_of_ours(algorithm: object, rsa_key: rsa.RSAPrivateKey, trusted: TrustedKeys) -> None:
    reason = refusal(forge(claims(), rsa_key, header=json.dumps({"alg": algorithm}).encode()), trusted)
    assert reason.startswith("token with signing algorithm")
    assert len(reason) < 500


# -- form


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "...",
        "a.b",
        "a.b.c.d",
        "!.!.!",
        "é.é.é",
        "\ud800.a.b",
        "e30.e30.",
        "e30.e30.AA",
        "bnVsbA.e30.AA",
        "W10.e30.AA",
        "MQ.e30.AA",
        "IngiCg.e30.AA",
        "eyJhbGciOiJSUzI1NiJ9 .e30.AA",
        "eyJhbGciOiJSUzI1NiJ9\n.e30.AA",
        "eyJhbGciOiJSUzI1NiJ9==.e30.AA",
    ],
)
def test_garbage(token: str, trusted: TrustedKeys) -> None:
    refusal(token, trusted)


def test_token_too_long_is_refused_unread(trusted: TrustedKeys) -> None:
    assert "at most" in refusal("A" * (MAX_TOKEN_LENGTH + 1), trusted)
    assert "token header of" in refusal("A" * (MAX_HEADER_LENGTH + 1) + ".e30.AA", trusted)


BOMBS = [
    b"[" * 12000,
    b'{"a":' * 3000,
    b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}",
    b'{"a":' + b"9" * 10000 + b"}",
    b'{"exp":1e999999999}',
    b'{"a":NaN}',
    b'{"a":Infinity}',
    b'{"a":-Infinity}',
    b'{"alg":"RS256","alg":"none"}',
    b'{"a":{"b":1,"b":2}}',
    b"\xff\xfe{\x00}\x00",
    b"\x00",
    b'{"a":"\xff"}',
    b"{} {}",
    b"\xef\xbb\xbf{}",
]


@pytest.mark.parametrize("bomb", BOMBS)
def test_json_bombs(bomb: bytes, rsa_key: rsa.RSAPrivateKey, trusted: TrustedKeys) -> None:
    refusal(f"{encode(bomb)}.e30.AA", trusted)
    # Even a trusted service cannot crash the registry.
    refusal(forge(bomb, rsa_key), trusted)


@pytest.mark.parametrize("name", ["sub", "exp", "access"])
def test_claim_given_twice(name: str, rsa_key: rsa.RSAPrivateKey, trusted: TrustedKeys) -> None:
    once = json.dumps(claims())
    assert check(forge(once.encode(), rsa_key), trusted).subject == "alice"
    again = json.dumps({name: claims()[name]})
    twice = f"{again[:-1]}, {once[1:]}"
    assert json.loads(twice) == claims()
    assert "claims is not plain JSON" in refusal(forge(twice.encode(), rsa_key), trusted)


def test_reader_of_claims_is_reached_only_after_the_signature(
    rsa_key: rsa.RSAPrivateKey, other_rsa_key: rsa.RSAPrivateKey, trusted: TrustedKeys
) -> None:
    assert "claims" in refusal(forge(b"[" * 30000, rsa_key), trusted)
    assert "untrusted key" in refusal(forge(b"[" * 30000, other_rsa_key, kid="x"), trusted)


def test_nested_algorithm_in_the_header(trusted: TrustedKeys) -> None:
    header = b'{"alg":' + b"[" * 700 + b"]" * 700 + b"}"
    refusal(f"{encode(header)}.e30.AA", trusted)


@settings(max_examples=200, deadline=None)
@given(header=st.binary(max_size=60), body=st.binary(max_size=20), signature=st.binary(max_size=20))
def test_any_bytes_are_refused(trusted: TrustedKeys, header: bytes, body: bytes, signature: bytes) -> None:
    refusal(f"{encode(header)}.{encode(body)}.{encode(signature)}", trusted)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.sampled_from("abc") | st.text(max_size=3), children)
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "sub", "access"]),
    value=JSON | st.lists(st.fixed_dictionaries({"type": JSON, "name": JSON, "actions": JSON}), max_size=2),
)
def test_any_value_of_any_claim_is_judged_without_a_crash(
    trusted: TrustedKeys, rsa_key: rsa.RSAPrivateKey, name: str, value: object
) -> None:
    body = {**claims(), name: value}
    try:
        found = check(forge(json.dumps(body).encode(), rsa_key), trusted)
    except TokenError:
        return
    assert all(isinstance(part, str) for triple in found.access for part in triple)
    assert isinstance(found.subject, str)


# -- claims


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "another"}, 'token from untrusted issuer: "another"'),
        ({"iss": None}, "token from untrusted issuer: null"),
        ({"iss": ["the-issuer"]}, "token from untrusted issuer"),
        ({"iss": "the-issuer "}, "token from untrusted issuer"),
        ({"aud": "another"}, 'token intended for another audience: "another"'),
        ({"aud": None}, "token intended for another audience: null"),
        ({"aud": []}, "token intended for another audience"),
        ({"aud": ["x", "y"]}, "token intended for another audience"),
        ({"aud": {"the-service": 1}}, "token intended for another audience"),
        ({"aud": "xthe-servicex"}, "token intended for another audience"),
        ({"exp": None}, "token without exp"),
        ({"exp": "1893456300"}, "exp is not a number"),
        ({"exp": True}, "exp is not a number"),
        ({"exp": 1e300}, "exp is not a number"),
        ({"exp": -1}, "exp is not a number"),
        ({"nbf": "0"}, "nbf is not a number"),
        ({"iat": []}, "iat is not a number"),
        ({"sub": 1}, "sub is not a string"),
        ({"sub": "a\nb"}, "sub contains control characters"),
        ({"sub": "\ud800"}, "sub contains control characters or is not Unicode"),
        ({"access": {}}, "access is not a list"),
        ({"access": "repository:a:pull"}, "access is not a list"),
        ({"access": ["repository:a:pull"]}, "an entry of access is not an object"),
        ({"access": [{"type": 1, "name": "a", "actions": []}]}, "type is not a string"),
        ({"access": [{"type": "repository", "name": ["a"], "actions": []}]}, "name is not a string"),
        ({"access": [{"type": "repository", "name": "a", "actions": "pull"}]}, "actions is not a list"),
        ({"access": [{"type": "repository", "name": "a", "actions": [1]}]}, "actions is not a list of strings"),
    ],
)
def test_refused_claims(changes: dict[str, Any], reason: str, rsa_key: rsa.RSAPrivateKey, trusted: TrustedKeys) -> None:
    assert reason in refusal(sign(claims(**changes), rsa_key), trusted)


@pytest.mark.parametrize(
    ("changes", "access"),
    [
        ({"access": None}, set()),
        ({"access": []}, set()),
        ({"access": [{"type": "repository", "name": "a", "actions": None}]}, set()),
        ({"access": [{"type": "repository", "name": "a"}]}, set()),
        (
            {"access": [{"type": "repository", "class": "plugin", "name": "a", "actions": ["pull"]}]},
            {("repository", "a", "pull")},
        ),
        (
            {
                "access": [
                    {"type": "repository", "name": "a", "actions": ["pull", "pull"]},
                    {"type": "repository", "name": "a", "actions": ["push"], "meta": {"project_id": 1}},
                    {"type": "registry", "name": "catalog", "actions": ["*"]},
                ]
            },
            {("repository", "a", "pull"), ("repository", "a", "push"), ("registry", "catalog", "*")},
        ),
    ],
)
def test_access(
    changes: dict[str, Any], access: set[tuple[str, str, str]], rsa_key: rsa.RSAPrivateKey, trusted: TrustedKeys
) -> None:
    assert check(sign(claims(**changes), rsa_key), trusted).access == access


def test_optional_claims_may_be_absent(rsa_key: rsa.RSAPrivateKey, trusted: TrustedKeys) -> None:
    found = check(sign(claims(sub=None, nbf=None, iat=None, jti=None, aud=["x", "the-service"]), rsa_key), trusted)
    assert found.subject == ""
    assert found.valid_from == -math.inf


@pytest.mark.parametrize(
    ("changes", "good"),
    [
        ({"exp": NOW - 60}, True),
        ({"exp": NOW - 60.001}, False),
        ({"exp": NOW - 61}, False),
        ({"nbf": NOW + 60}, True),
        ({"nbf": NOW + 60.001}, False),
        ({"iat": NOW + 60}, True),
        ({"iat": NOW + 61}, False),
    ],
)
def test_leeway_to_its_edge(
    changes: dict[str, Any], *, good: bool, rsa_key: rsa.RSAPrivateKey, trusted: TrustedKeys
) -> None:
    token = sign(claims(**changes), rsa_key)
    if good:
        assert check(token, trusted).subject == "alice"
    else:
        assert refusal(token, trusted).startswith("token not to be used ")


def test_expired_token_for_an_upload(rsa_key: rsa.RSAPrivateKey, trusted: TrustedKeys) -> None:
    token = sign(claims(exp=NOW - 3660), rsa_key)
    assert check(token, trusted, expired_for=3600.0).valid_until == NOW - 3600
    assert "not to be used after 2029-12-31T23:00:00+00:00" in refusal(token, trusted, expired_for=3599.0)
    # The grace is for the expiry alone.
    early = sign(claims(nbf=NOW + 3000), rsa_key)
    assert "not to be used before" in refusal(early, trusted, expired_for=3600.0)
