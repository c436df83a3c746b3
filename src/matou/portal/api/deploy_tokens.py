"""Deploy tokens: for machines that pull and push images of a project, or of all projects of a group."""

from __future__ import annotations

from typing import Annotated

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Router
from pydantic import Field

from matou.portal.api import entities, present
from matou.portal.api.access import MAINTAINER, OWNER, Kind, require, require_admin, resource_of, role_in
from matou.portal.api.arguments import Arguments, FromBody, FromQuery, Moment, Names, some_of
from matou.portal.api.authentication import Caller, Read, Write, caller_of
from matou.portal.api.errors import not_found
from matou.portal.api.pagination import PageArguments, paginate
from matou.portal.api.personal_tokens import words
from matou.portal.namespaces.models import Namespace, Project
from matou.portal.tokens import services
from matou.portal.tokens.models import DeployToken
from matou.portal.tokens.scopes import DEPLOY_SCOPES, READ_REGISTRY, WRITE_REGISTRY

TAGS = ["Deploy tokens"]
router = Router(tags=TAGS, exclude_unset=True, by_alias=True)


class ListDeployTokens(PageArguments):
    """Which deploy tokens to list."""

    active: Annotated[bool | None, Field(description="Only those that are accepted.")] = None


class CreateDeployToken(Arguments):
    """A new deploy token."""

    name: Annotated[str, Field(description="Name.", min_length=1, max_length=255)]
    scopes: Annotated[
        Names,
        some_of("scopes", DEPLOY_SCOPES),
        Field(
            description="What it allows: `read_registry` to pull and `write_registry` to push. Of GitLab's other scopes"
            f" it takes {words(DEPLOY_SCOPES - {READ_REGISTRY, WRITE_REGISTRY})}, which allow nothing.",
            min_length=1,
        ),
    ]
    username: Annotated[
        str | None,
        Field(description="The name to log in with; `gitlab+deploy-token-<id>` by default.", max_length=255),
    ] = None
    expires_at: Annotated[Moment | None, Field(description="When it is refused from; never by default.")] = None


def _matching(tokens: QuerySet[DeployToken], arguments: ListDeployTokens) -> QuerySet[DeployToken]:
    if arguments.active:
        tokens = tokens.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()), revoked=False)
    return tokens.order_by("pk")


def _tokens(source: Project | Namespace) -> QuerySet[DeployToken]:
    place = Q(project=source) if isinstance(source, Project) else Q(group=source)
    return DeployToken.objects.filter(place)


def _source(caller: Caller, kind: Kind, reference: str, *, changes: bool) -> Project | Namespace:
    """The project or group; 403 for those who may see it but not its deploy tokens.

    Maintainers see them; those of groups are for owners to make and to end.
    """
    source = resource_of(caller, kind, reference)
    require(role_in(caller, source), OWNER if changes and kind == "group" else MAINTAINER)
    return source


def _find(source: Project | Namespace, token_id: int) -> DeployToken:
    token = _tokens(source).filter(pk=token_id).first()
    if token is None:
        raise not_found("Deploy Token")
    return token


@router.get("/deploy_tokens", auth=Read(), response=list[entities.DeployToken], summary="List all deploy tokens")
def list_all_deploy_tokens(
    request: HttpRequest, response: HttpResponse, arguments: FromQuery[ListDeployTokens]
) -> list[entities.DeployToken]:
    """Lists the deploy tokens of all projects and groups; for administrators."""
    require_admin(caller_of(request))
    page = paginate(request, response, _matching(DeployToken.objects.all(), arguments), arguments)
    return [present.deploy_token(token) for token in page]


def deploy_tokens_of(kind: Kind) -> Router:
    """The operations on the deploy tokens of projects or of groups.

    Args:
        kind: ``project`` or ``group``.

    Returns:
        Their router.
    """
    router = Router(tags=TAGS, exclude_unset=True, by_alias=True)
    path = f"/{kind}s/{{ref:source_id}}/deploy_tokens"

    @router.get(
        path,
        auth=Read(),
        response=list[entities.DeployToken],
        summary=f"List a {kind}'s deploy tokens",
        operation_id=f"list_{kind}_deploy_tokens",
    )
    def list_tokens(
        request: HttpRequest, response: HttpResponse, source_id: str, arguments: FromQuery[ListDeployTokens]
    ) -> list[entities.DeployToken]:
        """Lists deploy tokens; for maintainers."""
        source = _source(caller_of(request), kind, source_id, changes=False)
        page = paginate(request, response, _matching(_tokens(source), arguments), arguments)
        return [present.deploy_token(token) for token in page]

    @router.get(
        f"{path}/{{id:token_id}}",
        auth=Read(),
        response=entities.DeployToken,
        summary=f"Get a {kind}'s deploy token",
        operation_id=f"get_{kind}_deploy_token",
    )
    def get_token(request: HttpRequest, source_id: str, token_id: int) -> entities.DeployToken:
        """Tells about one deploy token; for maintainers."""
        source = _source(caller_of(request), kind, source_id, changes=False)
        return present.deploy_token(_find(source, token_id))

    @router.post(
        path,
        auth=Write(),
        response={201: entities.DeployTokenWithSecret},
        summary=f"Create a deploy token of a {kind}",
        operation_id=f"create_{kind}_deploy_token",
    )
    def create_token(
        request: HttpRequest, source_id: str, arguments: FromBody[CreateDeployToken]
    ) -> entities.DeployTokenWithSecret:
        """Makes a deploy token; for maintainers of projects and owners of groups."""
        caller = caller_of(request)
        source = _source(caller, kind, source_id, changes=True)
        token, secret = services.create_deploy_token(
            creator=caller.signed_in,
            project=source if isinstance(source, Project) else None,
            group=source if isinstance(source, Namespace) else None,
            name=arguments.name,
            scopes=arguments.scopes,
            username=arguments.username,
            expires_at=arguments.expires_at,
        )
        return present.deploy_token_with_secret(token, secret)

    @router.delete(
        f"{path}/{{id:token_id}}",
        auth=Write(),
        response={204: None},
        summary=f"Delete a {kind}'s deploy token",
        operation_id=f"delete_{kind}_deploy_token",
    )
    def delete_token(request: HttpRequest, source_id: str, token_id: int) -> None:
        """Deletes a deploy token, which is refused from now on; for maintainers of projects and owners of groups."""
        source = _source(caller_of(request), kind, source_id, changes=True)
        _find(source, token_id).delete()

    return router
