"""Tokens that are signed here, judged by Debian's docker-registry."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from matou.jwt.keyfiles import ensure_key_pair, load_private_key, self_signed_certificate
from matou.jwt.signing import sign
from matou.registry.auth import Access, Origin, Unauthorized
from matou.registry.auth.keysource import KeySource
from matou.registry.auth.token import TokenAuthenticator, TokenSettings
from tests.servers.docker_registry import DOCUMENT, running_docker_registry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matou.jwt.keyids import PrivateKey

REALM = "https://portal.example.com/jwt/auth"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("interop")


@pytest.fixture(scope="module")
def elliptic_key() -> PrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def bundle(folder: Path, elliptic_key: PrivateKey) -> Path:
    """A bundle of two certificates: the pair that was made here, and one of an elliptic curve."""
    ensure_key_pair(folder / "token.key", folder / "token.crt")
    path = folder / "bundle.crt"
    elliptic = self_signed_certificate(elliptic_key).public_bytes(serialization.Encoding.PEM)
    path.write_bytes((folder / "token.crt").read_bytes() + elliptic)
    return path


@pytest.fixture(scope="module")
def registry(folder: Path, bundle: Path) -> Iterator[str]:
    """Start docker-registry and give its URL."""
    token = {
        "realm": REALM,
        "service": "container_registry",
        "issuer": "gitlab-issuer",
        "rootcertbundle": str(bundle),
    }
    with running_docker_registry(folder, folder / "storage", {**DOCUMENT, "auth": {"token": token}}) as running:
        yield running.url


@pytest.fixture
def ours(bundle: Path) -> TokenAuthenticator:
    settings = TokenSettings(realm=REALM, service="container_registry", issuer="gitlab-issuer")
    return TokenAuthenticator(settings, KeySource(bundle, None))


@pytest.fixture
def key(folder: Path, bundle: Path) -> PrivateKey:
    assert bundle.exists()
    return load_private_key(folder / "token.key")


def token(key: PrivateKey, lifetime: int = 300, **changes: Any) -> str:
    now = int(time.time())
    claims = {
        "iss": "gitlab-issuer",
        "aud": "container_registry",
        "sub": "alice",
        "iat": now,
        "nbf": now - 5,
        "exp": now + lifetime,
        "jti": "7c7d2c2c",
        "access": [{"type": "repository", "name": "group/image", "actions": ["pull", "push"]}],
    }
    claims.update(changes)
    return sign({name: value for name, value in claims.items() if value is not None}, key)


def both(
    registry: str, ours: TokenAuthenticator, bearer: str | None, path: str, *wanted: Access
) -> tuple[bool, bool, str, str]:
    """Ask docker-registry and us; return who lets the token pass, and the two challenges."""
    headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
    answer = httpx.get(f"{registry}{path}", headers=headers, timeout=30)
    port = registry.rpartition(":")[2]
    try:
        ours.authorize_now(headers.get("Authorization"), wanted, Origin("http", f"127.0.0.1:{port}"))
    except Unauthorized as refusal:
        # We say in words what is missing, too (RFC 6750 section 3); Distribution does not.
        challenge = re.sub(r',error_description="[^"]*"', "", refusal.challenge)
        return answer.status_code != 401, False, answer.headers.get("WWW-Authenticate", ""), challenge
    return answer.status_code != 401, True, answer.headers.get("WWW-Authenticate", ""), ""


PULL = Access("repository", "group/image", "pull")
CATALOG = Access("registry", "catalog", "*")


def test_token_of_the_pair_made_here(registry: str, key: PrivateKey) -> None:
    assert isinstance(key, rsa.RSAPrivateKey)
    headers = {"Authorization": f"Bearer {token(key)}"}
    assert httpx.get(f"{registry}/v2/", headers=headers, timeout=30).status_code == 200
    answer = httpx.post(f"{registry}/v2/group/image/blobs/uploads/", headers=headers, timeout=30)
    assert answer.status_code == 202


def test_token_of_an_elliptic_key(registry: str, elliptic_key: PrivateKey) -> None:
    headers = {"Authorization": f"Bearer {token(elliptic_key)}"}
    assert httpx.get(f"{registry}/v2/", headers=headers, timeout=30).status_code == 200


ALL = [{"type": "repository", "name": "group/image", "actions": ["*"]}]
SAME_VERDICT: list[tuple[str, dict[str, Any], str, tuple[Access, ...]]] = [
    ("nothing wanted", {}, "/v2/", ()),
    ("pull granted", {}, "/v2/group/image/tags/list", (PULL,)),
    ("pull by star", {"access": ALL}, "/v2/group/image/tags/list", (PULL,)),
    ("nothing granted", {"access": []}, "/v2/group/image/tags/list", (PULL,)),
    ("no access claim", {"access": None}, "/v2/group/image/tags/list", (PULL,)),
    ("catalogue not granted", {}, "/v2/_catalog", (CATALOG,)),
    ("another issuer", {"iss": "omnibus-gitlab-issuer"}, "/v2/", ()),
    ("another audience", {"aud": "registry"}, "/v2/", ()),
    ("no subject", {"sub": None}, "/v2/", ()),
    ("no nbf and iat", {"nbf": None, "iat": None}, "/v2/", ()),
    ("expired within leeway", {"lifetime": -20}, "/v2/", ()),
    ("expired long ago", {"exp": 1_500_000_000}, "/v2/", ()),
    ("no exp", {"exp": None}, "/v2/", ()),
    ("far from valid", {"nbf": 4_000_000_000, "exp": 4_000_000_300}, "/v2/", ()),
    ("access of another type", {"access": "pull"}, "/v2/", ()),
]


@pytest.mark.parametrize(("case", "changes", "path", "wanted"), SAME_VERDICT, ids=[row[0] for row in SAME_VERDICT])
def test_same_verdict_and_challenge(
    case: str,
    changes: dict[str, Any],
    path: str,
    wanted: tuple[Access, ...],
    registry: str,
    key: PrivateKey,
    ours: TokenAuthenticator,
) -> None:
    theirs, own, their_challenge, our_challenge = both(registry, ours, token(key, **changes), path, *wanted)
    assert (theirs, their_challenge) == (own, our_challenge), case


@pytest.mark.parametrize("bearer", [None, "x", "x.y.z", "e30.e30.e30"])
def test_same_challenge_without_a_token(bearer: str | None, registry: str, ours: TokenAuthenticator) -> None:
    theirs, own, their_challenge, our_challenge = both(registry, ours, bearer, "/v2/group/image/tags/list", PULL)
    assert not theirs
    assert not own
    assert their_challenge == our_challenge


def test_key_that_neither_trusts(registry: str, ours: TokenAuthenticator) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    theirs, own, their_challenge, our_challenge = both(registry, ours, token(stranger), "/v2/")
    assert not theirs
    assert not own
    assert their_challenge == our_challenge
