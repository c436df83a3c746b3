"""From models to entities. Lists are presented with a fixed number of queries, however long they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.conf import settings

from matou.portal.api import entities
from matou.portal.namespaces.models import Member, Namespace, Project
from matou.portal.namespaces.roles import in_force
from matou.portal.tokens.callers import JOB_USERNAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matou.portal.accounts.models import User
    from matou.portal.api.authentication import Caller
    from matou.portal.tokens.models import AccessToken, DeployToken, JobToken


def _web_url(path: str) -> str:
    return f"{settings.INSTALLATION.portal_url}/{path}"


# Users -----------------------------------------------------------------------------------------------------------


def _user_basic(user: User) -> dict[str, Any]:
    return {
        "id": user.pk,
        "username": user.username,
        "name": user.name,
        "state": user.state,
        "web_url": _web_url(user.username),
    }


def user_basic(user: User) -> entities.UserBasic:
    """A user as anybody may see it."""
    return entities.UserBasic(**_user_basic(user))


def user(user: User, caller: Caller) -> entities.User:
    """A user; administrators and the user see more. ``user.namespace`` is looked up for these."""
    values = _user_basic(user) | {"created_at": user.created_at, "bot": user.is_bot}
    if caller.is_admin or (caller.user is not None and caller.user.pk == user.pk):
        own = None if user.is_bot else user.namespace
        values |= {
            "email": user.email,
            "commit_email": user.email,
            "is_admin": user.is_admin,
            "last_sign_in_at": user.last_login,
            "confirmed_at": user.created_at,
            "external": False,
            "can_create_group": user.can_create_group,
            "can_create_project": not user.is_bot,
            "two_factor_enabled": False,
            "namespace_id": None if own is None else own.pk,
        }
    return entities.User(**values)


def member(member: Member) -> entities.Member:
    """A membership, with ``user`` and ``created_by`` at hand."""
    return entities.Member(
        **_user_basic(member.user),
        access_level=member.access_level,
        created_at=member.created_at,
        created_by=None if member.created_by is None else user_basic(member.created_by),
        expires_at=member.expires_at,
    )


def membership(member: Member) -> entities.Membership:
    """A membership as its user has it, with ``project`` and ``group`` at hand."""
    return entities.Membership(
        source_id=member.source.pk,
        source_name=member.source.name,
        source_type="Namespace" if member.project is None else "Project",
        access_level=member.access_level,
    )


# Groups and projects ---------------------------------------------------------------------------------------------


def namespace(namespace: Namespace) -> entities.Namespace:
    """A group or user namespace."""
    prefix = "groups/" if namespace.owner_id is None else ""
    return entities.Namespace(
        id=namespace.pk,
        name=namespace.name,
        path=namespace.path,
        kind=namespace.kind,
        full_path=namespace.full_path,
        parent_id=namespace.parent_id,
        web_url=_web_url(prefix + namespace.full_path),
    )


def _names_above(namespaces: Iterable[Namespace]) -> dict[int, str]:
    """The names of namespaces and of all that are above them, by id: one query."""
    wanted = {pk for namespace in namespaces for pk in namespace.lineage_ids}
    return dict(Namespace.objects.filter(pk__in=wanted).values_list("pk", "name")) if wanted else {}


def _full_name(namespace: Namespace, names: dict[int, str]) -> str:
    return " / ".join(names[pk] for pk in namespace.lineage_ids if pk in names)


def _group(group: Namespace, names: dict[int, str]) -> dict[str, Any]:
    return {
        "id": group.pk,
        "web_url": _web_url(f"groups/{group.full_path}"),
        "name": group.name,
        "path": group.path,
        "description": group.description,
        "visibility": group.visibility,
        "full_name": _full_name(group, names),
        "full_path": group.full_path,
        "created_at": group.created_at,
        "parent_id": group.parent_id,
    }


def groups(groups: Sequence[Namespace]) -> list[entities.Group]:
    """Groups."""
    names = _names_above(groups)
    return [entities.Group(**_group(group, names)) for group in groups]


def group_detail(group: Namespace, projects: list[entities.Project]) -> entities.GroupDetail:
    """One group with projects that are presented already."""
    return entities.GroupDetail(**_group(group, _names_above([group])), projects=tuple(projects))


def _project_basic(project: Project, names: dict[int, str]) -> dict[str, Any]:
    return {
        "id": project.pk,
        "description": project.description,
        "name": project.name,
        "name_with_namespace": f"{_full_name(project.namespace, names)} / {project.name}",
        "path": project.path,
        "path_with_namespace": project.full_path,
        "created_at": project.created_at,
        "web_url": _web_url(project.full_path),
        "last_activity_at": project.updated_at,
        "visibility": project.visibility,
        "namespace": namespace(project.namespace),
    }


def projects_basic(projects: Sequence[Project]) -> list[entities.ProjectBasic]:
    """Projects, with their namespaces at hand, as anybody may see them."""
    names = _names_above(project.namespace for project in projects)
    return [entities.ProjectBasic(**_project_basic(project, names)) for project in projects]


def project_basic(project: Project) -> entities.ProjectBasic:
    """One project as anybody may see it."""
    return projects_basic([project])[0]


def _access(level: int) -> entities.Access | None:
    return entities.Access(access_level=level) if level else None


class _Memberships:
    """The caller's own memberships that count for some projects: one query."""

    def __init__(self, caller: Caller, projects: Sequence[Project]) -> None:
        self._in_projects: dict[int, int] = {}
        self._in_groups: dict[int, int] = {}
        if caller.user is None:
            return
        members = Member.objects.filter(in_force(), user=caller.user)
        groups = {pk for project in projects for pk in project.namespace.lineage_ids}
        direct = members.filter(project__in=[project.pk for project in projects])
        for member in direct | members.filter(group__in=groups):
            if member.project_id is not None:
                self._in_projects[member.project_id] = member.access_level
            elif member.group_id is not None:
                self._in_groups[member.group_id] = member.access_level

    def of(self, project: Project) -> entities.Permissions:
        """What the caller is in a project and in its groups."""
        return entities.Permissions(
            project_access=_access(self._in_projects.get(project.pk, 0)),
            group_access=_access(max((self._in_groups.get(pk, 0) for pk in project.namespace.lineage_ids), default=0)),
        )


