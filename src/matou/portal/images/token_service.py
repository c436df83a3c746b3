"""What a caller gets of what it asks for.

Source: GitLab ``Auth::ContainerRegistryAuthenticationService``.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from matou.jwt.scope import MAX_SCOPES, Scope, ScopeError, parse_scope
from matou.portal.images.policy import granted_actions
from matou.portal.images.registry_tokens import Grant
from matou.portal.images.repositories import ensure_repository, find_project
from matou.portal.tokens.callers import Ability

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matou.portal.tokens.callers import Caller

log = logging.getLogger(__name__)


class AccessForbiddenError(Exception):
    """The caller gets no token at all."""


class TooManyScopesError(Exception):
    """More scopes were asked for than one request may."""


def authorize(caller: Caller, scopes: Iterable[str]) -> list[Grant]:
    """Return what a caller gets; repositories that it may push to are noted.

    Args:
        caller: whoever asks.
        scopes: values of the ``scope`` parameters; each may hold several with white space between.

    Returns:
        One grant for each resource on which anything is granted.

    Raises:
        AccessForbiddenError: the credentials are not for registries, or an anonymous caller gets nothing.
        TooManyScopesError: see ``MAX_SCOPES``.
    """
    if not caller.abilities:
        log.warning("Denied container registry permissions: the credentials of %s have no scope for registries", caller)
        raise AccessForbiddenError
    wanted = _wanted(scopes)
    grants = []
    for scope in wanted:
        grant = _grant(caller, scope)
        denied = [action for action in scope.actions if grant is None or action not in grant.actions]
        if denied:
            log.warning("Denied container registry permissions: %s to %s for %s", ",".join(denied), scope.name, caller)
        if grant is not None:
            grants.append(grant)
            if grant.project is not None and "push" in grant.actions:
                ensure_repository(grant.project, scope.name[len(grant.project.full_path) :].lstrip("/"))
    if not grants and caller.user is None and caller.deploy_token is None:
        raise AccessForbiddenError
    return grants


def _wanted(values: Iterable[str]) -> list[Scope]:
    """Return the scopes, those on the same resource joined; malformed ones are as good as not asked for."""
    joined: dict[tuple[str, str], Scope] = {}
    count = 0
    for text in (text for value in values for text in value.split()):
        count += 1
        if count > MAX_SCOPES:
            raise TooManyScopesError
        try:
            scope = parse_scope(text)
        except ScopeError as error:
            log.info("ignoring a scope: %s", error)
            continue
        if scope.resource_class:
            continue
        scope = scope._replace(name=scope.name.lower())
        earlier = joined.get((scope.type, scope.name))
        if earlier is not None:
            scope = scope._replace(actions=tuple(dict.fromkeys(earlier.actions + scope.actions)))
        joined[scope.type, scope.name] = scope
    return list(joined.values())


def _grant(caller: Caller, scope: Scope) -> Grant | None:
    if scope.type == "registry":
        return _grant_catalog(caller, scope)
    if scope.type != "repository":
        return None
    found = find_project(scope.name)
    if found is None:
        return None
    actions = granted_actions(caller, found[0], scope.actions)
    return Grant("repository", scope.name, actions, found[0]) if actions else None


def _grant_catalog(caller: Caller, scope: Scope) -> Grant | None:
    """The list of all repositories is for administrators, whose credentials are not limited, and read as a whole."""
    is_admin = caller.user is not None and caller.user.is_admin and caller.job is None
    if scope.name == "catalog" and scope.actions == ("*",) and is_admin and Ability.ADMIN in caller.abilities:
        return Grant("registry", "catalog", ["*"])
    return None
