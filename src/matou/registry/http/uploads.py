"""``/v2/<name>/blobs/uploads/`` and ``/v2/<name>/blobs/uploads/<uuid>``.

Source: OCI Distribution Specification 1.1, "Pushing blobs" (monolithically, in chunks, by mounting).
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from matou.registry.auth.base import Unauthorized
from matou.registry.blobs.upload_state import InvalidState, UploadState
from matou.registry.blobs.uploads import SMALL
from matou.registry.content.digest import DEFAULT_ALGORITHM, HEX_LENGTHS, UNSUPPORTED_ALGORITHM, Digest
from matou.registry.content.names import check_repository_name, is_repository_name
from matou.registry.content.ranges import parse_content_range
from matou.registry.errors import RegistryError
from matou.registry.http.context import repository_access
from matou.registry.http.message import Response
from matou.registry.index import changes

if TYPE_CHECKING:
    from matou.registry.auth.base import Identity
    from matou.registry.http.context import Context
    from matou.registry.http.message import Request

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
MOUNT_CANDIDATES = 20  # repositories that are looked at for a mount without "from"


class BlobCommit:
    """Records uploaded and mounted blobs."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def is_stored(self, digest: Digest, size: int) -> bool:
        """Tell whether storage has a blob, whole as far as its size tells: a push then heals what is not.

        Args:
            digest: of the blob.
            size: bytes that were pushed.
        """
        # The index is asked as well: what storage shows may not be durable yet.
        if self._context.reader.stored_blob_size(digest) != size:
            return False
        return await self._context.statter.has(digest, size)

    async def record(self, repository: str, digest: Digest, size: int, identity: Identity) -> None:
        """Link a stored blob to a repository."""
        projections = await self._context.writer.run(
            lambda connection: changes.put_blob(connection, repository, digest, size, identity.subject)
        )
        await self._context.projector.project(projections)
        await self._context.statter.stored(digest, size)

    def created(self, request: Request, repository: str, digest: Digest) -> Response:
        """Return the answer to a finished push or mount."""
        return Response(
            201,
            [
                ("location", self._context.urls.blob(request, repository, digest)),
                ("docker-content-digest", digest),
            ],
        )


class Uploads:
    """``POST`` on the collection."""

    def __init__(self, context: Context, commit: BlobCommit) -> None:
        self._context = context
        self._commit = commit

    async def post(self, request: Request, repository: str, _reference: str, identity: Identity) -> Response:
        """Begin an upload (202), push a blob in one request or mount one (201)."""
        context = self._context
        mount = request.parameter("mount")
        if mount:
            mounted = await self._mount(request, repository, Digest.parse(mount), identity)
            if mounted is not None:
                return mounted
        digest_text = request.parameter("digest")
        if digest_text is None:
            algorithm = _algorithm(request)
            async with context.change():
                state = await context.uploads.begin(repository, identity.subject, algorithm)
            return accepted(context, request, state)
        digest = Digest.parse(digest_text)
        length = request.content_length
        if length is not None and length <= SMALL:
            return await push_small(context, self._commit, request, repository, digest, identity)
        return await push_whole(context, self._commit, request, repository, digest, identity)

    async def _mount(self, request: Request, repository: str, digest: Digest, identity: Identity) -> Response | None:
        context = self._context
        source = request.parameter("from")
        if source:
            # The right to pull from it was asked for when the request came in.
            sources = [check_repository_name(source)]
        else:
            sources = [
                candidate
                for candidate in context.reader.repositories_with_blob(digest, MOUNT_CANDIDATES)
                if candidate == repository or await self._may_pull(request, candidate)
            ]
        for candidate in sources:
            if await self._mount_from(candidate, repository, digest, identity):
                return self._commit.created(request, repository, digest)
        return None

    async def _mount_from(self, source: str, repository: str, digest: Digest, identity: Identity) -> bool:
        context = self._context
        async with context.change():
            size = context.reader.blob_size(source, digest)
            if size is None or not await context.statter.has(digest, size):
                return False
            projections = await context.writer.run(
                partial(
                    changes.mount_blob,
                    repository=repository,
                    source=source,
                    digest=digest,
                    actor=identity.subject,
                )
            )
            if projections is None:
                return False
            await context.projector.project(projections)
        return True

    async def _may_pull(self, request: Request, repository: str) -> bool:
        try:
            await self._context.authenticator.authorize(
                request.headers.get("authorization"),
                repository_access(repository, ("pull",)),
                self._context.urls.origin(request),
            )
        except Unauthorized:
            return False
        return True


