"""Who may do what with the images of a project.

Source: GitLab ``ProjectPolicy`` and ``Auth::ContainerRegistryAuthenticationService``; the visibility matrix is that of
GitLab's "Container registry visibility permissions".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from matou.portal.namespaces.models import AccessLevel, RegistryAccess, Visibility
from matou.portal.namespaces.roles import project_role
from matou.portal.tokens.callers import Ability

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matou.portal.accounts.models import User
    from matou.portal.namespaces.models import Project
    from matou.portal.tokens.callers import Caller

NOTHING: frozenset[Ability] = frozenset()
EVERYTHING = frozenset({Ability.READ, Ability.CREATE, Ability.ADMIN})
_PULL_ONLY = frozenset({Ability.READ})


def image_abilities(user: User | None, project: Project) -> frozenset[Ability]:
    """Return what a user, or an anonymous caller, may do with the images of a project."""
    if project.container_registry_access_level == RegistryAccess.DISABLED:
        return NOTHING
    if user is not None and not user.is_active:
        return NOTHING
    granted = _by_role(user, project)
    return granted & _PULL_ONLY if project.archived else granted


def _by_role(user: User | None, project: Project) -> frozenset[Ability]:
    if user is not None and user.is_admin:
        return EVERYTHING
    role = project_role(user, project)
    if role >= AccessLevel.MAINTAINER:
        return EVERYTHING
    if role >= AccessLevel.DEVELOPER:
        return frozenset({Ability.READ, Ability.CREATE})
    return _PULL_ONLY if role >= AccessLevel.REPORTER or _open_to(user, project) else NOTHING


def _open_to(user: User | None, project: Project) -> bool:
    """Tell whether a caller may pull without being a member."""
    if project.container_registry_access_level != RegistryAccess.ENABLED:
        return False
    return project.visibility == Visibility.PUBLIC or (project.visibility == Visibility.INTERNAL and user is not None)


def granted_actions(caller: Caller, project: Project, actions: Iterable[str]) -> list[str]:
    """Return those of the actions that a caller gets on the repositories of a project, in their order.

    Args:
        caller: with its credentials' abilities.
        project: that the repository belongs to.
        actions: ``pull``, ``push``, ``delete`` and ``*``; others are never granted.
    """
    if caller.job is not None:
        allowed = _job_actions(caller, project)
    else:
        allowed = _user_actions(caller, project) | _deploy_token_actions(caller, project)
    return [action for action in actions if action in allowed]


def _user_actions(caller: Caller, project: Project) -> frozenset[str]:
    """What a user may, and its credentials may; for a deploy token, what an anonymous caller may."""
    able = image_abilities(caller.user, project) & caller.abilities
    actions = {"pull"} if Ability.READ in able else set[str]()
    if Ability.CREATE in able:
        actions.add("push")
    if Ability.ADMIN in able:
        actions |= {"delete", "*"}
    return frozenset(actions)


def _job_actions(caller: Caller, project: Project) -> frozenset[str]:
    """What a job may: all in its own project where its user pushes, elsewhere pull what its user pulls."""
    able = image_abilities(caller.user, project)
    if caller.job is not None and caller.job.project_id == project.pk and Ability.CREATE in able:
        return frozenset({"pull", "push", "delete"})
    return frozenset({"pull"}) if Ability.READ in able else frozenset()


def _deploy_token_actions(caller: Caller, project: Project) -> frozenset[str]:
    token = caller.deploy_token
    if token is None or project.container_registry_access_level == RegistryAccess.DISABLED:
        return frozenset()
    if token.project_id != project.pk and token.group_id not in project.namespace.lineage_ids:
        return frozenset()
    actions = {"pull"} if Ability.READ in caller.abilities else set[str]()
    if Ability.CREATE in caller.abilities and not project.archived:
        actions.add("push")
    return frozenset(actions)
