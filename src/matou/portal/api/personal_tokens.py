"""Personal access tokens: ``/personal_access_tokens`` and those that administrators make for users."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Annotated, Literal

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Router
from pydantic import Field

from matou.portal.api import entities, present
from matou.portal.api.access import find_user, require_admin
from matou.portal.api.arguments import Arguments, FromBody, FromQuery, Id, Names, some_of
from matou.portal.api.authentication import AnyScope, Caller, Read, SelfRotate, Write, caller_of
from matou.portal.api.errors import bad_request, not_found, unauthorized
from matou.portal.api.pagination import PageArguments, paginate
from matou.portal.tokens import services
from matou.portal.tokens.models import AccessToken
from matou.portal.tokens.scopes import PERSONAL_SCOPES

router = Router(tags=["Personal access tokens"], exclude_unset=True, by_alias=True)

LONGEST_LIFE = dt.timedelta(days=365)  # of a token whose maker names no day, as in GitLab
LIFE_AFTER_ROTATION = dt.timedelta(days=7)


def words(scopes: Iterable[str]) -> str:
    """Scopes for a sentence of the documentation."""
    return ", ".join(f"`{scope}`" for scope in sorted(scopes))


class ListTokens(PageArguments):
    """Which tokens to list."""

    state: Annotated[Literal["active", "inactive"] | None, Field(description="Only active, or only other ones.")] = None
    revoked: Annotated[bool | None, Field(description="Only revoked, or only other ones.")] = None
    search: Annotated[str | None, Field(description="Part of the name.", max_length=255)] = None


class ListPersonalTokens(ListTokens):
    """Which personal access tokens to list."""

    user_id: Annotated[Id | None, Field(description="Only this user's; others' for administrators alone.")] = None


class CreateToken(Arguments):
    """A new token."""

    name: Annotated[str, Field(description="Name.", min_length=1, max_length=255)]
    scopes: Annotated[
        Names,
        some_of("scopes", PERSONAL_SCOPES),
        Field(description=f"What it allows: some of {words(PERSONAL_SCOPES)}.", min_length=1),
    ]
    description: Annotated[str | None, Field(description="What it is for.", max_length=255)] = None
    expires_at: Annotated[
        dt.date | None, Field(description="The day from which on it is refused; in 365 days by default.")
    ] = None


class RotateToken(Arguments):
    """How to replace a token."""

    expires_at: Annotated[
        dt.date | None, Field(description="The day from which on the new token is refused; in a week by default.")
    ] = None


def last_day(wanted: dt.date | None, otherwise: dt.timedelta) -> dt.date:
    """The day from which on a token is refused."""
    return wanted or timezone.now().date() + otherwise


def matching(tokens: QuerySet[AccessToken], arguments: ListTokens) -> QuerySet[AccessToken]:
    """Narrow a list of tokens to those that a request asks for, in the order of their ids."""
    if arguments.state is not None:
        active = Q(revoked=False) & (Q(expires_at=None) | Q(expires_at__gt=timezone.now().date()))
        tokens = tokens.filter(active if arguments.state == "active" else ~active)
    if arguments.revoked is not None:
        tokens = tokens.filter(revoked=arguments.revoked)
    if arguments.search:
        tokens = tokens.filter(name__icontains=arguments.search)
    return tokens.order_by("pk")


def rotated(token: AccessToken, arguments: RotateToken) -> tuple[AccessToken, str]:
    """Replace a token; raises ApiError (400) when it is no longer active."""
    if not token.active:
        raise bad_request("Token already revoked" if token.revoked else "Token already expired")
    return services.rotate(token, last_day(arguments.expires_at, LIFE_AFTER_ROTATION))


def own_token(caller: Caller) -> AccessToken:
    """The access token that the caller uses; raises ApiError (404) for callers with a token of another kind."""
    if caller.token is None:
        raise not_found()
    return caller.token


def _find(caller: Caller, token_id: int) -> AccessToken | None:
    """A token that the caller may manage, or None."""
    tokens = AccessToken.objects.select_related("user", "project", "group").filter(pk=token_id)
    return (tokens if caller.is_admin else tokens.filter(user=caller.signed_in)).first()


@router.get(
    "/personal_access_tokens",
    auth=Read(),
    response=list[entities.AccessToken],
    summary="List personal access tokens",
)
def list_personal_access_tokens(
    request: HttpRequest, response: HttpResponse, arguments: FromQuery[ListPersonalTokens]
) -> list[entities.AccessToken]:
    """Lists the caller's tokens; for administrators everybody's."""
    caller = caller_of(request)
    tokens = AccessToken.objects.all()
    if not caller.is_admin:
        if arguments.user_id not in (None, caller.signed_in.pk):
            raise unauthorized()
        tokens = tokens.filter(user=caller.signed_in)
    elif arguments.user_id is not None:
        tokens = tokens.filter(user=arguments.user_id)
    page = paginate(request, response, matching(tokens, arguments), arguments)
    return [present.access_token(token) for token in page]


@router.get(
    "/personal_access_tokens/self", auth=AnyScope(), response=entities.AccessToken, summary="Get the token in use"
)
def get_token_in_use(request: HttpRequest) -> entities.AccessToken:
    """Tells about the token that the request carries, whatever its scopes."""
    return present.access_token(own_token(caller_of(request)))


@router.delete("/personal_access_tokens/self", auth=AnyScope(), response={204: None}, summary="Revoke the token in use")
def revoke_token_in_use(request: HttpRequest) -> None:
    """Revokes the token that the request carries, whatever its scopes."""
    services.revoke(own_token(caller_of(request)))


@router.post(
    "/personal_access_tokens/self/rotate",
    auth=SelfRotate(),
    response=entities.AccessTokenWithSecret,
    summary="Rotate the token in use",
)
def rotate_token_in_use(request: HttpRequest, arguments: FromBody[RotateToken]) -> entities.AccessTokenWithSecret:
    """Replaces the token that the request carries, which is refused from now on."""
    return present.access_token_with_secret(*rotated(own_token(caller_of(request)), arguments))


@router.get(
    "/personal_access_tokens/{id:token_id}",
    auth=Read(),
    response=entities.AccessToken,
    summary="Get a personal access token",
)
def get_personal_access_token(request: HttpRequest, token_id: int) -> entities.AccessToken:
    """Tells about one of the caller's tokens; administrators may ask for any."""
    caller = caller_of(request)
    token = _find(caller, token_id)
    if token is None:
        raise not_found() if caller.is_admin else unauthorized()
    return present.access_token(token)


