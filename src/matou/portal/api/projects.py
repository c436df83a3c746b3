"""Projects: ``/projects``, and the lists of projects elsewhere."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from ninja import Router
from pydantic import Field

from matou.portal.accounts.models import User
from matou.portal.api import entities, present
from matou.portal.api.access import (
    MAINTAINER,
    OWNER,
    find_project,
    find_user,
    namespace_for_projects,
    project_role,
    projects_with_role,
    readable_projects,
    require,
    require_admin,
)
from matou.portal.api.arguments import Arguments, FromBody, FromQuery, Id, RoleLevel
from matou.portal.api.authentication import JobReadOrAnonymous, ReadOrAnonymous, Write, caller_of
from matou.portal.api.errors import invalid
from matou.portal.api.pagination import KeysetArguments, paginate_by_key
from matou.portal.namespaces import services
from matou.portal.namespaces.models import Project

router = Router(tags=["Projects"], exclude_unset=True, by_alias=True)

Visibility = Literal["private", "internal", "public"]
RegistryAccess = Literal["disabled", "private", "enabled"]
PROJECT_ORDERS = {
    "id": "pk",
    "name": "name",
    "path": "path",
    "created_at": "created_at",
    "updated_at": "updated_at",
    "last_activity_at": "updated_at",
}


class ListProjects(KeysetArguments):
    """Which projects to list, and how."""

    search: Annotated[str | None, Field(description="Part of the name, path or description.", max_length=255)] = None
    search_namespaces: Annotated[bool | None, Field(description="Search in full paths too.")] = None
    owned: Annotated[bool | None, Field(description="Only those that the caller owns.")] = None
    membership: Annotated[bool | None, Field(description="Only those that the caller is a member of.")] = None
    visibility: Annotated[Visibility | None, Field(description="Only those of this visibility.")] = None
    archived: Annotated[bool | None, Field(description="Only archived ones, or only others.")] = None
    simple: Annotated[bool | None, Field(description="Short answers.")] = None
    min_access_level: Annotated[RoleLevel | None, Field(description="Only those where the caller has this role.")] = (
        None
    )
    order_by: Annotated[
        Literal["id", "name", "path", "created_at", "updated_at", "last_activity_at"] | None,
        Field(description="Order."),
    ] = None
    sort: Annotated[Literal["asc", "desc"] | None, Field(description="Direction; descending by default.")] = None


class _ProjectSettings(Arguments):
    description: Annotated[str | None, Field(description="What it is.", max_length=2000)] = None
    visibility: Annotated[Visibility | None, Field(description="Who may see it.")] = None
    container_registry_access_level: Annotated[
        RegistryAccess | None,
        Field(description="`enabled` for whoever sees the project, `private` for its members, or `disabled`."),
    ] = None
    container_registry_enabled: Annotated[
        bool | None, Field(description="Older form of `container_registry_access_level`.")
    ] = None


class CreateProject(_ProjectSettings):
    """A new project."""

    at_least_one: ClassVar[tuple[str, ...]] = ("name", "path")

    name: Annotated[
        str | None, Field(description="Name; made from `path` if absent.", min_length=1, max_length=255)
    ] = None
    path: Annotated[
        str | None, Field(description="Path; made from `name` if absent.", min_length=1, max_length=255)
    ] = None
    namespace_id: Annotated[Id | None, Field(description="Group or user namespace; the caller's own by default.")] = (
        None
    )


class UpdateProject(_ProjectSettings):
    """What to change of a project."""

    at_least_one: ClassVar[tuple[str, ...]] = (
        "name",
        "path",
        "description",
        "visibility",
        "container_registry_access_level",
        "container_registry_enabled",
    )

    name: Annotated[str | None, Field(description="Name.", min_length=1, max_length=255)] = None
    path: Annotated[str | None, Field(description="Path.", min_length=1, max_length=255)] = None


class GetProject(Arguments):
    """How much of a project to tell."""

    simple: Annotated[bool | None, Field(description="A short answer.")] = None


def list_projects_among(
    request: HttpRequest, response: HttpResponse, projects: QuerySet[Project], arguments: ListProjects
) -> list[entities.Project] | list[entities.ProjectBasic]:
    """One page of ``projects`` after the filters of ``arguments``; sets the page's headers on ``response``."""
    caller = caller_of(request)
    if arguments.search:
        found = Q(name__icontains=arguments.search) | Q(path__icontains=arguments.search)
        found |= Q(description__icontains=arguments.search)
        if arguments.search_namespaces:
            found |= Q(full_path__icontains=arguments.search)
        projects = projects.filter(found)
    if arguments.visibility:
        projects = projects.filter(visibility=arguments.visibility)
    if arguments.archived is not None:
        projects = projects.filter(archived=arguments.archived)
    least = OWNER if arguments.owned else arguments.min_access_level or (1 if arguments.membership else 0)
    if least:
        projects = projects.filter(pk__in=projects_with_role(caller, least).values("pk"))
    order_by = arguments.order_by or ("id" if arguments.pagination == "keyset" else "created_at")
    descending = arguments.sort != "asc"
    direction = "-" if descending else ""
    column = PROJECT_ORDERS[order_by]
    projects = projects.order_by(f"{direction}{column}", f"{direction}pk")
    page = paginate_by_key(request, response, projects, arguments, order_by=order_by, descending=descending)
    if arguments.simple or caller.user is None:
        return present.projects_basic(page)
    return present.projects(page, caller)


