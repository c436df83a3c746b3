from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from matou.jwt.keyfiles import self_signed_certificate
from matou.jwt.keyids import PrivateKey, as_jwk, libtrust_fingerprint, rfc7638_thumbprint
from matou.jwt.signing import sign
from matou.jwt.trust import MAX_CHAIN, TrustedKeys, UntrustedKeyError
from matou.jwt.verification import TokenError, verify
from tests.unit.jwt.chains import AUTHORITY, DAY, EPOCH, Issued, issue, usage
from tests.unit.jwt.forge import NOW, claims, forge


def accepted(token: str, keys: TrustedKeys) -> float:
    return verify(token, keys, issuer="the-issuer", audience="the-service", now=NOW).key_valid_until


def refusal(token: str, keys: TrustedKeys) -> str:
    with pytest.raises(TokenError) as caught:
        accepted(token, keys)
    return str(caught.value)


def signed_with_chain(leaf: Issued, *chain: Issued) -> str:
    return forge(claims(), leaf.key, x5c=[item.x5c for item in (leaf, *chain)])


@pytest.fixture(scope="module")
def root() -> Issued:
    return issue("root", authority=True, key_usage=AUTHORITY)


@pytest.fixture(scope="module")
def intermediate(root: Issued) -> Issued:
    return issue("intermediate", root, authority=True, key_usage=AUTHORITY)


@pytest.fixture(scope="module")
def roots(root: Issued) -> TrustedKeys:
    return TrustedKeys([root.certificate])


def test_chain_to_a_root_of_the_bundle(root: Issued, intermediate: Issued, roots: TrustedKeys) -> None:
    until = EPOCH + 10 * DAY
    leaf = issue("leaf", intermediate, key_usage=usage(), valid=(EPOCH - DAY, until))
    token = signed_with_chain(leaf, intermediate)
    assert accepted(token, roots) == until.timestamp()
    direct = issue("leaf", root)
    assert accepted(signed_with_chain(direct), roots) == (EPOCH + 30 * DAY).timestamp()
    # The root itself may be part of the chain.
    assert accepted(signed_with_chain(leaf, intermediate, root), roots)


def test_root_without_key_usage_is_accepted() -> None:
    plain = issue("root", authority=True)
    assert accepted(signed_with_chain(issue("leaf", plain)), TrustedKeys([plain.certificate]))


def test_certificate_of_the_bundle_itself() -> None:
    own = issue("own", key_usage=usage())
    assert accepted(signed_with_chain(own), TrustedKeys([own.certificate])) == (EPOCH + 30 * DAY).timestamp()


def refused_chains() -> list[tuple[str, str]]:
    return [
        ("foreign root", "no valid path"),
        ("same name as the root", "no valid path"),
        ("missing intermediate", "no valid path"),
        ("leaf expired", "not valid at validation time"),
        ("leaf not yet valid", "not valid at validation time"),
        ("intermediate expired", "not valid at validation time"),
        ("issuer is no authority", "no valid path"),
        ("issuer may not sign certificates", "no valid path"),
        ("path too long", "no valid path"),
        ("leaf may not sign", "key usage"),
        ("unknown critical extension", "critical extension"),
        ("certificate of the bundle expired", "not valid now"),
        ("certificate of the bundle with unknown critical extension", "critical extension 1.2.3.4"),
        ("signed by the root for another name", "no valid path"),
    ]