@router.delete(
    "/personal_access_tokens/{id:token_id}",
    auth=Write(),
    response={204: None},
    summary="Revoke a personal access token",
)
def revoke_personal_access_token(request: HttpRequest, token_id: int) -> None:
    """Revokes one of the caller's tokens; administrators may revoke any."""
    token = _find(caller_of(request), token_id)
    if token is None:
        raise not_found()
    services.revoke(token)


@router.post(
    "/personal_access_tokens/{id:token_id}/rotate",
    auth=Write(),
    response=entities.AccessTokenWithSecret,
    summary="Rotate a personal access token",
)
def rotate_personal_access_token(
    request: HttpRequest, token_id: int, arguments: FromBody[RotateToken]
) -> entities.AccessTokenWithSecret:
    """Replaces one of the caller's tokens, which is refused from now on; administrators may rotate any."""
    caller = caller_of(request)
    token = _find(caller, token_id)
    if token is None:
        raise not_found() if caller.is_admin else unauthorized()
    return present.access_token_with_secret(*rotated(token, arguments))


@router.post(
    "/users/{id:user_id}/personal_access_tokens",
    auth=Write(),
    response={201: entities.AccessTokenWithSecret},
    summary="Create a user's personal access token",
)
def create_personal_access_token(
    request: HttpRequest, user_id: int, arguments: FromBody[CreateToken]
) -> entities.AccessTokenWithSecret:
    """Makes a personal access token of any user; for administrators."""
    require_admin(caller_of(request))
    user = find_user(str(user_id))
    if user.is_bot:
        raise bad_request("bots have the access tokens of their project or group alone")
    token, secret = services.create_access_token(
        user=user,
        name=arguments.name,
        scopes=arguments.scopes,
        expires_at=last_day(arguments.expires_at, LONGEST_LIFE),
        description=arguments.description or "",
    )
    return present.access_token_with_secret(token, secret)
