"""Changes to groups, projects and members, with GitLab's rules.

Every change is one transaction. What it refuses, it refuses with Django's ValidationError, by field and in GitLab's
words. Whether the caller may ask for it, is for the caller's callers to check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from matou.portal.images import orphans
from matou.portal.namespaces.members import (
    LastOwnerError,
    MemberExistsError,
    add_member,
    all_members,
    direct_members,
    remove_member,
    update_member,
)
from matou.portal.namespaces.models import (
    AccessLevel,
    Member,
    Namespace,
    Project,
    RegistryAccess,
    Route,
    Visibility,
)
from matou.portal.namespaces.paths import (
    DEEPEST_GROUP,
    path_from_name,
    problem_of_group_name,
    problem_of_project_name,
)
from matou.portal.namespaces.rules import (
    Problems,
    check_group_name_is_free,
    check_group_visibility,
    check_path,
    check_project_name_is_free,
    check_project_visibility,
    check_without_images,
    join,
)
from matou.portal.namespaces.tree import delete_bots, delete_namespace, enroll, move_namespace

if TYPE_CHECKING:
    from matou.portal.accounts.models import User

__all__ = [
    "LastOwnerError",
    "MemberExistsError",
    "add_member",
    "all_members",
    "create_group",
    "create_project",
    "create_user_namespace",
    "delete_group",
    "delete_project",
    "delete_user_namespace",
    "direct_members",
    "find_group_by_path",
    "find_project_by_path",
    "path_from_name",
    "remove_member",
    "rename_user_namespace",
    "update_group",
    "update_member",
    "update_project",
]


# Finding ---------------------------------------------------------------------------------------------------------


def find_group_by_path(full_path: str) -> Namespace | None:
    """Return the group of a full path, whatever its case, or None; user namespaces are no groups."""
    return Namespace.objects.filter(route__path=full_path.lower(), owner=None).first()


def find_project_by_path(full_path: str) -> Project | None:
    """Return the project of a full path, whatever its case, with its namespace, or None."""
    return Project.objects.select_related("namespace").filter(route__path=full_path.lower()).first()


# Namespaces of users ---------------------------------------------------------------------------------------------


@transaction.atomic
def create_user_namespace(user: User) -> Namespace:
    """Make the namespace of a user, whose path is the user name.

    Raises:
        ValidationError: the user name cannot be a path, or a group or another user has it.
    """
    problems = Problems()
    check_path(problems, "username", user.username, parent=None)
    problems.raise_if_any()
    namespace = Namespace.objects.create(
        owner=user,
        name=user.name,
        path=user.username,
        full_path=user.username,
        visibility=Visibility.PUBLIC,
    )
    enroll(namespace)
    return namespace


@transaction.atomic
def rename_user_namespace(user: User) -> Namespace:
    """Give a user's namespace the user's present user name and name.

    Raises:
        ValidationError: as for create_user_namespace; or its projects have images, whose names would change.
    """
    namespace = user.namespace
    if namespace.path != user.username:
        problems = Problems()
        check_path(problems, "username", user.username, parent=None, namespace=namespace)
        problems.raise_if_any()
        move_namespace(namespace, user.username, field="username")
    namespace.name = user.name
    namespace.save()
    return namespace


@transaction.atomic
def delete_user_namespace(user: User) -> None:
    """Delete a user's namespace with its projects."""
    delete_namespace(user.namespace)


# Groups ----------------------------------------------------------------------------------------------------------


@transaction.atomic
def create_group(
    *,
    creator: User,
    name: str,
    path: str,
    parent: Namespace | None = None,
    description: str = "",
    visibility: str | None = None,
) -> Namespace:
    """Make a group whose owner is its creator.

    Args:
        creator: becomes an owner, unless an owner already by a group above.
        name: to show.
        path: its own, without those of the groups above.
        parent: the group to make it in.
        description: free text.
        visibility: ``private`` unless given; not more open than the parent's.

    Raises:
        ValidationError: the name or path is none or is taken, or the visibility is not allowed there.
    """
    problems = Problems()
    visibility = Visibility(visibility or Visibility.PRIVATE)
    if parent is not None:
        parent = Namespace.objects.get(pk=parent.pk)
        if parent.owner_id is not None:
            problems.add("parent_id", "user namespace cannot be the parent of another namespace")
        if len(parent.lineage_ids) > DEEPEST_GROUP:
            problems.add("parent_id", "has too deep level of nesting")
    problems.add("name", problem_of_group_name(name))
    check_path(problems, "path", path, parent)
    check_group_name_is_free(problems, name, parent)
    check_group_visibility(problems, visibility, parent)
    problems.raise_if_any()
    group = Namespace.objects.create(
        parent=parent,
        name=name,
        path=path,
        full_path=join(parent, path),
        description=description,
        visibility=visibility,
    )
    enroll(group)
    above = Member.objects.filter(user=creator, group__in=group.lineage_ids, access_level=AccessLevel.OWNER)
    if not above.filter(expires_at=None).exists():
        Member.objects.create(user=creator, group=group, access_level=AccessLevel.OWNER, created_by=creator)
    return group


