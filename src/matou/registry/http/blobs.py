"""``/v2/<name>/blobs/<digest>``.

Source: OCI Distribution Specification 1.1, "Pulling blobs" and "Deleting Blobs"; ranges by RFC 9110 section 14;
redirects as Distribution's ``registry/storage/blobserver.go``.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from matou.registry.blobs import layout
from matou.registry.content.digest import Digest
from matou.registry.content.ranges import parse_range
from matou.registry.drivers.base import NotFound, StorageError
from matou.registry.errors import RegistryError
from matou.registry.http.manifests import is_current
from matou.registry.http.message import LARGEST_COLLECTED, FileResponse, Response, StreamResponse
from matou.registry.index import changes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from matou.registry.auth.base import Identity
    from matou.registry.drivers.unread import Unread
    from matou.registry.http.context import Context
    from matou.registry.http.message import AnyResponse, Headers, Request

log = logging.getLogger("matou.registry")

FOREVER = "max-age=31536000"  # content never changes under its digest


class Blobs:
    """Handlers."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def get(self, request: Request, repository: str, reference: str, _identity: Identity) -> AnyResponse:
        """Pull a blob: 200, 206 a part of it, 304, 307 to the storage, 416, or 404 BLOB_UNKNOWN."""
        digest = Digest.parse(reference)
        size = self._context.reader.blob_size(repository, digest)
        if size is None:
            raise _unknown(repository, digest)
        # HEAD is a client's question before a push, which may save itself the push only if storage has the blob now.
        statter = self._context.statter
        if not await (statter.had_lately if request.method == "GET" else statter.has)(digest, size):
            raise self._lacking(request, repository, digest, size)
        etag = f'"{digest}"'
        headers: Headers = [
            ("docker-content-digest", digest),
            ("etag", etag),
            ("cache-control", FOREVER),
        ]
        if is_current(request.headers.get("if-none-match"), etag):
            return Response(304, headers)
        url = await self._url(request.method, digest, size)
        if url is not None:
            self._count(request, size, redirected=True)
            # Whoever has the URL has the blob, and for a while only: nobody may keep the answer.
            return Response(307, [("docker-content-digest", digest), ("location", url), ("cache-control", "no-store")])
        try:
            answer = await self._content(request, digest, size, headers)
        except NotFound:
            await statter.lost(digest)
            raise self._lacking(request, repository, digest, size) from None
        self._count(request, size, redirected=False)
        return answer

    async def _content(self, request: Request, digest: Digest, size: int, headers: Headers) -> AnyResponse:
        """Return an answer with the blob, or what is asked for of it.

        Raises:
            NotFound: storage lacks the blob.
            StorageError: the storage failed before anything was answered.
        """
        etag = f'"{digest}"'
        start, end, status = 0, size, 200
        # RFC 9110 section 14.2: only GET has ranges.
        asked = request.headers.get("range") if request.method == "GET" else None
        if asked is not None and request.headers.get("if-range") in (None, etag):
            part = parse_range(asked, size)
            if part is not None:
                start, end, status = part[0], part[1], 206
                headers.append(("content-range", f"bytes {start}-{end - 1}/{size}"))
        headers += [
            ("content-type", "application/octet-stream"),
            ("accept-ranges", "bytes"),
            ("content-length", str(end - start)),
        ]
        if request.method == "HEAD" or start == end:
            return Response(status, headers)
        path = layout.blob_data(digest)
        local = self._context.driver.local_path(path)
        if local is not None:
            return FileResponse(status, headers, local, start, end)
        length = end - start
        if length <= LARGEST_COLLECTED:
            pieces = [piece async for piece in self._context.driver.read(path, start, length)]
            return Response(status, headers, b"".join(pieces))
        return await _streamed(status, headers, self._context.driver.relay(path, start, length), length)

    async def _url(self, method: str, digest: Digest, size: int) -> str | None:
        """Return the URL at the storage that a client is sent to, its ``Range`` included; None when Matou answers."""
        context = self._context
        redirect = context.configuration.storage.redirect
        path = layout.blob_data(digest)
        if redirect.disable or not size or context.driver.local_path(path) is not None:
            return None
        return await context.driver.url(path, method, redirect.expirydelay)

    def _count(self, request: Request, size: int, *, redirected: bool) -> None:
        if self._context.downloads is not None and request.method == "GET":
            self._context.downloads.downloaded(size, redirected=redirected)

    def _lacking(self, request: Request, repository: str, digest: Digest, size: int) -> RegistryError:
        """Log that a blob is lost, and answer as if it were not known: clients ask before they push, and push again."""
        log.error("request %s: storage lacks blob %s, of %d bytes; pushing it again heals it", request.id, digest, size)
        return _unknown(repository, digest)

    async def delete(self, _request: Request, repository: str, reference: str, identity: Identity) -> Response:
        """Remove a blob from the repository: 202, or 404 BLOB_UNKNOWN."""
        context = self._context
        digest = Digest.parse(reference)
        async with context.change():
            projections = await context.writer.run(
                lambda connection: changes.delete_blob(connection, repository, digest, identity.subject)
            )
            if projections is None:
                raise _unknown(repository, digest)
            await context.projector.project(projections)
        return Response(202)


async def _streamed(
    status: int, headers: Headers, pieces: AsyncIterator[bytes | Unread], length: int
) -> StreamResponse:
    """Return an answer with the bytes from a storage, which has sent the first of them.

    Raises:
        NotFound: there is no such blob.
        StorageError: the storage failed before anything was answered.
    """
    async for first in pieces:
        if not isinstance(first, bytes) or first:
            return StreamResponse(status, headers, first, pieces, length)
    raise StorageError(f"the storage sent nothing instead of {length} bytes")


def _unknown(repository: str, digest: Digest) -> RegistryError:
    return RegistryError("BLOB_UNKNOWN", detail={"name": repository, "digest": digest})