@pytest.mark.parametrize(("case", "reason"), refused_chains())
def test_refused_chain(case: str, reason: str, root: Issued, intermediate: Issued, roots: TrustedKeys) -> None:
    past, future = (EPOCH - 9 * DAY, EPOCH - DAY), (EPOCH + DAY, EPOCH + 9 * DAY)
    foreign = issue("root", authority=True, key_usage=AUTHORITY)
    old = issue("intermediate", root, authority=True, key_usage=AUTHORITY, valid=past)
    plain = issue("plain", root, key_usage=usage())
    no_signing = issue("no signing", root, authority=True, key_usage=usage())
    narrow = issue("narrow", root, authority=True, key_usage=AUTHORITY, path_length=0)
    below = issue("below", narrow, authority=True, key_usage=AUTHORITY)
    names = x509.NameConstraints(permitted_subtrees=[x509.DNSName("example.com")], excluded_subtrees=None)
    constrained = issue("constrained", root, authority=True, key_usage=AUTHORITY, critical=names)
    elsewhere = x509.SubjectAlternativeName([x509.DNSName("example.org")])
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    expired_own = issue("own", valid=past)
    keys = roots
    if case == "certificate of the bundle expired":
        keys = TrustedKeys([expired_own.certificate])
    odd_own = issue("odd", critical=unknown)
    if case == "certificate of the bundle with unknown critical extension":
        keys = TrustedKeys([odd_own.certificate])
    chain: dict[str, tuple[Issued, ...]] = {
        "foreign root": (issue("leaf", issue("elsewhere", authority=True, key_usage=AUTHORITY)),),
        "same name as the root": (issue("leaf", foreign), foreign),
        "missing intermediate": (issue("leaf", intermediate),),
        "leaf expired": (issue("leaf", intermediate, valid=past), intermediate),
        "leaf not yet valid": (issue("leaf", intermediate, valid=future), intermediate),
        "intermediate expired": (issue("leaf", old), old),
        "issuer is no authority": (issue("leaf", plain), plain),
        "issuer may not sign certificates": (issue("leaf", no_signing), no_signing),
        "path too long": (issue("leaf", below), below, narrow),
        "leaf may not sign": (issue("leaf", root, key_usage=usage(signature=False)),),
        "unknown critical extension": (issue("leaf", root, critical=unknown),),
        "certificate of the bundle expired": (expired_own,),
        "certificate of the bundle with unknown critical extension": (odd_own,),
        "signed by the root for another name": (issue("leaf", constrained, critical=elsewhere), constrained),
    }
    assert reason in refusal(signed_with_chain(*chain[case]), keys)


def test_trusted_chain_with_another_signature(root: Issued, roots: TrustedKeys) -> None:
    leaf, thief = issue("leaf", root), issue("thief")
    token = forge(claims(), thief.key, x5c=[leaf.x5c])
    assert "unable to verify token signature" in refusal(token, roots)


def test_names_in_certificates_cannot_break_log_lines(roots: TrustedKeys, root: Issued) -> None:
    past = (EPOCH - 9 * DAY, EPOCH - DAY)
    reason = refusal(signed_with_chain(issue("evil\nlevel=info \x1b[2J", root, valid=past)), roots)
    assert "evil" in reason
    assert reason.isprintable()


def test_bad_chain_is_not_forgiven_for_a_good_kid(root: Issued, roots: TrustedKeys) -> None:
    # x5c counts before kid, as in Distribution: a header that contradicts itself is refused.
    thief = issue("thief")
    kid = libtrust_fingerprint(root.key.public_key())
    assert "no valid path" in refusal(forge(claims(), thief.key, x5c=[thief.x5c], kid=kid), roots)


@pytest.mark.parametrize("x5c", ["", "text", {}, 1, [], [1], [None], [""], ["!"], ["AAAA"], [["AAAA"]]])
def test_malformed_chain(x5c: object, roots: TrustedKeys, root: Issued) -> None:
    assert "x5c" in refusal(forge(claims(), root.key, x5c=x5c), roots)


def test_chain_too_long(root: Issued, roots: TrustedKeys) -> None:
    leaf = issue("leaf", root)
    reason = refusal(forge(claims(), leaf.key, x5c=[leaf.x5c] * (MAX_CHAIN + 1)), roots)
    assert f"at most {MAX_CHAIN}" in reason


