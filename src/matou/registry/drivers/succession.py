"""A storage that has taken the place of another one, with the uploads that were begun on that.

Concurrency: as the two drivers. An upload is on one of the two from its begin to its end, so both exclude and count its
writers as ever.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, TypeVar

from matou.registry.blobs import layout
from matou.registry.blobs.transfer import WrongDigest, transfer
from matou.registry.drivers.base import Conflict, NotFound, StorageError, StorageFull

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable
    from concurrent.futures import Executor

    from matou.registry.drivers.base import ContentWriter, Driver, Stat, UploadWriter
    from matou.registry.drivers.unread import Unread

T = TypeVar("T")

log = logging.getLogger("matou.registry")

FOLLOWED = 86400.0  # seconds after the exchange for which uploads are looked for on the old storage, too


class SuccessorDriver:
    """See ``Driver`` for what its methods do. All but uploads is the new storage's.

    Args:
        new: is in charge.
        old: was; is closed with this one.
        since: when that ended, seconds since the epoch, UTC.
        hashing: threads.
    """

    def __init__(self, new: Driver, old: Driver, since: float, hashing: Executor) -> None:
        self.name = new.name
        self.shared = new.shared
        self._new = new
        self._old = old
        self._until = since + FOLLOWED
        self._hashing = hashing

    @property
    def _follows(self) -> bool:
        return time.time() < self._until

    async def _on_old(self, work: Awaitable[T]) -> T:
        """Wait for the old storage. One that fails, as it may have been put out of use, has no upload any more."""
        try:
            return await work
        except (NotFound, Conflict, StorageFull):
            raise
        except StorageError as error:
            log.warning("the old storage cannot be asked for uploads that were begun on it: %s", error)
            raise NotFound(f"the old storage has no uploads any more: {error}") from error

    async def get(self, path: str) -> bytes:
        """See ``Driver.get``."""
        return await self._new.get(path)

    async def put(self, path: str, content: bytes, *, durable: bool = True) -> None:
        """See ``Driver.put``."""
        await self._new.put(path, content, durable=durable)

    async def flush(self) -> None:
        """See ``Driver.flush``."""
        await self._new.flush()

    async def stat(self, path: str) -> Stat:
        """See ``Driver.stat``."""
        return await self._new.stat(path)

    def read(self, path: str, start: int, length: int) -> AsyncIterator[bytes]:
        """See ``Driver.read``."""
        return self._new.read(path, start, length)

    def relay(self, path: str, start: int, length: int) -> AsyncIterator[bytes | Unread]:
        """See ``Driver.relay``."""
        return self._new.relay(path, start, length)

    def local_path(self, path: str) -> str | None:
        """See ``Driver.local_path``."""
        return self._new.local_path(path)

    async def url(self, path: str, method: str, seconds: float) -> str | None:
        """See ``Driver.url``."""
        return await self._new.url(path, method, seconds)

    async def list(self, path: str) -> list[str]:
        """See ``Driver.list``."""
        return await self._new.list(path)

    def walk(self, path: str) -> AsyncIterator[tuple[str, Stat]]:
        """See ``Driver.walk``."""
        return self._new.walk(path)

    async def delete(self, path: str) -> None:
        """See ``Driver.delete``; an upload goes where it is."""
        await self._new.delete(path)
        if self._follows and layout.part_of(path)[:1] == [layout.UPLOADS]:
            await self._on_old(self._old.delete(path))

    async def upload_begin(self, path: str) -> None:
        """See ``Driver.upload_begin``."""
        await self._new.upload_begin(path)

    async def upload_open(self, path: str, offset: int) -> UploadWriter:
        """See ``Driver.upload_open``."""
        try:
            return await self._new.upload_open(path, offset)
        except NotFound:
            if not self._follows:
                raise
        return await self._on_old(self._old.upload_open(path, offset))

    async def upload_size(self, path: str) -> int:
        """See ``Driver.upload_size``."""
        try:
            return await self._new.upload_size(path)
        except NotFound:
            if not self._follows:
                raise
        return await self._on_old(self._old.upload_size(path))

    async def upload_read(self, path: str, size: int) -> AsyncIterator[bytes]:
        """See ``Driver.upload_read``."""
        try:
            async for piece in self._new.upload_read(path, size):
                yield piece
        except NotFound:
            if not self._follows:
                raise
        else:
            return
        async for piece in self._old.upload_read(path, size):
            yield piece

    async def upload_commit(self, path: str, size: int, destination: str) -> None:
        """See ``Driver.upload_commit``; an upload of the old storage is read and written."""
        try:
            await self._new.upload_commit(path, size, destination)
        except NotFound:
            if not self._follows:
                raise
        else:
            return
        digest = layout.digest_of_blob(destination)
        # Opened for a moment: nobody writes to it, and it has all its bytes.
        await (await self._on_old(self._old.upload_open(path, size))).close()
        try:
            await transfer(self._old.upload_read(path, size), size, self._new, destination, digest, self._hashing)
        except WrongDigest as error:
            raise StorageError(f"the upload {path} is damaged: {error}") from error
        await self._old.delete(path)

    async def content_open(self, path: str) -> ContentWriter:
        """See ``Driver.content_open``."""
        return await self._new.content_open(path)

    async def copy_from(self, source: Driver, path: str, size: int) -> bool:
        """See ``Driver.copy_from``."""
        return await self._new.copy_from(source, path, size)

    async def sweep(self, age: float) -> int:
        """See ``Driver.sweep``."""
        return await self._new.sweep(age)

    async def close(self) -> None:
        """See ``Driver.close``."""
        await self._new.close()
        await self._old.close()
