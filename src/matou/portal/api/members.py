"""Members of groups and projects: direct ones, and below ``/members/all`` those of the groups above too."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, ClassVar

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from ninja import Router
from pydantic import Field

from matou.portal.accounts.models import User
from matou.portal.api import entities, present
from matou.portal.api.access import MAINTAINER, OWNER, Kind, find_user, require, resource_of, role_in
from matou.portal.api.arguments import Arguments, FromBody, FromQuery, Ids, Names, RoleLevel
from matou.portal.api.authentication import Caller, ReadOrAnonymous, Write, caller_of
from matou.portal.api.errors import ApiError, conflict, forbidden, not_found
from matou.portal.api.pagination import PageArguments, paginate
from matou.portal.namespaces import services
from matou.portal.namespaces.models import Member, Namespace, Project

LEVELS = "10 Guest, 15 Planner, 20 Reporter, 30 Developer, 40 Maintainer, 50 Owner"


class ListMembers(PageArguments):
    """Which members to list."""

    query: Annotated[str | None, Field(description="Part of the name or user name.", max_length=255)] = None
    user_ids: Annotated[Ids | None, Field(description="Only these users.")] = None


class AddMember(Arguments):
    """A new member."""

    at_least_one: ClassVar[tuple[str, ...]] = ("user_id", "username")

    access_level: Annotated[RoleLevel, Field(description=f"{LEVELS}.")]
    user_id: Annotated[Ids | None, Field(description="The user's id; several with commas between.")] = None
    username: Annotated[
        Names | None, Field(description="The user's name, instead of the id; several with commas between.")
    ] = None
    expires_at: Annotated[dt.date | None, Field(description="The day from which on the membership is void.")] = None


class EditMember(Arguments):
    """What to change of a membership."""

    access_level: Annotated[RoleLevel, Field(description=f"{LEVELS}.")]
    expires_at: Annotated[dt.date | None, Field(description="The day from which on the membership is void.")] = None


class RemoveMember(Arguments):
    """How to remove a member."""

    skip_subresources: Annotated[
        bool | None, Field(description="Keep the user's memberships in the groups and projects below.")
    ] = None


def _matching(members: QuerySet[Member], arguments: ListMembers) -> QuerySet[Member]:
    if arguments.query:
        members = members.filter(
            Q(user__name__icontains=arguments.query) | Q(user__username__icontains=arguments.query)
        )
    if arguments.user_ids is not None:
        members = members.filter(user__in=arguments.user_ids)
    return members


def _member(members: QuerySet[Member], user_id: int) -> Member:
    member = members.filter(user=user_id).first()
    if member is None:
        raise not_found("Member")
    return member


def _require_rank(caller: Caller, source: Project | Namespace, *levels: int) -> None:
    """Refuse callers who may not give or take these roles.

    Members of projects are for maintainers, who cannot touch owners; those of groups are for owners.
    """
    role = role_in(caller, source)
    require(role, MAINTAINER if isinstance(source, Project) else OWNER)
    require(role, max(levels))


def _add(caller: Caller, source: Project | Namespace, user: User, arguments: AddMember) -> Member:
    try:
        return services.add_member(
            source=source,
            user=user,
            access_level=arguments.access_level,
            created_by=caller.user,
            expires_at=arguments.expires_at,
        )
    except services.MemberExistsError as error:
        raise conflict("Member already exists") from error


def _users(arguments: AddMember) -> list[User]:
    """The users that a request names, in its order."""
    if arguments.user_id:
        return [find_user(str(pk)) for pk in arguments.user_id]
    names = list(dict.fromkeys(name.lower() for name in arguments.username or ()))
    found = {user.username.lower(): user for user in User.objects.alias(key=Lower("username")).filter(key__in=names)}
    if len(found) < len(names) or not names:
        raise not_found("User")
    return [found[name] for name in names]


def _add_several(
    caller: Caller, source: Project | Namespace, users: list[User], arguments: AddMember
) -> entities.MembersAdded:
    """Add users; those who cannot be added are named with the reason, as in GitLab."""
    problems: dict[str, str] = {}
    for user in users:
        try:
            _add(caller, source, user, arguments)
        except ValidationError as error:
            problems[user.username] = " and ".join(error.messages)
        except ApiError as error:
            problems[user.username] = str(error.body["message"])
    if problems:
        return entities.MembersAdded(status="error", message=problems)
    return entities.MembersAdded(status="success")


def members_of(kind: Kind) -> Router:
    """The operations on the members of projects or of groups.

    Args:
        kind: ``project`` or ``group``.

    Returns:
        Their router.
    """
    router = Router(tags=["Members"], exclude_unset=True, by_alias=True)
    path = f"/{kind}s/{{ref:source_id}}/members"
    _add_reading(router, kind, path)
    _add_writing(router, kind, path)
    return router


def _add_reading(router: Router, kind: Kind, path: str) -> None:
    @router.get(
        path,
        auth=ReadOrAnonymous(),
        response=list[entities.Member],
        summary=f"List a {kind}'s members",
        operation_id=f"list_{kind}_members",
    )
    def list_members(
        request: HttpRequest, response: HttpResponse, source_id: str, arguments: FromQuery[ListMembers]
    ) -> list[entities.Member]:
        """Lists direct members."""
        source = resource_of(caller_of(request), kind, source_id)
        members = _matching(services.direct_members(source), arguments)
        return [present.member(member) for member in paginate(request, response, members, arguments)]

    @router.get(
        f"{path}/all",
        auth=ReadOrAnonymous(),
        response=list[entities.Member],
        summary=f"List all members of a {kind}",
        operation_id=f"list_all_{kind}_members",
    )
    def list_all_members(
        request: HttpRequest, response: HttpResponse, source_id: str, arguments: FromQuery[ListMembers]
    ) -> list[entities.Member]:
        """Lists direct members and those of the groups above; each user once, with the highest role."""
        source = resource_of(caller_of(request), kind, source_id)
        members = _matching(services.all_members(source), arguments)
        return [present.member(member) for member in paginate(request, response, members, arguments)]

    @router.get(
        f"{path}/all/{{id:user_id}}",
        auth=ReadOrAnonymous(),
        response=entities.Member,
        summary=f"Get a member of a {kind}, direct or not",
        operation_id=f"get_any_{kind}_member",
    )
    def get_any_member(request: HttpRequest, source_id: str, user_id: int) -> entities.Member:
        """Tells about one user's membership, direct or through a group above."""
        source = resource_of(caller_of(request), kind, source_id)
        return present.member(_member(services.all_members(source), user_id))

    @router.get(
        f"{path}/{{id:user_id}}",
        auth=ReadOrAnonymous(),
        response=entities.Member,
        summary=f"Get a {kind}'s member",
        operation_id=f"get_{kind}_member",
    )
    def get_member(request: HttpRequest, source_id: str, user_id: int) -> entities.Member:
        """Tells about one user's direct membership."""
        source = resource_of(caller_of(request), kind, source_id)
        return present.member(_member(services.direct_members(source), user_id))