@router.get(
    "/projects",
    auth=ReadOrAnonymous(),
    response=list[entities.Project] | list[entities.ProjectBasic],
    summary="List projects",
)
def list_projects(
    request: HttpRequest, response: HttpResponse, arguments: FromQuery[ListProjects]
) -> list[entities.Project] | list[entities.ProjectBasic]:
    """Lists the projects that the caller may see."""
    return list_projects_among(request, response, readable_projects(caller_of(request)), arguments)


@router.get(
    "/users/{ref:user_reference}/projects",
    auth=ReadOrAnonymous(),
    response=list[entities.Project] | list[entities.ProjectBasic],
    summary="List a user's projects",
)
def list_user_projects(
    request: HttpRequest, response: HttpResponse, user_reference: str, arguments: FromQuery[ListProjects]
) -> list[entities.Project] | list[entities.ProjectBasic]:
    """Lists the projects in a user's own namespace; the id may be its number or the user name."""
    caller = caller_of(request)
    user = find_user(user_reference)
    return list_projects_among(request, response, readable_projects(caller).filter(namespace__owner=user), arguments)


def _registry_access(arguments: _ProjectSettings) -> str | None:
    """The registry's setting, from its newer or its older form; None when neither is given."""
    if arguments.container_registry_access_level is not None:
        return arguments.container_registry_access_level
    if arguments.container_registry_enabled is None:
        return None
    return "enabled" if arguments.container_registry_enabled else "disabled"


def _create(request: HttpRequest, arguments: CreateProject, owner: User) -> entities.Project:
    caller = caller_of(request)
    if arguments.namespace_id is not None:
        namespace = namespace_for_projects(caller, arguments.namespace_id)
    elif owner.is_bot:
        raise invalid(namespace="can't be blank: bots have no namespace of their own")
    else:
        namespace = owner.namespace
    name = arguments.name or arguments.path or ""
    project = services.create_project(
        creator=caller.signed_in,
        namespace=namespace,
        name=name,
        path=arguments.path or services.path_from_name(name),
        description=arguments.description or "",
        visibility=arguments.visibility,
        container_registry_access_level=_registry_access(arguments),
    )
    return present.project(project, caller)


@router.post("/projects", auth=Write(), response={201: entities.Project}, summary="Create a project")
def create_project(request: HttpRequest, arguments: FromBody[CreateProject]) -> entities.Project:
    """Creates a project in the caller's own namespace, or in a group where the caller is at least a developer."""
    return _create(request, arguments, caller_of(request).signed_in)


@router.post(
    "/projects/user/{id:user_id}", auth=Write(), response={201: entities.Project}, summary="Create a user's project"
)
def create_user_project(request: HttpRequest, user_id: int, arguments: FromBody[CreateProject]) -> entities.Project:
    """Creates a project in another user's namespace; for administrators."""
    require_admin(caller_of(request))
    return _create(request, arguments, find_user(str(user_id)))


@router.get(
    "/projects/{ref:project_id}",
    auth=JobReadOrAnonymous(),
    response=entities.Project | entities.ProjectBasic,
    summary="Get a project",
)
def get_project(
    request: HttpRequest, project_id: str, arguments: FromQuery[GetProject]
) -> entities.Project | entities.ProjectBasic:
    """Tells about one project; the id may be its number or its URL-encoded full path. A job may ask for its own."""
    caller = caller_of(request)
    project = find_project(caller, project_id)
    if arguments.simple or caller.user is None:
        return present.project_basic(project)
    return present.project(project, caller)


@router.put("/projects/{ref:project_id}", auth=Write(), response=entities.Project, summary="Change a project")
def update_project(request: HttpRequest, project_id: str, arguments: FromBody[UpdateProject]) -> entities.Project:
    """Changes a project; for its maintainers. Another visibility or path is for its owners."""
    caller = caller_of(request)
    project = find_project(caller, project_id)
    role = project_role(caller, project)
    require(role, MAINTAINER)
    changes: dict[str, Any] = {
        name: value
        for name, value in arguments.given().items()
        if value is not None and not name.startswith("container_registry_")
    }
    if any(changes.get(name, getattr(project, name)) != getattr(project, name) for name in ("visibility", "path")):
        require(role, OWNER)
    registry = _registry_access(arguments)
    if registry is not None:
        changes["container_registry_access_level"] = registry
    return present.project(services.update_project(project, **changes), caller)


@router.delete("/projects/{ref:project_id}", auth=Write(), response={202: entities.Message}, summary="Delete a project")
def delete_project(request: HttpRequest, project_id: str) -> entities.Message:
    """Deletes a project; for its owners."""
    caller = caller_of(request)
    project = find_project(caller, project_id)
    require(project_role(caller, project), OWNER)
    services.delete_project(project)
    return entities.Message(message="202 Accepted")


def _archive(request: HttpRequest, project_id: str, *, archived: bool) -> entities.Project:
    caller = caller_of(request)
    project = find_project(caller, project_id)
    require(project_role(caller, project), OWNER)
    return present.project(services.update_project(project, archived=archived), caller)


@router.post(
    "/projects/{ref:project_id}/archive", auth=Write(), response={201: entities.Project}, summary="Archive a project"
)
def archive_project(request: HttpRequest, project_id: str) -> entities.Project:
    """Archives a project: it can be pulled from, not pushed to; for its owners."""
    return _archive(request, project_id, archived=True)


@router.post(
    "/projects/{ref:project_id}/unarchive",
    auth=Write(),
    response={201: entities.Project},
    summary="Unarchive a project",
)
def unarchive_project(request: HttpRequest, project_id: str) -> entities.Project:
    """Takes a project out of the archive; for its owners."""
    return _archive(request, project_id, archived=False)