class Upload:
    """One upload."""

    def __init__(self, context: Context, commit: BlobCommit) -> None:
        self._context = context
        self._commit = commit

    def verified_state(self, request: Request, repository: str, upload: str) -> UploadState:
        """Return the state of the request's ``_state`` parameter.

        Raises:
            RegistryError: BLOB_UPLOAD_INVALID when it is missing, forged, or of another upload.
        """
        text = request.parameter("_state")
        if not text:
            raise RegistryError(
                "BLOB_UPLOAD_INVALID",
                detail="the _state parameter is missing; use the Location of the upload's last answer as it is",
            )
        try:
            state = self._context.states.decode(text)
        except InvalidState as error:
            raise RegistryError("BLOB_UPLOAD_INVALID", detail=str(error)) from None
        if (state.repository, state.uuid) != (repository, upload):
            raise RegistryError(
                "BLOB_UPLOAD_INVALID", detail="the _state parameter is of another upload; use its Location as it is"
            )
        return state

    async def get(self, request: Request, repository: str, reference: str, identity: Identity) -> Response:
        """Say how far an upload is: 204 with ``Range`` and ``Location``.

        The right ``_state`` is not needed, so that a client can recover that lost it or holds one from before
        ``http.secret`` changed.
        """
        size = await self._context.uploads.size(repository, _check_uuid(reference))
        try:
            state = at_size(self.verified_state(request, repository, reference), size)
        except RegistryError:
            state = UploadState(repository, reference, size, "", subject=identity.subject)
        return accepted(self._context, request, state, status=204)

    async def patch(self, request: Request, repository: str, reference: str, _identity: Identity) -> Response:
        """Append a chunk: 202, or 416 when it does not begin where the upload ends."""
        context = self._context
        state = self.verified_state(request, repository, _check_uuid(reference))
        state, length = await self._at_range(request, state)
        state = await context.uploads.append(state, request.chunks(), length)
        return accepted(context, request, state)

    async def _at_range(self, request: Request, state: UploadState) -> tuple[UploadState, int | None]:
        """Return where the chunk goes and how long it is (None: not announced).

        With ``Content-Range`` a client may use an older Location of the upload: the range says what it means.

        Raises:
            RegistryError: RANGE_INVALID when it does not begin where the upload ends, SIZE_INVALID when it does not
                have the bytes that the range says, BLOB_UPLOAD_UNKNOWN.
        """
        length = request.content_length
        content_range = request.headers.get("content-range")
        if content_range is None:
            return state, length
        start, end = parse_content_range(content_range)
        if length is not None and length != end - start:
            raise RegistryError(
                "SIZE_INVALID", detail=f"Content-Range has {end - start} bytes, Content-Length {length}"
            )
        size = await self._context.uploads.size(state.repository, state.uuid)
        state = at_size(state, size)
        if start != size:
            raise out_of_order(self._context, request, state, start)
        return state, end - start

    async def put(self, request: Request, repository: str, reference: str, identity: Identity) -> Response:
        """Finish an upload, with or without a last chunk: 201, or 400 DIGEST_INVALID."""
        context = self._context
        state = self.verified_state(request, repository, _check_uuid(reference))
        digest_text = request.parameter("digest")
        if digest_text is None:
            raise RegistryError(
                "DIGEST_INVALID", "digest missing", detail="finish an upload with ?digest=<algorithm>:<hex>"
            )
        digest = Digest.parse(digest_text)
        length = request.content_length
        if length == 0 or (length is None and request.headers.get("transfer-encoding") is None):
            # Without a last chunk an older Location is as good as the newest: the digest decides.
            if state.digest != digest.hex or state.algorithm != digest.algorithm:
                state = at_size(state, await context.uploads.size(repository, reference))
            return await finish(context, self._commit, request, state, digest, identity)
        state, length = await self._at_range(request, state)
        if await self._is_whole(state, length):
            return await self._finish_at_once(request, state, digest, identity)
        state = await context.uploads.append(state, request.chunks(), length)
        return await finish(context, self._commit, request, state, digest, identity)

    async def _is_whole(self, state: UploadState, length: int | None) -> bool:
        """Tell whether the request that finishes an upload has all of a large blob, where finishing is a copy."""
        context = self._context
        is_large = length is None or length > SMALL
        if state.offset or not is_large or not context.driver.shared:
            return False
        return await context.uploads.size(state.repository, state.uuid) == 0

    async def _finish_at_once(
        self, request: Request, state: UploadState, digest: Digest, identity: Identity
    ) -> Response:
        """Take the blob to its place as it comes in, and forget the upload."""
        uploads = self._context.uploads
        try:
            answer = await push_whole(self._context, self._commit, request, state.repository, digest, identity)
        except RegistryError as error:
            if error.code == "DIGEST_INVALID":
                await uploads.forget(state.repository, state.uuid)
            raise
        await uploads.forget(state.repository, state.uuid)
        return answer

    async def delete(self, request: Request, repository: str, reference: str, _identity: Identity) -> Response:
        """Cancel an upload: 204, or 404 BLOB_UPLOAD_UNKNOWN."""
        _check_uuid(reference)
        if request.parameter("_state"):
            self.verified_state(request, repository, reference)
        await self._context.uploads.cancel(repository, reference)
        return Response(204)