@transaction.atomic
def update_group(
    group: Namespace,
    *,
    name: str | None = None,
    path: str | None = None,
    description: str | None = None,
    visibility: str | None = None,
) -> Namespace:
    """Change what is given of a group; another path moves everything below it.

    Returns:
        The group as it is now.

    Raises:
        ValidationError: as for create_group; or a group or project below is more open than ``visibility``; or the
            path would change the names of images.
    """
    group = Namespace.objects.select_related("parent").get(pk=group.pk)
    problems = Problems()
    if name is not None and name != group.name:
        problems.add("name", problem_of_group_name(name))
        check_group_name_is_free(problems, name, group.parent)
        group.name = name
    if description is not None:
        group.description = description
    if visibility is not None and visibility != group.visibility:
        check_group_visibility(problems, Visibility(visibility), group.parent, group)
        group.visibility = visibility
    moves = path is not None and path != group.path
    if path is not None and moves:
        check_path(problems, "path", path, group.parent, namespace=group)
    problems.raise_if_any()
    if path is not None and moves:
        move_namespace(group, path, field="path")
    group.save()
    return group


@transaction.atomic
def delete_group(group: Namespace) -> None:
    """Delete a group with all groups and projects below it."""
    delete_namespace(group)


# Projects --------------------------------------------------------------------------------------------------------


@transaction.atomic
def create_project(
    *,
    creator: User,
    namespace: Namespace,
    name: str,
    path: str,
    description: str = "",
    visibility: str | None = None,
    container_registry_access_level: str | None = None,
) -> Project:
    """Make a project.

    Args:
        creator: who asks for it. In a group, creators who are no owners of the group become the project's owners.
        namespace: a group, or the namespace of a user, who becomes the owner.
        name: to show.
        path: its own, without the namespace's; see path_from_name.
        description: free text.
        visibility: ``private`` unless given; not more open than the group's.
        container_registry_access_level: ``enabled`` unless given.

    Raises:
        ValidationError: the name or path is none or is taken, also by images of a deleted project unless an
            administrator asks; or the visibility is not allowed there.
    """
    namespace = Namespace.objects.get(pk=namespace.pk)
    visibility = Visibility(visibility or Visibility.PRIVATE)
    problems = Problems()
    problems.add("name", problem_of_project_name(name))
    check_path(problems, "path", path, namespace)
    check_project_name_is_free(problems, name, namespace)
    check_project_visibility(problems, visibility, namespace)
    if not creator.is_admin:
        problems.add("path", orphans.problem_of_full_path(join(namespace, path)))
    problems.raise_if_any()
    project = Project.objects.create(
        namespace=namespace,
        creator=creator,
        name=name,
        path=path,
        full_path=join(namespace, path),
        description=description,
        visibility=visibility,
        container_registry_access_level=RegistryAccess(container_registry_access_level or RegistryAccess.ENABLED),
    )
    Route.objects.create(path=project.full_path.lower(), project=project)
    orphans.adopt(project)
    owner = creator if namespace.owner_id is None else namespace.owner
    above = Member.objects.filter(user=owner, group__in=namespace.lineage_ids, access_level=AccessLevel.OWNER)
    if owner is not None and not above.filter(expires_at=None).exists():
        Member.objects.create(user=owner, project=project, access_level=AccessLevel.OWNER, created_by=creator)
    return project


@transaction.atomic
def update_project(
    project: Project,
    *,
    name: str | None = None,
    path: str | None = None,
    description: str | None = None,
    visibility: str | None = None,
    container_registry_access_level: str | None = None,
    archived: bool | None = None,
) -> Project:
    """Change what is given of a project.

    Returns:
        The project as it is now.

    Raises:
        ValidationError: as for create_project; or the path would change the names of images.
    """
    project = Project.objects.select_related("namespace").get(pk=project.pk)
    problems = Problems()
    if name is not None and name != project.name:
        problems.add("name", problem_of_project_name(name))
        check_project_name_is_free(problems, name, project.namespace)
        project.name = name
    if description is not None:
        project.description = description
    if visibility is not None and visibility != project.visibility:
        check_project_visibility(problems, Visibility(visibility), project.namespace)
        project.visibility = visibility
    if container_registry_access_level is not None:
        project.container_registry_access_level = RegistryAccess(container_registry_access_level)
    if archived is not None:
        project.archived = archived
    if path is not None and path != project.path:
        check_path(problems, "path", path, project.namespace, project=project)
        check_without_images(problems, "path", Project.objects.filter(pk=project.pk))
        problems.add("path", orphans.problem_of_full_path(join(project.namespace, path)))
        project.path = path
        project.full_path = join(project.namespace, path)
    problems.raise_if_any()
    project.updated_at = timezone.now()
    project.save()
    Route.objects.filter(project=project).update(path=project.full_path.lower())
    return project


@transaction.atomic
def delete_project(project: Project) -> None:
    """Delete a project with its members, tokens and their bots. Its images stay in the registry, out of reach."""
    itself = Project.objects.filter(pk=project.pk)
    delete_bots(itself, Namespace.objects.none())
    orphans.leave_behind(itself)
    project.delete()
