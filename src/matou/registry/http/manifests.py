"""``/v2/<name>/manifests/<reference>`` and ``/v2/<name>/tags/reference/<tag>``.

Source: OCI Distribution Specification 1.1, "Pulling manifests", "Pushing Manifests", "Content Management".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from matou.registry.blobs import layout
from matou.registry.content.digest import Digest
from matou.registry.content.manifests import parse_manifest
from matou.registry.content.names import TAG_GRAMMAR, check_tag, is_tag
from matou.registry.errors import RegistryError
from matou.registry.http.context import repository_access
from matou.registry.http.message import Response
from matou.registry.http.negotiation import Negotiation, negotiate
from matou.registry.http.validation import ValidationRules
from matou.registry.index import changes
from matou.registry.index.records import MissingReferences, NewManifest

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from matou.registry.auth.base import Access, Identity
    from matou.registry.content.manifests import Manifest
    from matou.registry.http.context import Context
    from matou.registry.http.manifest_cache import ManifestCache
    from matou.registry.http.message import Headers, Request
    from matou.registry.index.records import Projection, StoredManifest

MAX_MANIFEST = 4 << 20  # bytes; Distribution's limit, and the least that the specification lets clients count on
MAX_ERRORS = 100  # missing references named in one answer
MAX_TAGS = 100  # tags in one request, draft of the OCI Distribution Specification


@dataclass(frozen=True, slots=True)
class PreparedManifest:
    """A manifest with everything that an answer needs but the request's own id.

    Attributes:
        wanted: the access that a reader needs.
        digest: of the manifest.
        etag: the digest in quotes.
        headers: of the answer.
        body: the manifest, byte for byte.
        media_type: of the manifest.
    """

    wanted: tuple[Access, ...]
    digest: str
    etag: str
    headers: Headers
    body: bytes
    media_type: str


def prepare(repository: str, stored: StoredManifest, common: Headers) -> PreparedManifest:
    """Return a manifest ready to be served.

    Args:
        repository: name.
        stored: from the index.
        common: headers of every answer.
    """
    etag = f'"{stored.digest}"'
    headers = [
        ("content-type", stored.media_type),
        ("content-length", str(len(stored.payload))),
        ("docker-content-digest", stored.digest),
        ("etag", etag),
        *common,
    ]
    wanted = repository_access(repository, ("pull",))
    return PreparedManifest(wanted, stored.digest, etag, headers, stored.payload, stored.media_type)


class Manifests:
    """Handlers."""

    def __init__(self, context: Context, cache: ManifestCache) -> None:
        self._context = context
        self._cache = cache
        self._rules = ValidationRules.from_configuration(context.configuration)

    def find(self, repository: str, reference: str) -> StoredManifest:
        """Return the manifest that a tag or digest names.

        Raises:
            RegistryError: MANIFEST_UNKNOWN, also for what cannot be a tag, or DIGEST_INVALID.
        """
        reader = self._context.reader
        if ":" in reference:
            stored = reader.manifest_by_digest(repository, Digest.parse(reference))
        else:
            stored = reader.manifest_by_tag(repository, reference)
        if stored is None:
            raise _unknown(repository, reference)
        return stored

    async def get(self, request: Request, repository: str, reference: str, _identity: Identity) -> Response:
        """Pull a manifest: 200, 304, or 404 MANIFEST_UNKNOWN."""
        stored = self.find(repository, reference)
        verdict = negotiate(request.headers.get_all("accept"), stored.media_type, by_tag=":" not in reference)
        if verdict is Negotiation.REFUSED:
            raise RegistryError(
                "MANIFEST_UNKNOWN",
                f"{stored.media_type} found, but accept header does not support it",
                detail={"name": repository, "reference": reference, "mediaType": stored.media_type},
            )
        if verdict is Negotiation.DEFAULT_PLATFORM:
            stored = self._default_platform(repository, reference, stored)
        else:
            self._cache.remember(request.path, repository, stored)
        prepared = prepare(repository, stored, [])
        if is_current(request.headers.get("if-none-match"), prepared.etag):
            return Response(304, [("docker-content-digest", prepared.digest), ("etag", prepared.etag)])
        return Response(200, prepared.headers, prepared.body)

    def _default_platform(self, repository: str, reference: str, stored: StoredManifest) -> StoredManifest:
        """Docker clients from before manifest lists get the linux/amd64 image (Distribution does so, too)."""
        manifest = parse_manifest(stored.payload, stored.media_type)
        for child in manifest.children:
            platform = child.platform or {}
            if platform.get("os") == "linux" and platform.get("architecture") == "amd64":
                found = self._context.reader.manifest_by_digest(repository, child.digest)
                if found is not None:
                    return found
        raise RegistryError(
            "MANIFEST_UNKNOWN",
            "manifest list found, but accept header does not support it and it has no linux/amd64 image",
            detail={"name": repository, "reference": reference},
        )

    async def put(self, request: Request, repository: str, reference: str, identity: Identity) -> Response:
        """Push a manifest: 201, or 400 with what is wrong with it."""
        context = self._context
        content = await request.read(MAX_MANIFEST)
        if content is None:
            raise RegistryError(
                "MANIFEST_INVALID",
                "manifest too large",
                detail=f"a manifest has at most {MAX_MANIFEST} bytes (4 MiB)",
                status=413,
            )
        digest, tags = self._identify(request, reference, content)
        manifest = parse_manifest(content, request.headers.get("content-type"))
        self._rules.check(manifest, len(content))
        new = self._new_manifest(digest, manifest, content)
        async with context.change():
            await self._store(repository, new, tags, identity)
        headers = [
            ("location", context.urls.manifest(request, repository, digest)),
            ("docker-content-digest", digest),
        ]
        if manifest.subject is not None:
            headers.append(("oci-subject", manifest.subject))
        if request.query.get("tag"):
            headers += [("oci-tag", tag) for tag in tags]
        return Response(201, headers)

    async def _store(self, repository: str, new: NewManifest, tags: list[str], identity: Identity) -> None:
        context = self._context
        # Asked again in the transaction; asked here so that nothing is stored for a manifest that will be refused.
        reader = context.reader
        missing = [
            *reader.missing_blobs(repository, new.required_blobs),
            *reader.missing_manifests(repository, new.required_children),
        ]
        if missing:
            raise _missing_references(missing)
        digest, content = Digest(new.digest), new.payload
        if reader.manifest_by_digest(repository, digest) is None or not await context.statter.has(digest, len(content)):
            await context.driver.put(layout.blob_data(digest), content)
        try:
            projections = await context.writer.run(
                lambda connection: changes.put_manifest(connection, repository, new, tags, identity.subject)
            )
        except MissingReferences as error:
            raise _missing_references(error.digests) from None
        await context.projector.project(projections)

    def _identify(self, request: Request, reference: str, content: bytes) -> tuple[Digest, list[str]]:
        if ":" not in reference:
            check_tag(reference)
            return Digest.of(content), [reference]
        digest = Digest.parse(reference)
        actual = Digest.of(content, digest.algorithm)
        if actual != digest:
            raise RegistryError("DIGEST_INVALID", detail={"digest": digest, "actual": actual, "size": len(content)})
        tags = request.query.get("tag", [])
        if len(tags) > MAX_TAGS:
            raise RegistryError(
                "TAG_INVALID", detail=f"{len(tags)} tags in one request; at most {MAX_TAGS}", status=414
            )
        for tag in tags:
            check_tag(tag)
        return digest, tags

    def _new_manifest(self, digest: Digest, manifest: Manifest, content: bytes) -> NewManifest:
        return NewManifest(
            digest=digest,
            media_type=manifest.media_type,
            payload=content,
            artifact_type=manifest.artifact_type,
            subject=manifest.subject,
            annotations=manifest.annotations,
            blobs=manifest.blob_references,
            required_blobs=manifest.required_blobs,
            children=manifest.child_references,
            required_children=self._rules.required_children(manifest),
        )

    async def delete(self, _request: Request, repository: str, reference: str, identity: Identity) -> Response:
        """Delete a manifest with its tags, or only a tag: 202, or 404 MANIFEST_UNKNOWN."""
        change: Callable[[sqlite3.Connection], list[Projection] | None]
        if ":" in reference:
            digest = Digest.parse(reference)
            change = partial(changes.delete_manifest, repository=repository, digest=digest, actor=identity.subject)
        else:
            change = partial(changes.delete_tag, repository=repository, tag=reference, actor=identity.subject)
        context = self._context
        async with context.change():
            projections = await context.writer.run(change)
            if projections is None:
                raise _unknown(repository, reference)
            await context.projector.project(projections)
        return Response(202)


class TagReferences:
    """``DELETE /v2/<name>/tags/reference/<tag>``, which GitLab used before tags could be deleted as manifests."""

    def __init__(self, manifests: Manifests) -> None:
        self._manifests = manifests

    async def delete(self, request: Request, repository: str, reference: str, identity: Identity) -> Response:
        """Delete a tag: 202, or 404."""
        if ":" in reference:
            raise _unknown(repository, reference)
        return await self._manifests.delete(request, repository, reference, identity)


def is_current(if_none_match: str | None, etag: str) -> bool:
    """Tell whether ``If-None-Match`` names an entity tag; Docker's clients leave the quotes out.

    Source: RFC 9110 section 13.1.2.
    """
    if if_none_match is None:
        return False
    if if_none_match == "*":
        return True
    candidates = (candidate.strip().removeprefix("W/").strip('"') for candidate in if_none_match.split(","))
    return etag.strip('"') in candidates


def _unknown(repository: str, reference: str) -> RegistryError:
    kind = "digest" if ":" in reference else "tag"
    reason = f"no such {kind} in the repository"
    if kind == "tag" and not is_tag(reference):
        reason = f"this cannot be a tag: {TAG_GRAMMAR}"
    return RegistryError("MANIFEST_UNKNOWN", detail={"name": repository, kind: reference[:256], "reason": reason})


def _missing_references(digests: list[str] | tuple[str, ...]) -> RegistryError:
    others = tuple(RegistryError("MANIFEST_BLOB_UNKNOWN", detail=digest) for digest in digests[1:MAX_ERRORS])
    return RegistryError("MANIFEST_BLOB_UNKNOWN", detail=digests[0], others=others)
