from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from matou.config.distribution import Configuration
from matou.config.sections.auth import Auth, HtpasswdAuth, NoneAuth, SillyAuth, TokenAuth
from matou.jwt.keyfiles import ensure_key_pair
from matou.jwt.verification import ALGORITHMS
from matou.registry.auth import Access, AuthenticatorSetupError, Identity, Origin, Unauthorized, build_authenticator
from matou.registry.auth.build import accepted_algorithms
from matou.registry.auth.htpasswd import HtpasswdAuthenticator
from matou.registry.auth.none import NoneAuthenticator
from matou.registry.auth.silly import SillyAuthenticator
from matou.registry.auth.token import TokenAuthenticator

if TYPE_CHECKING:
    from pathlib import Path

ORIGIN = Origin("https", "registry.example.com")
WANTED = (Access("repository", "a", "pull"), Access("repository", "a", "push"))


def token(**changes: Any) -> TokenAuth:
    return TokenAuth(realm="https://example.com/jwt/auth", service="s", issuer="i", **changes)


def configured(**provider: Any) -> Configuration:
    return Configuration(auth=Auth(**provider))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    ensure_key_pair(folder / "key", folder / "crt")
    return folder / "crt"


def test_no_auth_lets_everybody_in_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    authenticator = build_authenticator(Configuration())
    assert isinstance(authenticator, NoneAuthenticator)
    assert "no auth is configured" in caplog.text
    for header in (None, "", "Basic !", "Bearer x"):
        assert authenticator.authorize_now(header, WANTED, ORIGIN) == Identity("")
        assert asyncio.run(authenticator.authorize(header, WANTED, ORIGIN)) == Identity("")


def test_auth_none(caplog: pytest.LogCaptureFixture) -> None:
    assert isinstance(build_authenticator(configured(none=NoneAuth())), NoneAuthenticator)
    assert "auth.none" in caplog.text


def test_empty_auth_never_lets_everybody_in() -> None:
    with pytest.raises(AuthenticatorSetupError, match="none of token"):
        build_authenticator(configured())


def test_silly(caplog: pytest.LogCaptureFixture) -> None:
    authenticator = build_authenticator(configured(silly=SillyAuth("r", "s")))
    assert isinstance(authenticator, SillyAuthenticator)
    assert "for tests only" in caplog.text
    assert authenticator.authorize_now("x", WANTED, ORIGIN) == Identity("silly")
    for header in (None, ""):
        with pytest.raises(Unauthorized) as caught:
            asyncio.run(authenticator.authorize(header, WANTED, ORIGIN))
        assert caught.value.challenge == 'Bearer realm="r",service="s",scope="repository:a:pull,push"'


def test_htpasswd(tmp_path: Path) -> None:
    path = tmp_path / "new" / "htpasswd"
    assert isinstance(build_authenticator(configured(htpasswd=HtpasswdAuth("r", str(path)))), HtpasswdAuthenticator)
    assert path.exists()
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(AuthenticatorSetupError, match=r"auth\.htpasswd\.path"):
        build_authenticator(configured(htpasswd=HtpasswdAuth("r", str(blocked / "htpasswd"))))


def test_token(certificate: Path) -> None:
    authenticator = build_authenticator(configured(token=token(rootcertbundle=str(certificate))))
    assert isinstance(authenticator, TokenAuthenticator)
    with pytest.raises(Unauthorized) as caught:
        authenticator.authorize_now(None, WANTED, ORIGIN)
    assert caught.value.challenge.startswith('Bearer realm="https://example.com/jwt/auth",service="s",scope=')


@pytest.mark.parametrize(("path", "realm"), [(None, "/auth/token"), ("", "/auth/token"), ("/jwt/auth", "/jwt/auth")])
def test_autoredirect(path: str | None, realm: str, certificate: Path) -> None:
    options = token(rootcertbundle=str(certificate), autoredirect=True, autoredirectpath=path)
    with pytest.raises(Unauthorized) as caught:
        build_authenticator(configured(token=options)).authorize_now(None, (), ORIGIN)
    assert caught.value.challenge == f'Bearer realm="https://registry.example.com{realm}",service="s"'


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (token(), "at least one token signing key"),
        (token(rootcertbundle="/nonexistent/crt"), "/nonexistent/crt: No such file"),
        (token(jwks="/nonexistent/jwks"), "/nonexistent/jwks: No such file"),
        (token(autoredirect=True, autoredirectpath="auth"), "'auth' does not begin with /"),
        (token(signingalgorithms=("RS257",)), "unsupported signing algorithm: RS257"),
        (token(signingalgorithms=("none",)), "unsupported signing algorithm: none"),
        (token(signingalgorithms=("HS256",)), "only symmetric algorithms"),
    ],
)
def test_what_cannot_be_set_up_is_explained(options: TokenAuth, reason: str) -> None:
    with pytest.raises(AuthenticatorSetupError) as caught:
        build_authenticator(configured(token=options))
    assert str(caught.value).startswith("auth.token")
    assert reason in str(caught.value)


def test_algorithms(caplog: pytest.LogCaptureFixture) -> None:
    assert accepted_algorithms(()) == ALGORITHMS
    assert accepted_algorithms(["RS256"]) == {"RS256"}
    assert accepted_algorithms(["EdDSA"]) == {"EdDSA", "Ed25519"}
    assert not caplog.records
    assert accepted_algorithms(["HS256", "ES256"]) == {"ES256"}
    assert "ignored" in caplog.text
