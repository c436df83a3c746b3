"""Where a user is a member: ``/users/:id/memberships``."""

from __future__ import annotations

from typing import Annotated, Literal

from django.http import HttpRequest, HttpResponse
from ninja import Router
from pydantic import Field

from matou.portal.api import entities, present
from matou.portal.api.access import find_user, require_admin
from matou.portal.api.arguments import FromQuery
from matou.portal.api.authentication import Read, caller_of
from matou.portal.api.pagination import PageArguments, paginate
from matou.portal.namespaces.models import Member
from matou.portal.namespaces.roles import in_force

router = Router(tags=["Users"], exclude_unset=True, by_alias=True)


class ListMemberships(PageArguments):
    """Which memberships to list."""

    type: Annotated[Literal["Project", "Namespace"] | None, Field(description="Only in projects, or in groups.")] = None


@router.get(
    "/users/{id:user_id}/memberships",
    auth=Read(),
    response=list[entities.Membership],
    summary="List a user's memberships",
)
def list_memberships(
    request: HttpRequest, response: HttpResponse, user_id: int, arguments: FromQuery[ListMemberships]
) -> list[entities.Membership]:
    """Lists the projects and groups where a user is a direct member; for administrators."""
    require_admin(caller_of(request))
    members = Member.objects.filter(in_force(), user=find_user(str(user_id))).select_related("project", "group")
    if arguments.type is not None:
        members = members.filter(project__isnull=arguments.type == "Namespace")
    return [present.membership(member) for member in paginate(request, response, members.order_by("pk"), arguments)]
