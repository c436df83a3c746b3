"""Registry tokens: GitLab's claims, signed with the installation's key.

Sources: Docker's token specification; GitLab ``Auth::ContainerRegistryAuthenticationService`` and
``JSONWebToken::RSAToken``.
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from django.apps import apps
from django.conf import settings
from django.utils import timezone

from matou.config.installation import REGISTRY_SERVICE, TOKEN_ISSUER
from matou.jwt.signing import sign

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matou.portal.images.apps import ImagesConfig
    from matou.portal.namespaces.models import Project
    from matou.portal.tokens.callers import Caller

BACKDATED = dt.timedelta(seconds=5)  # for clocks that differ a little
INTERNAL_LIFETIME = dt.timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Grant:
    """Actions granted on one resource.

    Attributes:
        type: ``repository`` or ``registry``.
        name: of the resource.
        actions: at least one.
        project: of a repository.
    """

    type: str
    name: str
    actions: Sequence[str]
    project: Project | None = None

    def claim(self) -> dict[str, Any]:
        """Return an entry of the claim ``access``."""
        entry: dict[str, Any] = {"type": self.type, "name": self.name, "actions": list(self.actions)}
        if self.project is not None:
            entry["meta"] = {
                "project_path": self.project.full_path.lower(),
                "project_id": self.project.pk,
                "root_namespace_id": self.project.namespace.lineage_ids[0],
            }
        return entry


def caller_token(caller: Caller, service: str, grants: Iterable[Grant]) -> dict[str, Any]:
    """Return what a caller is answered with: the token, and how long it lives.

    Args:
        caller: for whom it is.
        service: the registry for which it is.
        grants: all that it allows.
    """
    lifetime: dt.timedelta = settings.REGISTRY_TOKEN_LIFETIME
    now = timezone.now()
    claims: dict[str, Any] = {"auth_type": caller.auth_type, "access": [grant.claim() for grant in grants]}
    if caller.user is not None:
        claims["sub"] = caller.user.username
    user = _user_info(caller)
    if user is not None:
        claims["user"] = _sign(_times(now, lifetime) | {"user_info": user})
    token = _sign({"aud": service} | _times(now, lifetime) | claims)
    return {
        "token": token,
        "access_token": token,
        "expires_in": int(lifetime.total_seconds()),
        "issued_at": now.replace(microsecond=0).isoformat().replace("+00:00", "Z"),
    }


def internal_token(repositories: Mapping[str, Sequence[str]], *, catalog: bool = False) -> str:
    """Return a token with which the portal itself calls the registry; it lives for ten minutes.

    Args:
        repositories: actions by repository; a name that ends with ``/*`` stands for all below it.
        catalog: whether the list of all repositories may be read.
    """
    grants = [Grant("repository", name, actions) for name, actions in repositories.items()]
    if catalog:
        grants.append(Grant("registry", "catalog", ["*"]))
    claims = {"aud": REGISTRY_SERVICE, "access": [grant.claim() for grant in grants]}
    return _sign(claims | _times(timezone.now(), INTERNAL_LIFETIME))


def _times(now: dt.datetime, lifetime: dt.timedelta) -> dict[str, Any]:
    return {
        "jti": str(uuid.uuid4()),
        "iss": TOKEN_ISSUER,
        "iat": int(now.timestamp()),
        "nbf": int((now - BACKDATED).timestamp()),
        "exp": int((now + lifetime).timestamp()),
    }


def _user_info(caller: Caller) -> dict[str, Any] | None:
    if caller.user is not None:
        return {"token_type": caller.auth_type, "username": caller.user.username, "user_id": caller.user.pk}
    if caller.deploy_token is not None:
        token = caller.deploy_token
        return {"token_type": caller.auth_type, "username": token.username, "deploy_token_id": token.pk}
    return None


def _sign(claims: Mapping[str, Any]) -> str:
    images = cast("ImagesConfig", apps.get_app_config("images"))
    return sign(claims, images.signing_key.get())
