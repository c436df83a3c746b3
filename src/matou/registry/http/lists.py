"""``/v2/<name>/tags/list``, ``/v2/_catalog`` and ``/v2/<name>/referrers/<digest>``: keyset pages from the index.

Source: OCI Distribution Specification 1.1, "Listing Tags", "Listing Referrers"; Docker Registry HTTP API V2, "Catalog".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matou.registry.content import mediatypes
from matou.registry.content.digest import Digest
from matou.registry.content.pagination import next_link, parse_limit
from matou.registry.errors import RegistryError
from matou.registry.http.message import json_response

if TYPE_CHECKING:
    from matou.registry.auth.base import Identity
    from matou.registry.http.context import Context
    from matou.registry.http.message import Headers, Request, Response
    from matou.registry.index.records import Referrer

TAGS_WITHOUT_LIMIT = 100_000  # tags in an answer to a client that does not page; a Link follows
CATALOG_PAGE = 100  # repositories in an answer to a client that does not ask for a number
REFERRERS_PAGE = 1000


class Tags:
    """``GET /v2/<name>/tags/list``."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def get(self, request: Request, repository: str, _reference: str, _identity: Identity) -> Response:
        """List tags in byte order: 200, 400 PAGINATION_NUMBER_INVALID or 404 NAME_UNKNOWN."""
        most = self._context.configuration.tags.maxtags
        asked = parse_limit(request.parameter("n"))
        limit = TAGS_WITHOUT_LIMIT if asked is None else min(asked, most)
        tags = self._context.reader.tags(repository, request.parameter("last") or "", limit + 1)
        if tags is None:
            raise RegistryError("NAME_UNKNOWN", detail={"name": repository})
        page = tags[:limit]
        headers = _link(request, page[-1], limit) if page and len(tags) > limit else []
        return json_response({"name": repository, "tags": page}, headers=headers)


class Catalog:
    """``GET /v2/_catalog``."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def get(self, request: Request, _repository: str, _reference: str, _identity: Identity) -> Response:
        """List repositories in byte order: 200 or 400 PAGINATION_NUMBER_INVALID."""
        most = self._context.configuration.catalog.maxentries
        asked = parse_limit(request.parameter("n"))
        if asked is not None and asked > most:
            raise RegistryError(
                "PAGINATION_NUMBER_INVALID", detail={"n": asked, "reason": f"at most {most} (catalog.maxentries)"}
            )
        limit = min(CATALOG_PAGE, most) if asked is None else asked
        names = self._context.reader.catalog(request.parameter("last") or "", limit + 1)
        page = names[:limit]
        headers = _link(request, page[-1], limit) if page and len(names) > limit else []
        return json_response({"repositories": page}, headers=headers)


class Referrers:
    """``GET /v2/<name>/referrers/<digest>``."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def get(self, request: Request, repository: str, reference: str, _identity: Identity) -> Response:
        """List the manifests that refer to another: an index, empty when there is none."""
        digest = Digest.parse(reference)
        asked = parse_limit(request.parameter("n"))
        limit = REFERRERS_PAGE if not asked else min(asked, REFERRERS_PAGE)
        artifact_type = request.parameter("artifactType") or None
        last = request.parameter("last") or ""
        page, more = self._context.reader.referrers(repository, digest, artifact_type, last, limit)
        headers = _link(request, page[-1].digest, limit) if more else []
        if artifact_type is not None:
            headers.append(("oci-filters-applied", "artifactType"))
        document = {
            "schemaVersion": 2,
            "mediaType": mediatypes.OCI_INDEX,
            "manifests": [_descriptor(referrer) for referrer in page],
        }
        return json_response(document, headers=headers, media_type=mediatypes.OCI_INDEX)


def _descriptor(referrer: Referrer) -> dict[str, Any]:
    descriptor: dict[str, Any] = {
        "mediaType": referrer.media_type,
        "digest": referrer.digest,
        "size": referrer.size,
    }
    if referrer.artifact_type:
        descriptor["artifactType"] = referrer.artifact_type
    if referrer.annotations:
        descriptor["annotations"] = referrer.annotations
    return descriptor


def _link(request: Request, last: str, limit: int) -> Headers:
    kept = {name: values[0] for name, values in request.query.items() if name == "artifactType"}
    return [("link", next_link(request.path, kept | {"last": last, "n": str(limit)}))]
