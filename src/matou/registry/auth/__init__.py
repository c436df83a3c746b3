"""Who may do what: the authenticators of the registry."""

from __future__ import annotations

from matou.registry.auth.base import Access, Authenticator, Identity, Origin, Unauthorized
from matou.registry.auth.build import AuthenticatorSetupError, build_authenticator

__all__ = [
    "Access",
    "Authenticator",
    "AuthenticatorSetupError",
    "Identity",
    "Origin",
    "Unauthorized",
    "build_authenticator",
]
