"""What the caller may see and do: the one place where operations find things.

A thing that the caller may not see is not found; a thing that it may see but not change is forbidden.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from django.db.models import Q

from matou.portal.api.arguments import LARGEST_ID
from matou.portal.api.authentication import user_named
from matou.portal.api.errors import forbidden, invalid, not_found
from matou.portal.namespaces import roles
from matou.portal.namespaces.models import AccessLevel, Namespace, Project
from matou.portal.namespaces.paths import FULL_PATH_LENGTH

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from matou.portal.accounts.models import User
    from matou.portal.api.authentication import Caller

DEVELOPER = AccessLevel.DEVELOPER
MAINTAINER = AccessLevel.MAINTAINER
OWNER = AccessLevel.OWNER

Kind = Literal["project", "group"]
"""What has members and tokens."""


def readable_projects(caller: Caller) -> QuerySet[Project]:
    """The projects that the caller may see, with their namespaces; a job sees its own alone."""
    projects = roles.readable_projects(caller.user).select_related("namespace__owner")
    return projects.filter(pk=caller.job.project_id) if caller.job is not None else projects


def readable_groups(caller: Caller) -> QuerySet[Namespace]:
    """The groups that the caller may see; a job sees none."""
    return Namespace.objects.none() if caller.job is not None else roles.readable_groups(caller.user)


def projects_with_role(caller: Caller, least: int) -> QuerySet[Project]:
    """The projects in which the caller is a member, with a role from ``least`` up."""
    if caller.user is None or caller.job is not None:
        return Project.objects.none()
    return roles.projects_with_role(caller.user, least)


def groups_with_role(caller: Caller, least: int) -> QuerySet[Namespace]:
    """The groups in which the caller is a member, with a role from ``least`` up."""
    if caller.user is None or caller.job is not None:
        return Namespace.objects.none()
    return roles.groups_with_role(caller.user, least)


def readable_namespaces(caller: Caller) -> QuerySet[Namespace]:
    """The caller's own namespace and the groups where it is a member; all for administrators."""
    if caller.is_admin:
        return Namespace.objects.all()
    member = Q(pk__in=groups_with_role(caller, AccessLevel.GUEST).values("pk"))
    return Namespace.objects.filter(member | Q(owner=caller.signed_in))


def project_role(caller: Caller, project: Project) -> int:
    """The caller's role in a project; administrators count as owners."""
    return OWNER if caller.is_admin else roles.project_role(caller.user, project)


def namespace_role(caller: Caller, namespace: Namespace) -> int:
    """The caller's role in a group or user namespace; administrators count as owners."""
    return OWNER if caller.is_admin else roles.group_role(caller.user, namespace)


def role_in(caller: Caller, source: Project | Namespace) -> int:
    """The caller's role in a project or group."""
    return project_role(caller, source) if isinstance(source, Project) else namespace_role(caller, source)


def _matching(reference: str) -> Q:
    """The condition of what an id or full path names; of nothing when it is too long for either."""
    if len(reference) > FULL_PATH_LENGTH:
        return Q(pk=None)
    if reference.isascii() and reference.isdigit():
        return Q(pk=int(reference)) if len(reference) < len(str(LARGEST_ID)) else Q(pk=None)
    return Q(route__path=reference.lower())


def find_project(caller: Caller, reference: str) -> Project:
    """The project of an id or full path.

    Raises:
        ApiError: There is none, or none that the caller may see (404).
    """
    project = readable_projects(caller).filter(_matching(reference)).first()
    if project is None:
        raise not_found("Project")
    return project


def find_group(caller: Caller, reference: str) -> Namespace:
    """The group of an id or full path.

    Raises:
        ApiError: There is none, or none that the caller may see (404).
    """
    group = readable_groups(caller).filter(_matching(reference)).first()
    if group is None:
        raise not_found("Group")
    return group


def resource_of(caller: Caller, kind: Kind, reference: str) -> Project | Namespace:
    """The project or group of an id or full path; raises as find_project and find_group."""
    return find_project(caller, reference) if kind == "project" else find_group(caller, reference)


def find_namespace(caller: Caller, reference: str) -> Namespace:
    """The namespace of an id or full path.

    Raises:
        ApiError: There is none, or none that the caller may see (404).
    """
    namespace = readable_namespaces(caller).filter(_matching(reference)).first()
    if namespace is None:
        raise not_found("Namespace")
    return namespace


def namespace_for_projects(caller: Caller, namespace_id: int) -> Namespace:
    """The namespace that the caller wants to make a project in.

    Raises:
        ApiError: There is none in which the caller may (400); the answer does not tell whether there is one.
    """
    namespace = Namespace.objects.filter(pk=namespace_id).first()
    if namespace is None or namespace_role(caller, namespace) < DEVELOPER:
        raise invalid(namespace="is not valid")
    return namespace


def find_user(reference: str) -> User:
    """The user of an id or user name; everybody who is signed in may know of every user.

    Raises:
        ApiError: There is none (404).
    """
    user = user_named(reference)
    if user is None:
        raise not_found("User")
    return user


def require(role: int, least: int) -> None:
    """Refuse callers whose role is too low.

    Raises:
        ApiError: It is (403).
    """
    if role < least:
        raise forbidden()


def require_admin(caller: Caller) -> None:
    """Refuse everybody but administrators.

    Raises:
        ApiError: The caller is none (403).
    """
    if not caller.is_admin:
        raise forbidden()