def at_size(state: UploadState, size: int) -> UploadState:
    """Return the state of an upload that has so many bytes; their digest is known only if the state had as many."""
    return state if state.offset == size else replace(state, offset=size, digest="")


def accepted(context: Context, request: Request, state: UploadState, status: int = 202) -> Response:
    """Return the answer that tells where an upload stands and where it goes on."""
    location = context.urls.upload(request, state.repository, state.uuid, context.states.encode(state))
    return Response(
        status,
        [
            ("location", location),
            ("range", f"0-{max(state.offset - 1, 0)}"),
            ("docker-upload-uuid", state.uuid),
        ],
    )


def out_of_order(context: Context, request: Request, state: UploadState, start: int) -> RegistryError:
    """Return the error for a chunk that does not begin where the upload ends, with the place where it does."""
    return RegistryError(
        "RANGE_INVALID",
        detail=f"the upload has {state.offset} bytes, but the chunk begins at {start}; go on at {state.offset}",
        headers=tuple(accepted(context, request, state).headers),
    )


async def push_small(
    context: Context, commit: BlobCommit, request: Request, repository: str, digest: Digest, identity: Identity
) -> Response:
    """Push a blob of at most ``SMALL`` bytes whose whole content is the request's body."""
    content = await request.read(SMALL)
    expected = request.content_length
    if content is None or (expected is not None and len(content) != expected):
        raise RegistryError("SIZE_INVALID", detail=f"the body does not have the {expected} bytes announced")
    async with context.change():
        await context.uploads.put_small(content, digest, is_stored=await commit.is_stored(digest, len(content)))
        await commit.record(repository, digest, len(content), identity)
    return commit.created(request, repository, digest)


async def push_whole(
    context: Context, commit: BlobCommit, request: Request, repository: str, digest: Digest, identity: Identity
) -> Response:
    """Push a blob whose whole content is the request's body, straight to its place."""
    received = await context.uploads.receive(request.chunks(), digest, request.content_length)
    try:
        async with context.change():
            if not await commit.is_stored(digest, received.size):
                await received.commit(context.driver)
            await commit.record(repository, digest, received.size, identity)
    finally:
        await received.discard()
    return commit.created(request, repository, digest)


async def finish(
    context: Context,
    commit: BlobCommit,
    request: Request,
    state: UploadState,
    digest: Digest,
    identity: Identity,
) -> Response:
    """Verify an upload, make it a blob of its repository and answer."""
    # Verifying may take long: the storage may be exchanged meanwhile.
    await context.uploads.verify(state, digest)
    async with context.change():
        await context.uploads.settle(state, digest, is_stored=await commit.is_stored(digest, state.offset))
        await commit.record(state.repository, digest, state.offset, identity)
    return commit.created(request, state.repository, digest)


def pull_source(request: Request) -> str | None:
    """Return the repository that a mount comes from, which the caller must be allowed to pull."""
    source = request.parameter("from")
    return source if source and request.parameter("mount") and is_repository_name(source) else None


def _algorithm(request: Request) -> str:
    """Return ``digest-algorithm``, by which bytes are hashed as they come in (endpoint end-4c)."""
    algorithm = request.parameter("digest-algorithm") or DEFAULT_ALGORITHM
    if algorithm not in HEX_LENGTHS:
        raise RegistryError(
            "DIGEST_INVALID",
            "unsupported digest algorithm",
            detail={"digest-algorithm": algorithm[:64], "reason": UNSUPPORTED_ALGORITHM},
        )
    return algorithm


def _check_uuid(text: str) -> str:
    if not UUID.fullmatch(text):
        raise RegistryError("BLOB_UPLOAD_UNKNOWN", detail={"uuid": text[:256], "reason": "this is not an upload's id"})
    return text