def test_chain_without_bundle(root: Issued) -> None:
    keys = TrustedKeys([], [("a", as_jwk(ec.generate_private_key(ec.SECP256R1()).public_key()))])
    assert "no rootcertbundle" in refusal(signed_with_chain(issue("leaf", root)), keys)


# -- the jwk of a header


def jwk(key: PrivateKey, **more: Any) -> dict[str, Any]:
    return {**as_jwk(key.public_key()).as_dict(private=False), **more}


def test_jwk_that_is_trusted(any_key: PrivateKey) -> None:
    keys = TrustedKeys([self_signed_certificate(any_key)])
    assert accepted(forge(claims(), any_key, jwk=jwk(any_key)), keys)


def test_jwk_of_the_attackers_own(rsa_key: rsa.RSAPrivateKey, other_rsa_key: rsa.RSAPrivateKey) -> None:
    keys = TrustedKeys([self_signed_certificate(rsa_key)])
    kid = libtrust_fingerprint(rsa_key.public_key())
    for lie in ({}, {"kid": kid}, {"kid": rfc7638_thumbprint(rsa_key.public_key())}):
        token = forge(claims(), other_rsa_key, jwk=jwk(other_rsa_key, **lie), kid=kid)
        assert "untrusted key with ID" in refusal(token, keys)
    # A trusted jwk with a signature of another key.
    assert "unable to verify" in refusal(forge(claims(), other_rsa_key, jwk=jwk(rsa_key)), keys)


def test_jwk_with_chain(root: Issued, roots: TrustedKeys) -> None:
    leaf, thief = issue("leaf", root), issue("thief")
    assert accepted(forge(claims(), leaf.key, jwk=jwk(leaf.key, x5c=[leaf.x5c])), roots)
    mixed = forge(claims(), thief.key, jwk=jwk(thief.key, x5c=[leaf.x5c]))
    assert "not that of its first certificate" in refusal(mixed, roots)
    assert "no valid path" in refusal(forge(claims(), thief.key, jwk=jwk(thief.key, x5c=[thief.x5c])), roots)


@pytest.mark.parametrize(
    "value",
    ["x", 1, [], {}, {"kty": []}, {"kty": "oct", "k": "AA"}, {"kty": "RSA", "n": 1, "e": "AQAB"}, {"kty": "EC"}],
)
def test_malformed_jwk(value: object, rsa_key: rsa.RSAPrivateKey) -> None:
    keys = TrustedKeys([self_signed_certificate(rsa_key)])
    assert "jwk" in refusal(forge(claims(), rsa_key, jwk=value), keys)


def test_jwk_with_lone_surrogate(rsa_key: rsa.RSAPrivateKey) -> None:
    keys = TrustedKeys([self_signed_certificate(rsa_key)])
    with pytest.raises(UntrustedKeyError):
        keys.candidates({"jwk": {"kty": "EC", "crv": "\ud800", "x": "", "y": ""}}, NOW)


# -- bundles and key sets


def test_expired_certificate_still_names_a_key_by_its_id() -> None:
    # As in Distribution: only chains depend on dates. A forgotten renewal must not stop every pull.
    own = issue("own", valid=(EPOCH - 9 * DAY, EPOCH - DAY))
    assert accepted(sign(claims(), own.key), TrustedKeys([own.certificate]))


def test_certificate_with_unusable_key_is_reported(rsa_key: rsa.RSAPrivateKey) -> None:
    odd = issue("odd", key=ec.generate_private_key(ec.SECP256K1()))
    keys = TrustedKeys([odd.certificate, self_signed_certificate(rsa_key)])
    assert len(keys) == 1
    (reason,) = keys.skipped
    assert "CN=odd" in reason
    assert "secp256k1" in reason


def test_the_same_certificate_twice(rsa_key: rsa.RSAPrivateKey) -> None:
    certificate = self_signed_certificate(rsa_key)
    keys = TrustedKeys([certificate, certificate])
    assert len(keys) == 1
    assert len(keys.ids) == 2
