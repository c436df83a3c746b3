"""From a request to its answer: routing, the right to it, the handler, and errors in the specified form."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from matou.registry.auth.base import Identity, Unauthorized
from matou.registry.content.names import check_repository_name
from matou.registry.drivers.base import StorageError, StorageFull
from matou.registry.errors import RegistryError
from matou.registry.http.blobs import Blobs
from matou.registry.http.context import CATALOG_ACCESS, repository_access
from matou.registry.http.lists import Catalog, Referrers, Tags
from matou.registry.http.manifest_cache import ManifestCache
from matou.registry.http.manifests import Manifests, TagReferences
from matou.registry.http.message import Response, error_response, json_response
from matou.registry.http.methods import MethodRules
from matou.registry.http.routes import BASE, CATALOG, UPLOAD, match
from matou.registry.http.uploads import BlobCommit, Upload, Uploads, pull_source
from matou.registry.index.writer import IndexFailed, IndexFull
from matou.registry.observe.refusals import log_refusal

if TYPE_CHECKING:
    from matou.registry.auth.base import Access
    from matou.registry.http.context import Context
    from matou.registry.http.message import AnyResponse, Headers, Request
    from matou.registry.http.routes import Match

log = logging.getLogger("matou.registry")

API_VERSION = ("docker-distribution-api-version", "registry/2.0")


class Base:
    """``GET /v2/``.

    Of the headers by which GitLab knows its own registry only the list of features is sent, and in it what exists. Its
    version header would say that ``/gitlab/v1/`` is here, too.

    Args:
        tag_delete: whether tags can be deleted.
    """

    def __init__(self, *, tag_delete: bool) -> None:
        self._headers: Headers = [("gitlab-container-registry-features", "tag_delete")] if tag_delete else []

    async def get(self, _request: Request, _repository: str, _reference: str, _identity: Identity) -> Response:
        """Say that this is a registry."""
        return json_response({}, headers=self._headers)


class Application:
    """Answers requests; never raises.

    Args:
        context: of the worker.
        common: ``http.headers``, which go with every answer, as does the API's version.
    """

    def __init__(self, context: Context, common: Headers) -> None:
        self.context = context
        self.common = [API_VERSION, *common]
        self.cache = ManifestCache(context.reader, self.common)
        self._rules = MethodRules.from_configuration(context.configuration)
        self._prefix = context.configuration.http.prefix.rstrip("/")
        commit = BlobCommit(context)
        manifests = Manifests(context, self.cache)
        self._upload = Upload(context, commit)
        self._handlers: dict[str, Any] = {
            "base": Base(tag_delete=self._rules.deletes_content),
            "catalog": Catalog(context),
            "tags": Tags(context),
            "tag_reference": TagReferences(manifests),
            "manifest": manifests,
            "blob": Blobs(context),
            "uploads": Uploads(context, commit),
            "upload": self._upload,
            "referrers": Referrers(context),
        }

    async def respond(self, request: Request) -> AnyResponse:
        """Return the answer to a request."""
        try:
            return await self._respond(request)
        except RegistryError as error:
            log_refusal(error)
            return error_response(error)
        except Unauthorized as refusal:
            # Without credentials the challenge is a client's normal first step.
            if request.headers.get("authorization"):
                log.warning("request %s: error authorizing context: %s", request.id, refusal.reason)
            return unauthorized(refusal)
        except (StorageFull, IndexFull) as error:
            log.error("request %s failed: %s", request.id, error)  # noqa: TRY400 -- the cause is known
            return error_response(
                RegistryError(
                    "UNAVAILABLE",
                    "no space left on the registry's storage",
                    detail="nothing was stored; repeat the push when the administrator has made room",
                )
            )
        except (StorageError, IndexFailed) as error:
            log.error("request %s failed: %s", request.id, error)  # noqa: TRY400 -- as above
            return error_response(
                RegistryError(
                    "UNAVAILABLE", "the registry's storage failed", detail=f"the log says why: request {request.id}"
                )
            )
        except Exception:
            log.exception("request %s failed: %s %s", request.id, request.method, request.path)
            return error_response(RegistryError("UNKNOWN", detail=f"the log says why: request {request.id}"))

    async def _respond(self, request: Request) -> AnyResponse:
        path = request.path
        if path == "/" and request.method in ("GET", "HEAD"):
            # Load balancers look here.
            return Response(200, [("cache-control", "no-cache")])
        below = path.removeprefix(f"{self._prefix}/v2")
        found = match(below) if len(below) < len(path) else None
        if found is None:
            raise RegistryError(
                "NAME_UNKNOWN",
                "there is no such endpoint",
                detail={"path": path, "expected": f"{self._prefix}/v2/<name>/(manifests|blobs|tags|referrers)/..."},
                status=404,
            )
        route = found.route
        if found.repository:
            check_repository_name(found.repository)
        if request.method == "OPTIONS":
            # What the registry can do is no secret of the repository: GitLab asks with a token for nothing.
            await self._identify(request, (), expired_ok=False)
            return Response(200, [("allow", self._rules.allow(route))])
        actions = route.methods.get(request.method)
        if actions is None:
            raise RegistryError(
                "UNSUPPORTED",
                detail=f"{request.method[:32]} is not among {', '.join(sorted(route.methods))} here",
                headers=(("allow", self._rules.allow(route)),),
            )
        identity = await self._authorize(request, found, actions)
        self._rules.check(route, request.method)
        method = "get" if request.method == "HEAD" else request.method.lower()
        handler = getattr(self._handlers[route.name], method)
        response: AnyResponse = await handler(request, found.repository, found.reference, identity)
        return response

    async def _authorize(self, request: Request, found: Match, actions: tuple[str, ...]) -> Identity:
        wanted = self._wanted(request, found, actions)
        try:
            return await self._identify(request, wanted, expired_ok=False)
        except Unauthorized:
            if found.route is not UPLOAD or request.method not in ("PATCH", "PUT") or not request.parameter("_state"):
                raise
            # An upload that was authorised at its start may be finished after its token expired.
            state = self._upload.verified_state(request, found.repository, found.reference)
            identity = await self._identify(request, wanted, expired_ok=True)
            if identity.subject != state.subject:
                raise
            return identity

    async def _identify(self, request: Request, wanted: tuple[Access, ...], *, expired_ok: bool) -> Identity:
        authenticator = self.context.authenticator
        authorization = request.headers.get("authorization")
        origin = self.context.urls.origin(request)
        identity = authenticator.authorize_now(authorization, wanted, origin, expired_ok=expired_ok)
        if identity is None:
            identity = await authenticator.authorize(authorization, wanted, origin, expired_ok=expired_ok)
        return identity

    def _wanted(self, request: Request, found: Match, actions: tuple[str, ...]) -> tuple[Access, ...]:
        if found.route is BASE:
            return ()
        if found.route is CATALOG:
            return CATALOG_ACCESS
        wanted = repository_access(found.repository, actions)
        source = pull_source(request) if request.method == "POST" else None
        if source is not None and source != found.repository:
            wanted += repository_access(source, ("pull",))
        return wanted


def unauthorized(refusal: Unauthorized) -> Response:
    """Return 401 with the challenge and, in the detail, what the request needs."""
    detail = [
        {"Type": access.type, "Class": "", "Name": access.name, "Action": access.action} for access in refusal.wanted
    ]
    challenge = ("www-authenticate", refusal.challenge)
    error = RegistryError("UNAUTHORIZED", refusal.message, detail=detail or None, headers=(challenge,))
    return error_response(error)
