"""Uploads of blobs: begun, appended to, finished and cancelled by any worker, at flat memory.

Concurrency: bytes are hashed and written in threads, a batch at a time, while the next batch is read; a stream holds
three batches at most. What is small is hashed at once, because a thread would cost more than the hashing. The driver's
upload writer excludes other requests for the same upload.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections import OrderedDict
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from matou.registry.blobs import layout
from matou.registry.blobs.transfer import transfer
from matou.registry.blobs.upload_state import UploadState
from matou.registry.content.digest import DEFAULT_ALGORITHM, HEX_LENGTHS, Digest
from matou.registry.drivers.base import Conflict, NotFound
from matou.registry.errors import RegistryError
from matou.system.boot import boot_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from concurrent.futures import Executor

    from matou.registry.drivers.base import ContentWriter, Driver, UploadWriter

BATCH = 1 << 20  # bytes hashed and written at a time
SMALL_BATCH = 1 << 17  # bytes hashed on the event loop: 80 microseconds
SMALL = 1 << 20  # bytes; a blob up to here that comes in one request needs no upload file
STALLED = 900.0  # seconds for a batch: a client that went away without a word must not keep the upload locked
HASHERS = 512  # uploads whose running hash a worker remembers


class Hasher(Protocol):
    """What ``hashlib`` makes."""

    def update(self, data: bytes, /) -> None:
        """Hash more bytes."""
        ...

    def hexdigest(self) -> str:
        """Return the digest of the bytes so far."""
        ...


class Uploads:
    """The uploads of a worker.

    Args:
        driver: the storage.
        executor: threads for hashing.
    """

    def __init__(self, driver: Driver, executor: Executor) -> None:
        self._driver = driver
        self._executor = executor
        self._boot = boot_id()
        self._hashers: OrderedDict[tuple[str, str], tuple[int, Hasher]] = OrderedDict()

    async def begin(self, repository: str, subject: str, algorithm: str = DEFAULT_ALGORITHM) -> UploadState:
        """Begin an upload.

        Args:
            repository: name.
            subject: who begins it.
            algorithm: of the digest that the blob is expected to get; the bytes are hashed by it as they come in.
        """
        started_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        state = UploadState(
            repository, str(uuid.uuid4()), 0, started_at, boot=self._boot, subject=subject, algorithm=algorithm
        )
        await self._driver.upload_begin(layout.upload(repository, state.uuid))
        return state

    async def size(self, repository: str, upload: str) -> int:
        """Return the bytes that an upload has.

        Raises:
            RegistryError: BLOB_UPLOAD_UNKNOWN.
        """
        try:
            return await self._driver.upload_size(layout.upload(repository, upload))
        except NotFound:
            raise _unknown(upload) from None

    async def append(self, state: UploadState, body: AsyncIterator[bytes], expected: int | None) -> UploadState:
        """Append a body to an upload and return its new state.

        Args:
            state: where it stands.
            body: the bytes.
            expected: how many there must be, when that was announced.

        Raises:
            RegistryError: BLOB_UPLOAD_UNKNOWN, RANGE_INVALID (another request was faster), SIZE_INVALID, or
                BLOB_UPLOAD_INVALID when the client fell silent.
            StorageFull: no room; the upload is as it was before.
        """
        hasher = self._take_hasher(state)
        try:
            writer = await self._driver.upload_open(layout.upload(state.repository, state.uuid), state.offset)
        except NotFound:
            raise _unknown(state.uuid) from None
        except Conflict as conflict:
            raise await self._out_of_order(state, conflict) from None
        try:
            appended = await self._transfer(body, writer, hasher)
        finally:
            await writer.close()
        offset = state.offset + appended
        digest = ""
        if hasher is not None:
            self._keep_hasher(state, offset, hasher)
            digest = hasher.hexdigest()
        _check_size(appended, expected, "ask for the upload's state with GET and go on from there")
        return replace(state, offset=offset, digest=digest, boot=self._boot)

    async def _transfer(
        self, body: AsyncIterator[bytes], writer: UploadWriter | ContentWriter, hasher: Hasher | None
    ) -> int:
        """Write and hash a body; return how many bytes it had."""
        size = 0
        pending: asyncio.Task[None] | None = None
        try:
            async for batch, batch_size in _batches(body):
                if pending is not None:
                    await pending
                size += batch_size
                if batch_size > SMALL_BATCH:
                    pending = asyncio.create_task(self._store(writer, hasher, batch))
                else:
                    pending = None
                    _update(hasher, batch)
                    await writer.write(batch)
        finally:
            if pending is not None:
                await pending
        return size

    async def finish(self, state: UploadState, digest: Digest, *, is_stored: bool) -> None:
        """Verify an upload and make it a blob; see ``verify`` and ``settle``."""
        await self.verify(state, digest)
        await self.settle(state, digest, is_stored=is_stored)

    async def verify(self, state: UploadState, digest: Digest) -> None:
        """Find out whether an upload is what the client says that it is.

        Raises:
            RegistryError: DIGEST_INVALID (the upload is cancelled), BLOB_UPLOAD_UNKNOWN or RANGE_INVALID.
        """
        actual = await self._digest(state, digest.algorithm)
        if actual != digest.hex:
            await self.cancel(state.repository, state.uuid)
            raise RegistryError(
                "DIGEST_INVALID",
                detail={"digest": digest, "actual": f"{digest.algorithm}:{actual}", "size": state.offset},
            )

    async def settle(self, state: UploadState, digest: Digest, *, is_stored: bool) -> None:
        """Make a verified upload a blob.

        Args:
            state: where it stands.
            digest: of it.
            is_stored: whether storage has the blob already; the upload is then deleted.

        Raises:
            RegistryError: BLOB_UPLOAD_UNKNOWN or RANGE_INVALID.
        """
        if is_stored:
            await self.forget(state.repository, state.uuid)
            return
        self._forget_hashers(state.uuid)
        data = layout.upload(state.repository, state.uuid)
        try:
            await self._driver.upload_commit(data, state.offset, layout.blob_data(digest))
        except NotFound:
            raise _unknown(state.uuid) from None
        except Conflict as conflict:
            raise await self._out_of_order(state, conflict) from None

    async def receive(self, body: AsyncIterator[bytes], digest: Digest, expected: int | None) -> ReceivedBlob:
        """Take a blob that comes whole in one request, straight to where its place will be, and verify it.

        Args:
            body: the bytes.
            digest: what the client says that it is.
            expected: how many bytes there must be, when that was announced.

        Returns:
            The blob, which is to be committed, and discarded in any case.

        Raises:
            RegistryError: DIGEST_INVALID, SIZE_INVALID, or BLOB_UPLOAD_INVALID when the client fell silent.
        """
        hasher: Hasher = hashlib.new(digest.algorithm)
        content = await self._driver.content_open(layout.blob_data(digest))
        try:
            size = await self._transfer(body, content, hasher)
            _check_size(size, expected, "push the blob again")
            actual = f"{digest.algorithm}:{hasher.hexdigest()}"
            if actual != digest:
                raise RegistryError("DIGEST_INVALID", detail={"digest": digest, "actual": actual, "size": size})
        except BaseException:
            await content.discard()
            raise
        return ReceivedBlob(digest, size, content, self._driver, self._executor)

    async def put_small(self, content: bytes, digest: Digest, *, is_stored: bool) -> None:
        """Store a blob that came whole in one request of at most ``SMALL`` bytes.

        Raises:
            RegistryError: DIGEST_INVALID.
        """
        actual = Digest.of(content, digest.algorithm)
        if actual != digest:
            raise RegistryError("DIGEST_INVALID", detail={"digest": digest, "actual": actual, "size": len(content)})
        if not is_stored:
            await self._driver.put(layout.blob_data(digest), content)

    async def cancel(self, repository: str, upload: str) -> None:
        """Delete an upload.

        Raises:
            RegistryError: BLOB_UPLOAD_UNKNOWN.
        """
        await self.size(repository, upload)
        await self.forget(repository, upload)

    async def forget(self, repository: str, upload: str) -> None:
        """Delete an upload, whether it is there or not."""
        self._forget_hashers(upload)
        await self._driver.delete(layout.upload(repository, upload))

    def _forget_hashers(self, upload: str) -> None:
        for algorithm in HEX_LENGTHS:
            self._hashers.pop((upload, algorithm), None)

    async def _digest(self, state: UploadState, algorithm: str) -> str:
        if algorithm == state.algorithm:
            # What object storage has acknowledged, it has: no matter on which machine, and after which crash.
            if state.digest and (state.boot == self._boot or self._driver.shared):
                return state.digest
            running = self._take_hasher(state)
            if running is not None:
                return running.hexdigest()
        # Another worker had the running hash and is gone, or the algorithm is another: read what was written.
        rehash: Hasher = hashlib.new(algorithm)
        if state.offset:
            data = layout.upload(state.repository, state.uuid)
            try:
                async for piece in self._driver.upload_read(data, state.offset):
                    await self._update(rehash, (piece,))
            except NotFound:
                raise _unknown(state.uuid) from None
            except Conflict as conflict:
                raise await self._out_of_order(state, conflict) from None
        return rehash.hexdigest()

    def _take_hasher(self, state: UploadState) -> Hasher | None:
        if state.offset == 0:
            return hashlib.new(state.algorithm)
        offset, hasher = self._hashers.pop((state.uuid, state.algorithm), (-1, None))
        return hasher if offset == state.offset else None

    def _keep_hasher(self, state: UploadState, offset: int, hasher: Hasher) -> None:
        self._hashers[state.uuid, state.algorithm] = (offset, hasher)
        if len(self._hashers) > HASHERS:
            self._hashers.popitem(last=False)

    async def _store(self, writer: UploadWriter | ContentWriter, hasher: Hasher | None, batch: Sequence[bytes]) -> None:
        """Write and hash in threads; both have ended when this has, however it does: the writer may be closed then."""
        hashing = asyncio.create_task(self._update(hasher, batch))
        try:
            await writer.write(batch)
        finally:
            await hashing

    async def _update(self, hasher: Hasher | None, batch: Sequence[bytes]) -> None:
        if hasher is not None:
            await asyncio.get_running_loop().run_in_executor(self._executor, _update, hasher, batch)

    async def _out_of_order(self, state: UploadState, conflict: Conflict) -> RegistryError:
        size = await self.size(state.repository, state.uuid)
        return RegistryError(
            "RANGE_INVALID",
            detail=f"{conflict}; ask for the upload's state with GET and go on from there",
            headers=(("range", f"0-{max(size - 1, 0)}"), ("docker-upload-uuid", state.uuid)),
        )


class ReceivedBlob:
    """A blob that came whole and was verified; nobody sees it before it is committed.

    Args:
        digest: of it.
        size: bytes.
        content: all of it.
        driver: the storage that it was written to.
        executor: threads for hashing.
    """

    def __init__(self, digest: Digest, size: int, content: ContentWriter, driver: Driver, executor: Executor) -> None:
        self.size = size
        self._digest = digest
        self._content = content
        self._driver = driver
        self._executor = executor

    async def commit(self, driver: Driver) -> None:
        """Store it.

        Args:
            driver: the storage: another one when it was exchanged since the blob began to come in.
        """
        await self._content.commit()
        if driver is not self._driver:
            path = layout.blob_data(self._digest)
            pieces = self._driver.read(path, 0, self.size)
            await transfer(pieces, self.size, driver, path, self._digest, self._executor)

    async def discard(self) -> None:
        """Throw away what was not committed."""
        await self._content.discard()


def _check_size(size: int, expected: int | None, remedy: str) -> None:
    if expected is not None and size != expected:
        raise RegistryError(
            "SIZE_INVALID", detail=f"{size} bytes came in, but Content-Length announced {expected}; {remedy}"
        )


def _update(hasher: Hasher | None, batch: Sequence[bytes]) -> None:
    if hasher is not None:
        for piece in batch:
            hasher.update(piece)


def _unknown(upload: str) -> RegistryError:
    return RegistryError(
        "BLOB_UPLOAD_UNKNOWN", detail={"uuid": upload, "reason": "it ended, was cancelled or purged; begin a new one"}
    )


async def _batches(body: AsyncIterator[bytes]) -> AsyncIterator[tuple[list[bytes], int]]:
    more = True
    while more:
        batch, size, more = await _batch(body)
        if batch:
            yield batch, size


async def _batch(body: AsyncIterator[bytes]) -> tuple[list[bytes], int, bool]:
    """Return the next pieces, their size, and whether there may be more."""
    batch: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(STALLED):
            async for piece in body:
                if piece:
                    batch.append(piece)
                    size += len(piece)
                if size >= BATCH:
                    return batch, size, True
    except TimeoutError:
        raise RegistryError(
            "BLOB_UPLOAD_INVALID",
            "the upload stalled",
            detail=f"less than {BATCH} bytes came in within {STALLED:.0f} seconds; ask for the upload's state with GET "
            "and go on from there",
            status=408,
        ) from None
    return batch, size, False
