"""From configuration to authenticator."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from matou.jwt.keyfiles import KeyFileError
from matou.jwt.verification import ALGORITHMS
from matou.registry.auth.htpasswd import HtpasswdAuthenticator
from matou.registry.auth.keysource import KeySource
from matou.registry.auth.none import NoneAuthenticator
from matou.registry.auth.passwordfile import PasswordFile, create_when_missing
from matou.registry.auth.silly import SillyAuthenticator
from matou.registry.auth.token import TokenAuthenticator, TokenSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matou.config.distribution import Configuration
    from matou.config.sections.auth import HtpasswdAuth, TokenAuth
    from matou.registry.auth.base import Authenticator

log = logging.getLogger("matou.registry")

DEFAULT_AUTOREDIRECT_PATH = "/auth/token"
SYMMETRIC_ALGORITHMS = frozenset({"HS256", "HS384", "HS512"})


class AuthenticatorSetupError(ValueError):
    """The ``auth`` section cannot be put into effect; the text names the key and what to do."""


def build_authenticator(configuration: Configuration) -> Authenticator:
    """Make the authenticator that the configuration asks for.

    Raises:
        AuthenticatorSetupError: a key or password file cannot be used, or a setting makes no sense.
    """
    auth = configuration.auth
    if auth is None:
        log.warning("no auth is configured: whoever reaches this registry can pull, push and delete")
        return NoneAuthenticator()
    if auth.token is not None:
        return _token(auth.token)
    if auth.htpasswd is not None:
        return _htpasswd(auth.htpasswd)
    if auth.silly is not None:
        log.warning("auth.silly is for tests only: any Authorization header is accepted")
        return SillyAuthenticator(auth.silly.realm, auth.silly.service)
    if auth.none is not None:
        log.warning("auth.none is configured: whoever reaches this registry can pull, push and delete")
        return NoneAuthenticator()
    # Never fall back to letting everybody in.
    raise AuthenticatorSetupError("auth: none of token, htpasswd, silly and none is given; give one or leave auth out")


def _token(options: TokenAuth) -> Authenticator:
    path = ""
    if options.autoredirect:
        path = options.autoredirectpath or DEFAULT_AUTOREDIRECT_PATH
        if not path.startswith("/"):
            raise AuthenticatorSetupError(f"auth.token.autoredirectpath: {path!r} does not begin with /")
    settings = TokenSettings(
        realm=options.realm,
        service=options.service,
        issuer=options.issuer,
        autoredirectpath=path,
        algorithms=accepted_algorithms(options.signingalgorithms),
    )
    try:
        keys = KeySource(_path(options.rootcertbundle), _path(options.jwks))
    except KeyFileError as error:
        raise AuthenticatorSetupError(f"auth.token: {error}") from error
    return TokenAuthenticator(settings, keys)


def accepted_algorithms(configured: Sequence[str]) -> frozenset[str]:
    """Return what ``auth.token.signingalgorithms`` allows; all that are safe when it is empty.

    Raises:
        AuthenticatorSetupError: one is unknown, or only symmetric ones are given.
    """
    if not configured:
        return ALGORITHMS
    accepted = set(configured) & ALGORITHMS
    unknown = sorted(set(configured) - ALGORITHMS - SYMMETRIC_ALGORITHMS)
    if unknown:
        raise AuthenticatorSetupError(
            f"auth.token.signingalgorithms: unsupported signing algorithm: {', '.join(unknown)}; "
            f"expected some of {', '.join(sorted(ALGORITHMS))}"
        )
    if not accepted:
        raise AuthenticatorSetupError(
            "auth.token.signingalgorithms: only symmetric algorithms are given, with which whoever can check a token "
            "could make one; name that of the token service's key, such as RS256"
        )
    if not SYMMETRIC_ALGORITHMS.isdisjoint(configured):
        log.warning("auth.token.signingalgorithms: HS256, HS384 and HS512 are ignored: keys here are public")
    if "EdDSA" in accepted:
        accepted.add("Ed25519")  # RFC 9864's name of the same
    return frozenset(accepted)


def _htpasswd(options: HtpasswdAuth) -> Authenticator:
    path = Path(options.path)
    try:
        create_when_missing(path)
    except OSError as error:
        raise AuthenticatorSetupError(f"auth.htpasswd.path: {path}: {error.strerror}") from error
    return HtpasswdAuthenticator(options.realm, PasswordFile(path))


def _path(value: str | None) -> Path | None:
    return Path(value) if value else None