def projects(projects: Sequence[Project], caller: Caller) -> list[entities.Project]:
    """Projects, with their namespaces and these' owners at hand, as a user sees them."""
    names = _names_above(project.namespace for project in projects)
    memberships = _Memberships(caller, projects)
    return [_project(project, names, memberships) for project in projects]


def project(project: Project, caller: Caller) -> entities.Project:
    """One project as a user sees it."""
    return projects([project], caller)[0]


def _project(project: Project, names: dict[int, str], memberships: _Memberships) -> entities.Project:
    address = f"{settings.INSTALLATION.portal_url}/api/v4/projects/{project.pk}"
    values = _project_basic(project, names)
    owner = project.namespace.owner
    if owner is not None:
        values["owner"] = user_basic(owner)
    registry = urlsplit(settings.INSTALLATION.registry_url).netloc
    return entities.Project(
        **values,
        container_registry_image_prefix=f"{registry}/{project.full_path.lower()}",
        links=entities.ProjectLinks(self=address, members=f"{address}/members"),
        archived=project.archived,
        updated_at=project.updated_at,
        container_registry_enabled=project.container_registry_access_level != "disabled",
        container_registry_access_level=project.container_registry_access_level,
        creator_id=project.creator_id,
        permissions=memberships.of(project),
    )


# Tokens ----------------------------------------------------------------------------------------------------------


def _access_token(token: AccessToken) -> dict[str, Any]:
    return {
        "id": token.pk,
        "name": token.name,
        "description": token.description or None,
        "revoked": token.revoked,
        "created_at": token.created_at,
        "scopes": token.scopes,
        "user_id": token.user_id,
        "last_used_at": token.last_used_at,
        "active": token.active,
        "expires_at": token.expires_at,
    }


def access_token(token: AccessToken) -> entities.AccessToken:
    """A personal access token."""
    return entities.AccessToken(**_access_token(token))


def access_token_with_secret(token: AccessToken, secret: str) -> entities.AccessTokenWithSecret:
    """A personal access token and its secret."""
    return entities.AccessTokenWithSecret(**_access_token(token), token=secret)


def _resource_token(token: AccessToken, level: int) -> dict[str, Any]:
    kind, owner = ("project", token.project_id) if token.group_id is None else ("group", token.group_id)
    return _access_token(token) | {"access_level": level, "resource_type": kind, "resource_id": owner}


def resource_tokens(tokens: Sequence[AccessToken], levels: dict[int, int]) -> list[entities.ResourceAccessToken]:
    """Access tokens of a project or group.

    Args:
        tokens: The tokens.
        levels: The roles of their bots there, by the bots' ids; a bot whose tokens are all revoked has none.
    """
    return [entities.ResourceAccessToken(**_resource_token(token, levels.get(token.user_id, 0))) for token in tokens]


def resource_token_with_secret(token: AccessToken, level: int, secret: str) -> entities.ResourceAccessTokenWithSecret:
    """An access token of a project or group and its secret."""
    return entities.ResourceAccessTokenWithSecret(**_resource_token(token, level), token=secret)


def _deploy_token(token: DeployToken) -> dict[str, Any]:
    return {
        "id": token.pk,
        "name": token.name,
        "username": token.username,
        "expires_at": token.expires_at,
        "scopes": token.scopes,
        "revoked": token.revoked,
        "expired": token.expired,
    }


def deploy_token(token: DeployToken) -> entities.DeployToken:
    """A deploy token."""
    return entities.DeployToken(**_deploy_token(token))


def deploy_token_with_secret(token: DeployToken, secret: str) -> entities.DeployTokenWithSecret:
    """A deploy token and its secret."""
    return entities.DeployTokenWithSecret(**_deploy_token(token), token=secret)


def _job_token(token: JobToken) -> dict[str, Any]:
    return {
        "id": token.pk,
        "username": JOB_USERNAME,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "revoked": token.revoked,
    }


def job_token(token: JobToken) -> entities.JobToken:
    """A job's token."""
    return entities.JobToken(**_job_token(token))


def job_token_with_secret(token: JobToken, secret: str) -> entities.JobTokenWithSecret:
    """A job's token and its secret."""
    return entities.JobTokenWithSecret(**_job_token(token), token=secret)
