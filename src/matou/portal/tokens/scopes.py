"""The scopes that GitLab knows, by kind of token.

Those that Matou has nothing for (repositories of code, runners) are taken, so that scripts written for GitLab go on
working; they let nobody do anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

API = "api"
READ_API = "read_api"
READ_USER = "read_user"
READ_REGISTRY = "read_registry"
WRITE_REGISTRY = "write_registry"
SUDO = "sudo"
ADMIN_MODE = "admin_mode"

_WITHOUT_EFFECT = (
    "read_repository", "write_repository", "read_virtual_registry", "write_virtual_registry", "create_runner",
    "manage_runner", "ai_features", "k8s_proxy", "self_rotate",
)  # fmt: skip
ADMINISTRATORS_SCOPES = frozenset({SUDO, ADMIN_MODE, "read_service_ping"})
RESOURCE_SCOPES = frozenset({API, READ_API, READ_REGISTRY, WRITE_REGISTRY, *_WITHOUT_EFFECT})
PERSONAL_SCOPES = RESOURCE_SCOPES | {READ_USER} | ADMINISTRATORS_SCOPES
DEPLOY_SCOPES = frozenset({
    READ_REGISTRY, WRITE_REGISTRY, "read_repository", "read_virtual_registry", "write_virtual_registry",
    "read_package_registry", "write_package_registry",
})  # fmt: skip
OAUTH_SCOPES = frozenset({
    API, READ_API, READ_USER, READ_REGISTRY, WRITE_REGISTRY, "read_repository", "write_repository", "openid", "profile",
    "email", SUDO, ADMIN_MODE,
})  # fmt: skip
DEFAULT_OAUTH_SCOPES = (API,)


def check_scopes(scopes: Iterable[str], known: Collection[str], *, is_admin: bool) -> list[str]:
    """Return the scopes of a new token, each once, in their order.

    Args:
        scopes: that are asked for.
        known: those that this kind of token may have.
        is_admin: whether the token's user may have the administrators' scopes.

    Raises:
        ValidationError: there are none, or some that are not known; field ``scopes``.
    """
    wanted = list(dict.fromkeys(scopes))
    if not wanted:
        raise ValidationError({"scopes": ["can't be blank"]})
    unknown = [scope for scope in wanted if scope not in known]
    if unknown:
        raise ValidationError(
            {"scopes": [f"can only contain available scopes: not {', '.join(unknown)}; of {', '.join(sorted(known))}"]}
        )
    if not is_admin and not ADMINISTRATORS_SCOPES.isdisjoint(wanted):
        raise ValidationError({"scopes": [f"{', '.join(sorted(ADMINISTRATORS_SCOPES))} are for administrators only"]})
    return wanted
