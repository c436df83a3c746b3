"""Access tokens of projects and groups: each acts as a bot that is a member there."""

from __future__ import annotations

from typing import Annotated

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from ninja import Router
from pydantic import Field

from matou.portal.api import entities, present
from matou.portal.api.access import MAINTAINER, OWNER, Kind, require, resource_of, role_in
from matou.portal.api.arguments import FromBody, FromQuery, Names, RoleLevel, some_of
from matou.portal.api.authentication import Caller, Read, SelfRotate, Write, caller_of
from matou.portal.api.errors import bad_request, forbidden, not_found
from matou.portal.api.pagination import paginate
from matou.portal.api.personal_tokens import (
    LONGEST_LIFE,
    CreateToken,
    ListTokens,
    RotateToken,
    last_day,
    matching,
    own_token,
    rotated,
    words,
)
from matou.portal.namespaces.models import Member, Namespace, Project
from matou.portal.tokens import services
from matou.portal.tokens.models import AccessToken
from matou.portal.tokens.scopes import RESOURCE_SCOPES


class CreateResourceToken(CreateToken):
    """A new token of a project or group."""

    scopes: Annotated[
        Names,
        some_of("scopes", RESOURCE_SCOPES),
        Field(description=f"What it allows: some of {words(RESOURCE_SCOPES)}.", min_length=1),
    ]
    access_level: Annotated[
        RoleLevel | None, Field(description="Role of its bot, not above the caller's; 40 (Maintainer) by default.")
    ] = None


def _at(source: Project | Namespace) -> dict[str, Project | Namespace]:
    return {"project": source} if isinstance(source, Project) else {"group": source}


def _tokens(source: Project | Namespace) -> QuerySet[AccessToken]:
    return AccessToken.objects.filter(**_at(source)).select_related("user", "project", "group")


def _levels(source: Project | Namespace, tokens: list[AccessToken]) -> dict[int, int]:
    """The roles of tokens' bots: one query."""
    bots = {token.user_id for token in tokens}
    return dict(Member.objects.filter(**_at(source), user__in=bots).values_list("user", "access_level"))


def _manage(caller: Caller, kind: Kind, reference: str) -> Project | Namespace:
    """The project of a maintainer, or the group of an owner; 403 for others who may see it."""
    source = resource_of(caller, kind, reference)
    require(role_in(caller, source), MAINTAINER if kind == "project" else OWNER)
    return source


def _find(source: Project | Namespace, token_id: int) -> AccessToken:
    token = _tokens(source).filter(pk=token_id).first()
    if token is None:
        raise not_found(f"Could not find {'project' if isinstance(source, Project) else 'group'} access token with"
                        f" token_id: {token_id}")  # fmt: skip
    return token


def _rotate(
    source: Project | Namespace, token: AccessToken, arguments: RotateToken
) -> entities.ResourceAccessTokenWithSecret:
    level = _levels(source, [token]).get(token.user_id, 0)
    new, secret = rotated(token, arguments)
    return present.resource_token_with_secret(new, level, secret)


def access_tokens_of(kind: Kind) -> Router:
    """The operations on the access tokens of projects or of groups.

    Args:
        kind: ``project`` or ``group``.

    Returns:
        Their router.
    """
    title = kind.title()
    router = Router(tags=[f"{title} access tokens"], exclude_unset=True, by_alias=True)
    path = f"/{kind}s/{{ref:source_id}}/access_tokens"

    @router.get(
        path,
        auth=Read(),
        response=list[entities.ResourceAccessToken],
        summary=f"List a {kind}'s access tokens",
        operation_id=f"list_{kind}_access_tokens",
    )
    def list_tokens(
        request: HttpRequest, response: HttpResponse, source_id: str, arguments: FromQuery[ListTokens]
    ) -> list[entities.ResourceAccessToken]:
        """Lists the access tokens of a project, for its maintainers, or of a group, for its owners."""
        source = _manage(caller_of(request), kind, source_id)
        page = paginate(request, response, matching(_tokens(source), arguments), arguments)
        return present.resource_tokens(page, _levels(source, page))

    @router.post(
        path,
        auth=Write(),
        response={201: entities.ResourceAccessTokenWithSecret},
        summary=f"Create an access token of a {kind}",
        operation_id=f"create_{kind}_access_token",
    )
    def create_token(
        request: HttpRequest, source_id: str, arguments: FromBody[CreateResourceToken]
    ) -> entities.ResourceAccessTokenWithSecret:
        """Makes a token with a bot of its own; not for bots, which could outlive their tokens so."""
        caller = caller_of(request)
        source = _manage(caller, kind, source_id)
        if caller.signed_in.is_bot:
            raise forbidden(f"{title} access tokens cannot be used to create other access tokens.")
        level = arguments.access_level or MAINTAINER
        if level > role_in(caller, source):
            raise bad_request("access_level cannot be higher than your own role")
        token, secret = services.create_resource_token(
            creator=caller.signed_in,
            project=source if isinstance(source, Project) else None,
            group=source if isinstance(source, Namespace) else None,
            name=arguments.name,
            scopes=arguments.scopes,
            access_level=level,
            expires_at=last_day(arguments.expires_at, LONGEST_LIFE),
            description=arguments.description or "",
        )
        return present.resource_token_with_secret(token, level, secret)

    @router.post(
        f"{path}/self/rotate",
        auth=SelfRotate(),
        response=entities.ResourceAccessTokenWithSecret,
        summary=f"Rotate the {kind} access token in use",
        operation_id=f"rotate_{kind}_access_token_in_use",
    )
    def rotate_token_in_use(
        request: HttpRequest, source_id: str, arguments: FromBody[RotateToken]
    ) -> entities.ResourceAccessTokenWithSecret:
        """Replaces the token that the request carries, which is refused from now on."""
        caller = caller_of(request)
        source = resource_of(caller, kind, source_id)
        return _rotate(source, _find(source, own_token(caller).pk), arguments)

    @router.get(
        f"{path}/{{id:token_id}}",
        auth=Read(),
        response=entities.ResourceAccessToken,
        summary=f"Get an access token of a {kind}",
        operation_id=f"get_{kind}_access_token",
    )
    def get_token(request: HttpRequest, source_id: str, token_id: int) -> entities.ResourceAccessToken:
        """Tells about one token."""
        source = _manage(caller_of(request), kind, source_id)
        token = _find(source, token_id)
        return present.resource_tokens([token], _levels(source, [token]))[0]

    @router.delete(
        f"{path}/{{id:token_id}}",
        auth=Write(),
        response={204: None},
        summary=f"Revoke an access token of a {kind}",
        operation_id=f"revoke_{kind}_access_token",
    )
    def revoke_token(request: HttpRequest, source_id: str, token_id: int) -> None:
        """Revokes a token; its bot is no member any more."""
        services.revoke(_find(_manage(caller_of(request), kind, source_id), token_id))

    @router.post(
        f"{path}/{{id:token_id}}/rotate",
        auth=Write(),
        response=entities.ResourceAccessTokenWithSecret,
        summary=f"Rotate an access token of a {kind}",
        operation_id=f"rotate_{kind}_access_token",
    )
    def rotate_token(
        request: HttpRequest, source_id: str, token_id: int, arguments: FromBody[RotateToken]
    ) -> entities.ResourceAccessTokenWithSecret:
        """Replaces a token, whose bot's role is not above the caller's; it is refused from now on."""
        caller = caller_of(request)
        source = _manage(caller, kind, source_id)
        token = _find(source, token_id)
        require(role_in(caller, source), _levels(source, [token]).get(token.user_id, 0))
        return _rotate(source, token, arguments)

    return router
