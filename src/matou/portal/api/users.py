"""Users: ``/user`` and ``/users``."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from ninja import Router
from pydantic import Field

from matou.portal.accounts import services as accounts
from matou.portal.accounts.models import User
from matou.portal.api import entities, present
from matou.portal.api.access import find_user, require_admin
from matou.portal.api.arguments import Arguments, FromBody, FromQuery
from matou.portal.api.authentication import ReadUser, ReadUserOrAnonymous, Write, caller_of
from matou.portal.api.errors import ApiError, conflict, forbidden, from_model
from matou.portal.api.pagination import KeysetArguments, paginate_by_key
from matou.portal.namespaces import services as namespaces
from matou.portal.namespaces.rules import TAKEN

router = Router(tags=["Users"], exclude_unset=True, by_alias=True)

USER_ORDERS = {"id": "pk", "name": "name", "username": "username", "created_at": "created_at", "updated_at": "pk"}


class ListUsers(KeysetArguments):
    """Which users to list."""

    username: Annotated[str | None, Field(description="Only the user of this name.", max_length=255)] = None
    search: Annotated[
        str | None,
        Field(
            description="Part of the name or user name; for administrators also a whole e-mail address.",
            max_length=255,
        ),
    ] = None
    active: Annotated[bool | None, Field(description="Only active users.")] = None
    blocked: Annotated[bool | None, Field(description="Only blocked users.")] = None
    admins: Annotated[bool | None, Field(description="Only administrators; for administrators.")] = None
    humans: Annotated[bool | None, Field(description="No bots.")] = None
    without_project_bots: Annotated[bool | None, Field(description="No bots of access tokens.")] = None
    order_by: Annotated[
        Literal["id", "name", "username", "created_at", "updated_at"] | None,
        Field(description="Order; for administrators."),
    ] = None
    sort: Annotated[Literal["asc", "desc"] | None, Field(description="Direction; for administrators.")] = None


class _Profile(Arguments):
    admin: Annotated[bool | None, Field(description="Is an administrator.")] = None
    can_create_group: Annotated[bool | None, Field(description="May make groups at the top.")] = None
    skip_confirmation: Annotated[bool | None, Field(description="Accepted; addresses are not confirmed.")] = None


class CreateUser(_Profile):
    """A new user."""

    at_least_one: ClassVar[tuple[str, ...]] = ("password", "force_random_password")

    username: Annotated[str, Field(description="The name to sign in with.", min_length=1, max_length=255)]
    name: Annotated[str, Field(description="The name to show.", min_length=1, max_length=255)]
    email: Annotated[str, Field(description="E-mail address.", min_length=1, max_length=255)]
    password: Annotated[str | None, Field(description="Password.", max_length=128)] = None
    force_random_password: Annotated[
        bool | None, Field(description="Instead of `password`: none that anybody knows.")
    ] = None


class UpdateUser(_Profile):
    """What to change of a user."""

    at_least_one: ClassVar[tuple[str, ...]] = ("username", "name", "email", "password", "admin", "can_create_group")

    username: Annotated[str | None, Field(description="The name to sign in with.", min_length=1, max_length=255)] = None
    name: Annotated[str | None, Field(description="The name to show.", min_length=1, max_length=255)] = None
    email: Annotated[str | None, Field(description="E-mail address.", min_length=1, max_length=255)] = None
    password: Annotated[str | None, Field(description="Password.", max_length=128)] = None


class DeleteUser(Arguments):
    """How to delete a user."""

    hard_delete: Annotated[
        bool | None, Field(description="With the groups of which it is the only owner; else these forbid it.")
    ] = None


def _taken(error: ValidationError) -> ApiError:
    """409 when somebody else has the name or address, as GitLab answers for users; 400 for everything else."""
    details = getattr(error, "error_dict", {})
    for field, text in (("email", "Email has already been taken"), ("username", "Username has already been taken")):
        if any(TAKEN in problem.messages for problem in details.get(field, ())):
            return conflict(text)
    return from_model(error)


@router.get("/user", auth=ReadUser(), response=entities.User, summary="Get the current user")
def get_current_user(request: HttpRequest) -> entities.User:
    """Tells whom the token belongs to."""
    caller = caller_of(request)
    return present.user(caller.signed_in, caller)


@router.get("/users", auth=ReadUserOrAnonymous(), response=list[entities.User], summary="List users")
def list_users(request: HttpRequest, response: HttpResponse, arguments: FromQuery[ListUsers]) -> list[entities.User]:
    """Lists users. Callers who are not signed in must name the one they look for."""
    caller = caller_of(request)
    if caller.user is None and not arguments.username:
        raise forbidden("Not authorized to access /api/v4/users")
    users = User.objects.select_related("namespace")
    if arguments.username:
        users = users.alias(key=Lower("username")).filter(key=arguments.username.lower())
    if arguments.search:
        matches = Q(name__icontains=arguments.search) | Q(username__icontains=arguments.search)
        if caller.is_admin:
            matches |= Q(email__iexact=arguments.search)
        users = users.filter(matches)
    if arguments.active:
        users = users.filter(is_active=True)
    if arguments.blocked:
        users = users.filter(is_active=False)
    if arguments.humans or arguments.without_project_bots:
        users = users.filter(is_bot=False)
    if arguments.admins and caller.is_admin:
        users = users.filter(is_admin=True)
    order_by = (arguments.order_by if caller.is_admin else None) or "id"
    descending = not (caller.is_admin and arguments.sort == "asc")
    direction = "-" if descending else ""
    users = users.order_by(f"{direction}{USER_ORDERS[order_by]}", f"{direction}pk")
    page = paginate_by_key(request, response, users, arguments, order_by=order_by, descending=descending)
    return [present.user(user, caller) for user in page]


@router.post("/users", auth=Write(), response={201: entities.User}, summary="Create a user")
def create_user(request: HttpRequest, arguments: FromBody[CreateUser]) -> entities.User:
    """Creates a user; for administrators."""
    caller = caller_of(request)
    require_admin(caller)
    try:
        user = accounts.create_user(
            username=arguments.username,
            name=arguments.name,
            email=arguments.email,
            password=None if arguments.force_random_password else arguments.password,
            is_admin=bool(arguments.admin),
            can_create_group=arguments.can_create_group is not False,
        )
    except ValidationError as error:
        raise _taken(error) from error
    return present.user(user, caller)


@router.get("/users/{id:user_id}", auth=ReadUser(), response=entities.User, summary="Get a user")
def get_user(request: HttpRequest, user_id: int) -> entities.User:
    """Tells about one user."""
    return present.user(find_user(str(user_id)), caller_of(request))


@router.put("/users/{id:user_id}", auth=Write(), response=entities.User, summary="Change a user")
def update_user(request: HttpRequest, user_id: int, arguments: FromBody[UpdateUser]) -> entities.User:
    """Changes a user; for administrators."""
    caller = caller_of(request)
    require_admin(caller)
    user = find_user(str(user_id))
    try:
        with transaction.atomic():
            if arguments.password:
                accounts.set_password(user, arguments.password)
            accounts.update_user(
                user,
                username=arguments.username,
                name=arguments.name,
                email=arguments.email,
                is_admin=arguments.admin,
                can_create_group=arguments.can_create_group,
            )
    except ValidationError as error:
        raise _taken(error) from error
    return present.user(find_user(str(user_id)), caller)


@router.delete("/users/{id:user_id}", auth=Write(), response={204: None}, summary="Delete a user")
def delete_user(request: HttpRequest, user_id: int, arguments: FromQuery[DeleteUser]) -> None:
    """Deletes a user with its own projects; for administrators."""
    require_admin(caller_of(request))
    user = find_user(str(user_id))
    with transaction.atomic():
        alone = accounts.sole_groups(user)
        if alone and not arguments.hard_delete:
            raise conflict("User cannot be removed while is the sole-owner of a group")
        for full_path in alone:
            group = namespaces.find_group_by_path(full_path)  # gone when a group above is already
            if group is not None:
                namespaces.delete_group(group)
        accounts.delete_user(user)


@router.post("/users/{id:user_id}/block", auth=Write(), response={201: bool}, summary="Block a user")
def block_user(request: HttpRequest, user_id: int) -> bool:
    """Blocks a user, who can then do nothing; for administrators."""
    caller = caller_of(request)
    require_admin(caller)
    user = find_user(str(user_id))
    if user.pk == caller.signed_in.pk:
        raise forbidden("You cannot block your own user.")
    if user.is_bot:
        raise forbidden("Bots cannot be blocked; revoke their access tokens.")
    accounts.block_user(user)
    return True


@router.post("/users/{id:user_id}/unblock", auth=Write(), response={201: bool}, summary="Unblock a user")
def unblock_user(request: HttpRequest, user_id: int) -> bool:
    """Lets a blocked user in again; for administrators."""
    require_admin(caller_of(request))
    accounts.unblock_user(find_user(str(user_id)))
    return True
