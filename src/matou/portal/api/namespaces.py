"""Namespaces: ``/namespaces``, where the caller's projects can be."""

from __future__ import annotations

from typing import Annotated

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from ninja import Router
from pydantic import Field

from matou.portal.api import entities, present
from matou.portal.api.access import OWNER, find_namespace, groups_with_role, readable_namespaces
from matou.portal.api.arguments import Arguments, FromQuery, Id
from matou.portal.api.authentication import Read, ReadUser, caller_of
from matou.portal.api.pagination import PageArguments, paginate
from matou.portal.namespaces.models import Route

router = Router(tags=["Namespaces"], exclude_unset=True, by_alias=True)


class ListNamespaces(PageArguments):
    """Which namespaces to list."""

    search: Annotated[str | None, Field(description="Part of the name or path.", max_length=255)] = None
    full_path_search: Annotated[bool | None, Field(description="Search in full paths too.")] = None
    owned_only: Annotated[bool | None, Field(description="Only those that the caller owns.")] = None
    top_level_only: Annotated[bool | None, Field(description="No subgroups.")] = None


class NamespaceExists(Arguments):
    """Where to look."""

    parent_id: Annotated[Id | None, Field(description="Look in this group; at the top by default.")] = None


@router.get("/namespaces", auth=ReadUser(), response=list[entities.Namespace], summary="List namespaces")
def list_namespaces(
    request: HttpRequest, response: HttpResponse, arguments: FromQuery[ListNamespaces]
) -> list[entities.Namespace]:
    """Lists the caller's own namespace and the groups where it is a member; administrators see all."""
    caller = caller_of(request)
    found = readable_namespaces(caller)
    if arguments.owned_only:
        found = found.filter(Q(owner=caller.signed_in) | Q(pk__in=groups_with_role(caller, OWNER).values("pk")))
    if arguments.top_level_only:
        found = found.filter(parent=None)
    if arguments.search:
        matches = Q(name__icontains=arguments.search) | Q(path__icontains=arguments.search)
        if arguments.full_path_search:
            matches |= Q(full_path__icontains=arguments.search)
        found = found.filter(matches)
    page = paginate(request, response, found.order_by("pk"), arguments)
    return [present.namespace(namespace) for namespace in page]


@router.get("/namespaces/{ref:namespace_id}", auth=ReadUser(), response=entities.Namespace, summary="Get a namespace")
def get_namespace(request: HttpRequest, namespace_id: str) -> entities.Namespace:
    """Tells about one namespace; the id may be its number or its URL-encoded full path."""
    return present.namespace(find_namespace(caller_of(request), namespace_id))


@router.get(
    "/namespaces/{ref:namespace_path}/exists",
    auth=Read(),
    response=entities.Existence,
    summary="Find out whether a path is taken",
)
def namespace_exists(
    request: HttpRequest, namespace_path: str, arguments: FromQuery[NamespaceExists]
) -> entities.Existence:
    """Tells whether a new group at the top, or in `parent_id`, could not have a path; with one that it could have."""
    caller = caller_of(request)
    prefix = ""
    if arguments.parent_id is not None:
        prefix = find_namespace(caller, str(arguments.parent_id)).full_path.lower() + "/"
    wanted = prefix + namespace_path.lower()
    if not Route.objects.filter(path=wanted).exists():
        return entities.Existence(exists=False)
    alike = set(Route.objects.filter(path__startswith=wanted).values_list("path", flat=True)[:1000])
    free = next(number for number in range(1, len(alike) + 2) if f"{wanted}{number}" not in alike)
    return entities.Existence(exists=True, suggests=(f"{namespace_path}{free}",))
