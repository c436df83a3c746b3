"""Groups: ``/groups``, with their subgroups and projects."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from ninja import Router
from pydantic import Field

from matou.portal.api import entities, present
from matou.portal.api.access import (
    MAINTAINER,
    OWNER,
    find_group,
    groups_with_role,
    namespace_role,
    readable_groups,
    readable_projects,
    require,
)
from matou.portal.api.arguments import Arguments, FromBody, FromQuery, Id, Ids, RoleLevel
from matou.portal.api.authentication import ReadOrAnonymous, Write, caller_of
from matou.portal.api.errors import failed_to_save, forbidden
from matou.portal.api.pagination import PageArguments, paginate
from matou.portal.api.projects import ListProjects, Visibility, list_projects_among
from matou.portal.namespaces import services
from matou.portal.namespaces.models import Namespace

router = Router(tags=["Groups"], exclude_unset=True, by_alias=True)

GROUP_ORDERS = {"name": "name", "path": "path", "id": "pk"}


class ListGroups(PageArguments):
    """Which groups to list, and how."""

    search: Annotated[str | None, Field(description="Part of the name or path.", max_length=255)] = None
    owned: Annotated[bool | None, Field(description="Only those that the caller owns.")] = None
    all_available: Annotated[
        bool | None, Field(description="All that the caller may see; false for memberships alone.")
    ] = None
    top_level_only: Annotated[bool | None, Field(description="Only groups without a parent.")] = None
    visibility: Annotated[Visibility | None, Field(description="Only those of this visibility.")] = None
    min_access_level: Annotated[RoleLevel | None, Field(description="Only those where the caller has this role.")] = (
        None
    )
    skip_groups: Annotated[Ids | None, Field(description="Without these.")] = None
    order_by: Annotated[Literal["name", "path", "id"] | None, Field(description="Order; `name` by default.")] = None
    sort: Annotated[Literal["asc", "desc"] | None, Field(description="Direction; ascending by default.")] = None


class CreateGroup(Arguments):
    """A new group."""

    name: Annotated[str, Field(description="Name.", min_length=1, max_length=255)]
    path: Annotated[str, Field(description="Path.", min_length=1, max_length=255)]
    description: Annotated[str | None, Field(description="What it is.", max_length=2000)] = None
    visibility: Annotated[Visibility | None, Field(description="Who may see it; its members by default.")] = None
    parent_id: Annotated[Id | None, Field(description="The group that it is in.")] = None


class UpdateGroup(Arguments):
    """What to change of a group."""

    at_least_one: ClassVar[tuple[str, ...]] = ("name", "path", "description", "visibility")

    name: Annotated[str | None, Field(description="Name.", min_length=1, max_length=255)] = None
    path: Annotated[str | None, Field(description="Path.", min_length=1, max_length=255)] = None
    description: Annotated[str | None, Field(description="What it is.", max_length=2000)] = None
    visibility: Annotated[Visibility | None, Field(description="Who may see it.")] = None


class GetGroup(Arguments):
    """How much of a group to tell."""

    with_projects: Annotated[bool | None, Field(description="With its projects (at most 100); true by default.")] = None


class GroupProjects(ListProjects):
    """As for all projects, in one group."""

    include_subgroups: Annotated[bool | None, Field(description="With the groups below.")] = None


def _page(
    request: HttpRequest, response: HttpResponse, groups: QuerySet[Namespace], arguments: ListGroups
) -> list[entities.Group]:
    caller = caller_of(request)
    if arguments.search:
        groups = groups.filter(Q(name__icontains=arguments.search) | Q(path__icontains=arguments.search))
    if arguments.top_level_only:
        groups = groups.filter(parent=None)
    if arguments.visibility:
        groups = groups.filter(visibility=arguments.visibility)
    if arguments.skip_groups:
        groups = groups.exclude(pk__in=arguments.skip_groups)
    least = OWNER if arguments.owned else arguments.min_access_level or (1 if arguments.all_available is False else 0)
    if least:
        groups = groups.filter(pk__in=groups_with_role(caller, least).values("pk"))
    column = GROUP_ORDERS[arguments.order_by or "name"]
    direction = "-" if arguments.sort == "desc" else ""
    groups = groups.order_by(f"{direction}{column}", f"{direction}pk")
    return present.groups(paginate(request, response, groups, arguments))


@router.get("/groups", auth=ReadOrAnonymous(), response=list[entities.Group], summary="List groups")
def list_groups(request: HttpRequest, response: HttpResponse, arguments: FromQuery[ListGroups]) -> list[entities.Group]:
    """Lists the groups that the caller may see."""
    return _page(request, response, readable_groups(caller_of(request)), arguments)


@router.post("/groups", auth=Write(), response={201: entities.GroupDetail}, summary="Create a group")
def create_group(request: HttpRequest, arguments: FromBody[CreateGroup]) -> entities.GroupDetail:
    """Creates a group, or with `parent_id` a subgroup (for the parent's maintainers and owners).

    The caller becomes its owner.
    """
    caller = caller_of(request)
    parent = None
    if arguments.parent_id is not None:
        parent = find_group(caller, str(arguments.parent_id))
        require(namespace_role(caller, parent), MAINTAINER)
    elif not caller.signed_in.can_create_group:
        raise forbidden()
    try:
        group = services.create_group(
            creator=caller.signed_in,
            name=arguments.name,
            path=arguments.path,
            parent=parent,
            description=arguments.description or "",
            visibility=arguments.visibility,
        )
    except ValidationError as error:
        raise failed_to_save("group", error) from error
    return present.group_detail(group, [])


@router.get("/groups/{ref:group_id}", auth=ReadOrAnonymous(), response=entities.GroupDetail, summary="Get a group")
def get_group(request: HttpRequest, group_id: str, arguments: FromQuery[GetGroup]) -> entities.GroupDetail:
    """Tells about one group; the id may be its number or its URL-encoded full path."""
    caller = caller_of(request)
    group = find_group(caller, group_id)
    projects = []
    if arguments.with_projects is not False:
        projects = list(readable_projects(caller).filter(namespace=group).order_by("-pk")[:100])
    return present.group_detail(group, present.projects(projects, caller))


@router.put("/groups/{ref:group_id}", auth=Write(), response=entities.GroupDetail, summary="Change a group")
def update_group(request: HttpRequest, group_id: str, arguments: FromBody[UpdateGroup]) -> entities.GroupDetail:
    """Changes a group; for its owners."""
    caller = caller_of(request)
    group = find_group(caller, group_id)
    require(namespace_role(caller, group), OWNER)
    changes = {name: value for name, value in arguments.given().items() if value is not None}
    return present.group_detail(services.update_group(group, **changes), [])


@router.delete("/groups/{ref:group_id}", auth=Write(), response={202: entities.Message}, summary="Delete a group")
def delete_group(request: HttpRequest, group_id: str) -> entities.Message:
    """Deletes a group with all its subgroups and projects; for its owners."""
    caller = caller_of(request)
    group = find_group(caller, group_id)
    require(namespace_role(caller, group), OWNER)
    services.delete_group(group)
    return entities.Message(message="202 Accepted")


@router.get(
    "/groups/{ref:group_id}/subgroups", auth=ReadOrAnonymous(), response=list[entities.Group], summary="List subgroups"
)
def list_subgroups(
    request: HttpRequest, response: HttpResponse, group_id: str, arguments: FromQuery[ListGroups]
) -> list[entities.Group]:
    """Lists the groups directly in a group."""
    caller = caller_of(request)
    group = find_group(caller, group_id)
    return _page(request, response, readable_groups(caller).filter(parent=group), arguments)


@router.get(
    "/groups/{ref:group_id}/descendant_groups",
    auth=ReadOrAnonymous(),
    response=list[entities.Group],
    summary="List descendant groups",
)
def list_descendant_groups(
    request: HttpRequest, response: HttpResponse, group_id: str, arguments: FromQuery[ListGroups]
) -> list[entities.Group]:
    """Lists the groups below a group, at any depth."""
    caller = caller_of(request)
    group = find_group(caller, group_id)
    below = readable_groups(caller).filter(lineage__startswith=group.lineage).exclude(pk=group.pk)
    return _page(request, response, below, arguments)


@router.get(
    "/groups/{ref:group_id}/projects",
    auth=ReadOrAnonymous(),
    response=list[entities.Project] | list[entities.ProjectBasic],
    summary="List a group's projects",
)
def list_group_projects(
    request: HttpRequest, response: HttpResponse, group_id: str, arguments: FromQuery[GroupProjects]
) -> list[entities.Project] | list[entities.ProjectBasic]:
    """Lists the projects in a group, and with `include_subgroups` those below."""
    caller = caller_of(request)
    group = find_group(caller, group_id)
    within = Q(namespace__lineage__startswith=group.lineage) if arguments.include_subgroups else Q(namespace=group)
    return list_projects_among(request, response, readable_projects(caller).filter(within), arguments)