def _add_writing(router: Router, kind: Kind, path: str) -> None:
    @router.post(
        path,
        auth=Write(),
        response={201: entities.Member | entities.MembersAdded},
        summary=f"Add a member to a {kind}",
        operation_id=f"add_{kind}_member",
    )
    def add_member(
        request: HttpRequest, source_id: str, arguments: FromBody[AddMember]
    ) -> entities.Member | entities.MembersAdded:
        """Gives one user a role, or several users the same; nobody can give a higher role than the own.

        Members of projects are for maintainers to add, change and remove; those of groups for owners.
        """
        caller = caller_of(request)
        source = resource_of(caller, kind, source_id)
        _require_rank(caller, source, arguments.access_level)
        users = _users(arguments)
        if len(users) > 1:
            return _add_several(caller, source, users, arguments)
        return present.member(_add(caller, source, users[0], arguments))

    @router.put(
        f"{path}/{{id:user_id}}",
        auth=Write(),
        response=entities.Member,
        summary=f"Change a {kind}'s member",
        operation_id=f"update_{kind}_member",
    )
    def update_member(
        request: HttpRequest, source_id: str, user_id: int, arguments: FromBody[EditMember]
    ) -> entities.Member:
        """Changes a user's role, and the day from which on it is void; without a new day the old one stays."""
        caller = caller_of(request)
        source = resource_of(caller, kind, source_id)
        _require_rank(caller, source, arguments.access_level)
        member = _member(services.direct_members(source), user_id)
        _require_rank(caller, source, member.access_level)
        expires_at = arguments.expires_at if "expires_at" in arguments.given() else member.expires_at
        try:
            services.update_member(member, access_level=arguments.access_level, expires_at=expires_at)
        except services.LastOwnerError as error:
            raise forbidden() from error
        return present.member(member)

    @router.delete(
        f"{path}/{{id:user_id}}",
        auth=Write(),
        response={204: None},
        summary=f"Remove a {kind}'s member",
        operation_id=f"remove_{kind}_member",
    )
    def remove_member(request: HttpRequest, source_id: str, user_id: int, arguments: FromQuery[RemoveMember]) -> None:
        """Ends a membership; users may end their own."""
        caller = caller_of(request)
        source = resource_of(caller, kind, source_id)
        leaves = caller.signed_in.pk == user_id
        if not leaves:
            _require_rank(caller, source, 0)
        member = _member(services.direct_members(source), user_id)
        if not leaves:
            _require_rank(caller, source, member.access_level)
        try:
            services.remove_member(member, below=not arguments.skip_subresources)
        except services.LastOwnerError as error:
            raise forbidden() from error
