"""``auth``: at most one provider."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from matou.config.containers import ListOf
from matou.config.kinds import Boolean, Text
from matou.config.schema import Settings, optional, setting

if TYPE_CHECKING:
    from matou.config.kinds import Place
    from matou.config.yaml_lines import Mapping


@dataclass(frozen=True, slots=True)
class TokenAuth(Settings):
    """``auth.token``."""

    realm: str = setting(Text(), "", "URL of the token service, as clients reach it", required=True)
    service: str = setting(Text(), "", "name of this registry: the token's audience", required=True)
    issuer: str = setting(Text(), "", "must be the token's issuer", required=True)
    rootcertbundle: str | None = setting(Text(), None, "PEM file with the certificates whose keys are trusted")
    jwks: str | None = setting(Text(), None, "JSON file with further trusted keys (RFC 7517)")
    autoredirect: bool = setting(
        Boolean(), default=False, doc="`true`: send clients to `autoredirectpath` on the host that they used"
    )
    autoredirectpath: str | None = setting(Text(), None, "of the token service; `/auth/token` unless given")
    signingalgorithms: tuple[str, ...] = setting(
        ListOf(Text()), (), "algorithms of signatures that are accepted; all safe ones unless given"
    )

    def verify(self, node: Mapping, place: Place) -> TokenAuth:
        """Check that there are keys, and that the path is one."""
        if not self.rootcertbundle and not self.jwks:
            place.error(node.origin, "trusts no key; expected rootcertbundle, jwks or both")
        if self.autoredirectpath and not self.autoredirectpath.startswith("/"):
            found = node.entries["autoredirectpath"]
            place.child("autoredirectpath").error(
                found.origin, f"is {self.autoredirectpath!r}; expected a path that begins with /"
            )
        return self


@dataclass(frozen=True, slots=True)
class HtpasswdAuth(Settings):
    """``auth.htpasswd``."""

    realm: str = setting(Text(), "", "shown by clients when they ask for the password", required=True)
    path: str = setting(Text(), "", "password file; bcrypt entries only", required=True)


@dataclass(frozen=True, slots=True)
class SillyAuth(Settings):
    """``auth.silly``."""

    realm: str = setting(Text(), "", "as in `token`", required=True)
    service: str = setting(Text(), "", "as in `token`", required=True)


@dataclass(frozen=True, slots=True)
class NoneAuth(Settings):
    """``auth.none``, which takes no parameters."""


@dataclass(frozen=True, slots=True)
class Auth(Settings):
    """``auth``; ``Configuration.auth`` is None without it."""

    token: TokenAuth | None = optional(TokenAuth, "tokens of a token service, such as the portal")
    htpasswd: HtpasswdAuth | None = optional(HtpasswdAuth, "a password file")
    silly: SillyAuth | None = optional(SillyAuth, "for tests: whoever sends an Authorization header gets in")
    none: NoneAuth | None = optional(NoneAuth, "everybody gets in, as without `auth`")

    def verify(self, node: Mapping, place: Place) -> Auth:
        """Check that it is one provider that exists."""
        known = [field.name for field in fields(self)]
        given = list(node.entries)
        if len(given) > 1:
            place.error(node.origin, f"must provide exactly one type; found {', '.join(given)}; keep one of them")
        elif not given:
            place.error(node.origin, f"is empty; expected one of {', '.join(known)}, or no auth at all")
        elif given[0] not in known:
            # Never a warning: ignoring it would let everybody in.
            place.error(node.origin, f"names {given[0]!r}, which does not exist; expected one of {', '.join(known)}")
        return self
