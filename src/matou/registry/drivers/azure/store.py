"""The blobs of a container.

Concurrency: everything runs on the event loop. Blobs are replaced as a whole by the service; see ``blocks`` and
``copying`` for what several processes may do to one at once.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from azure.storage.blob.aio import BlobPrefix

from matou.registry.drivers.azure.account import Account
from matou.registry.drivers.azure.blocks import GONE, Blocks, new_stamp, staged_at, staged_block
from matou.registry.drivers.azure.connection import SHORT, Connection
from matou.registry.drivers.azure.content import StagedBlob
from matou.registry.drivers.azure.copying import DONE, OTHER_TYPE, Copier, Pace
from matou.registry.drivers.azure.debug_log import DebugLog
from matou.registry.drivers.azure.errors import Refusal
from matou.registry.drivers.azure.names import Names
from matou.registry.drivers.azure.segments import block_of, data_of
from matou.registry.drivers.base import NotFound, StorageError
from matou.registry.drivers.object_store import Listing, Misplaced, SegmentRules, SelfChecking, StoredObject
from matou.registry.drivers.requests import LONGEST_PAUSE, RequestLimit, Requests
from matou.registry.drivers.streams import closing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from azure.storage.blob import BlobProperties

    from matou.config.sections.azure import AzureParameters
    from matou.registry.drivers.factory import Surroundings
    from matou.registry.drivers.object_store import ObjectStore, Segment

MIB = 1 << 20
TREE = "docker/registry"
SINGLE_PUT = MIB  # bytes of a blob that is stored in one request
DELETED_AT_ONCE = 16  # requests: the service's own batches have limits of their own, and fail in part
OVERTAKEN = 5  # times that another writer may replace a blob between staging and committing it
PAGE = 5000  # blobs; the most that the service gives
COPY_SECONDS = 86400.0  # for which a source is signed
CHANGED = "ConditionNotMet"


class AzureStore(SelfChecking):
    """See ``ObjectStore``.

    Args:
        parameters: of the driver.
        surroundings: what it shares with others.

    Raises:
        StorageError: the account's key is none.
    """

    name = "azure"
    segments = SegmentRules(8 * MIB, growth=8000)  # 2 TiB in 50,000 blocks
    keeps_segments = False

    def __init__(self, parameters: AzureParameters, surroundings: Surroundings) -> None:
        self.names = Names.of(parameters)
        debug_log = DebugLog(parameters.events, surroundings.observer)
        requests = Requests(
            parameters.max_retries,
            RequestLimit(0),
            debug_log,
            first_pause=parameters.retry_delay,
            longest_pause=parameters.max_retry_delay or LONGEST_PAUSE,
            patience=surroundings.patience,
        )
        self.connection = Connection(
            Account.of(parameters),
            requests,
            debug_log,
            skipverify=parameters.skipverify,
            try_timeout=parameters.retry_try_timeout,
        )
        self.blocks = Blocks(self.connection)
        self.copier = Copier(self.connection, Pace.of(parameters))

    def segment_prefix(self, upload: str) -> str:
        """See ``ObjectStore.segment_prefix``."""
        return f"{upload}/"

    async def get(self, key: str) -> bytes:
        """See ``ObjectStore.get``."""
        name = self.names.name(key)

        async def once() -> bytes:
            async with closing(self.connection.read(name, 0, None, "")) as pieces:
                return b"".join([piece async for _, piece in pieces])

        return await self.connection.requests.send(once)

    async def put(self, key: str, chunks: Sequence[bytes]) -> None:
        """See ``ObjectStore.put``."""
        name = self.names.name(key)
        try:
            await self._put(name, chunks)
        except Refusal as refusal:
            if refusal.code != OTHER_TYPE:
                raise
            # The service puts nothing over an append blob, such as Distribution once made of small content, too.
            await self.delete([key])
            await self._put(name, chunks)

    async def _put(self, name: str, chunks: Sequence[bytes]) -> None:
        if sum(map(len, chunks)) > SINGLE_PUT:
            await self._put_block(name, chunks)
            return
        blob, content = self.connection.blob(name), b"".join(chunks)
        await self.connection.send(f"storing {name}", lambda: blob.upload_blob(content, overwrite=True))

    async def _put_block(self, name: str, chunks: Sequence[bytes]) -> None:
        block = staged_block(0, new_stamp())
        for attempt in range(OVERTAKEN, -1, -1):
            await self.blocks.stage(name, block, chunks)
            try:
                await self.blocks.commit(name, [block])
            except Refusal as refusal:
                if refusal.code != GONE or not attempt:
                    raise
            else:
                return

    async def head(self, key: str) -> StoredObject:
        """See ``ObjectStore.head``. What a copy has not filled yet, or never will, is not there."""
        blob = self.connection.blob(self.names.name(key))
        found = await self.connection.send(f"looking at {blob.blob_name}", blob.get_blob_properties)
        if found.copy.status not in DONE:
            raise NotFound(f"{key} is not completely copied")
        return StoredObject(key, found.size, found.last_modified.timestamp())

    async def read(self, key: str, start: int, length: int) -> AsyncIterator[bytes]:
        """See ``ObjectStore.read``. Every attempt after the first wants the version that the first has found."""
        name, etag = self.names.name(key), ""

        async def once(start: int, length: int) -> AsyncIterator[bytes]:
            nonlocal etag
            try:
                async with closing(self.connection.read(name, start, length, etag)) as pieces:
                    async for found, piece in pieces:
                        etag = found
                        yield piece
            except Refusal as refusal:
                if refusal.code == SHORT:
                    raise StorageError(f"{key} has no {start + length} bytes") from None
                if refusal.code == CHANGED:
                    raise StorageError(f"{key} was replaced while it was read") from None
                raise

        async with closing(self.connection.requests.stream(once, start, length)) as pieces:
            async for piece in pieces:
                yield piece

    def relay(self, key: str, start: int, length: int) -> AsyncIterator[bytes]:
        """See ``ObjectStore.relay``."""
        return self.read(key, start, length)

    async def list(self, prefix: str, *, directories: bool) -> AsyncIterator[Listing]:
        """See ``ObjectStore.list``."""
        async for items in self._pages(prefix, deep=not directories):
            objects, found = [], []
            for item in items:
                key = self.names.key(item.name)
                if key is None:
                    continue
                if isinstance(item, BlobPrefix):
                    found.append(key[len(prefix) :].rstrip("/"))
                else:
                    objects.append(StoredObject(key, item.size, item.last_modified.timestamp()))
            yield Listing(objects, found)

    async def _pages(
        self, prefix: str, *, deep: bool = True, uncommitted: bool = False
    ) -> AsyncIterator[Sequence[Any]]:
        """Yield the pages of a listing as the client has them."""
        name, container = self.names.name(prefix), self.connection.container
        given: dict[str, Any] = {"name_starts_with": name or None, "results_per_page": PAGE}
        if uncommitted:
            given["include"] = ["uncommittedblobs"]
        token: str | None = None
        while True:

            async def page(token: str | None = token) -> tuple[Sequence[Any], str | None]:
                pages: Any = (container.list_blobs(**given) if deep else container.walk_blobs(**given)).by_page(token)
                return [item async for item in await anext(pages)], pages.continuation_token

            items, token = await self.connection.send(f"listing {name or 'the container'}", page)
            yield items
            if not token:
                return

    async def uncommitted(self, prefix: str) -> AsyncIterator[tuple[str, BlobProperties]]:
        """Yield the blobs of which blocks are staged and nothing is committed."""
        async for items in self._pages(prefix, uncommitted=True):
            for item in items:
                key = self.names.key(item.name)
                if not item.size and key is not None and not await self._is_committed(item.name):
                    yield key, item

    async def _is_committed(self, name: str) -> bool:
        blob = self.connection.blob(name)
        try:
            await self.connection.send(f"looking at {name}", blob.get_blob_properties)
        except NotFound:
            return False
        return True

    async def delete(self, keys: Sequence[str]) -> None:
        """See ``ObjectStore.delete``."""
        slots = asyncio.Semaphore(DELETED_AT_ONCE)

        async def delete(key: str) -> None:
            blob = self.connection.blob(self.names.name(key))
            async with slots:
                try:
                    await self.connection.send(
                        f"deleting {blob.blob_name}", lambda: blob.delete_blob(delete_snapshots="include")
                    )
                except NotFound:
                    return

        outcomes = await asyncio.gather(*map(delete, keys), return_exceptions=True)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    async def assemble(self, segments: Sequence[Segment], key: str) -> None:
        """See ``ObjectStore.assemble``: the blocks of an upload become its blob, which is copied to its place."""
        name = self.names.name(data_of(segments[0].key.rpartition("/")[0]))
        try:
            await self.blocks.commit(name, [block_of(segment.key) for segment in segments])
        except Refusal as refusal:
            if refusal.code == GONE:
                raise NotFound(f"a segment of {name} does not exist") from refusal
            raise
        size = sum(segment.size for segment in segments)
        await self.copier.place(self.connection.account.source_url(name), self.names.name(key), size)

    async def open(self, key: str) -> StagedBlob:
        """See ``ObjectStore.open``."""
        return StagedBlob(self, key)

    async def url(self, key: str, method: str, seconds: float) -> str | None:  # noqa: ARG002 -- reading is GET and HEAD
        """See ``ObjectStore.url``."""
        return await self.connection.signed_url(self.names.name(key), seconds)

    async def copy_from(self, source: ObjectStore, key: str, size: int) -> bool:  # noqa: ARG002 -- the service knows
        """See ``ObjectStore.copy_from``."""
        if not isinstance(source, AzureStore):
            return False
        url = await source.url_for(self.connection.account, key)
        if url is not None:
            await self.copier.replace(url, self.names.name(key))
        return url is not None

    async def url_for(self, account: Account, key: str) -> str | None:
        """Return the URL from which the service may copy a blob of this store; None where nothing authorises that.

        Args:
            account: that it is copied to, whose credentials ask for the copy.
            key: of the blob.
        """
        own, name = self.connection.account, self.names.name(key)
        if own.endpoint == account.endpoint and (own.signature or not account.signature):
            return own.source_url(name)
        return await self.connection.signed_url(name, COPY_SECONDS)

    async def sweep(self, age: float) -> int:
        """See ``ObjectStore.sweep``: content that was staged and never committed."""
        before, swept = time.time() - age, 0
        async for key, _ in self.uncommitted(""):
            name = self.names.name(key)
            begun = [staged_at(block) for block, _ in await self.blocks.of(name, "uncommitted")]
            if begun and all(at is not None and at < before for at in begun):
                await self.blocks.clear(name)
                swept += 1
        return swept

    async def check(self, beside: ObjectStore | None) -> None:
        """See ``SelfChecking``: a tree whose names begin the other way is invisible, and a second one would grow."""
        other = self.names.other
        if isinstance(beside, AzureStore) and beside.names == other and self._has_container_of(beside):
            return  # names are changed from one way to the other
        if await self._is_there(self.names) or not await self._is_there(other):
            return
        manner = (
            "with a slash, as those of Distribution 2 and of GitLab before 16.0" if other.slash else "without a slash"
        )
        raise Misplaced(
            f"azure: the container {self.connection.account.container} has no registry at {self.names.name(TREE)}, but "
            f"one at {other.name(TREE)}, whose names begin {manner}; set {other.setting}, or for a new registry "
            "another rootdirectory or container"
        )

    def _has_container_of(self, other: AzureStore) -> bool:
        ours, theirs = self.connection.account, other.connection.account
        return (ours.endpoint, ours.container) == (theirs.endpoint, theirs.container)

    async def _is_there(self, names: Names) -> bool:
        """Tell whether a registry's tree is in the container."""
        container, prefix = self.connection.container, names.name(f"{TREE}/")

        async def first() -> bool:
            pages = container.list_blobs(name_starts_with=prefix, results_per_page=1).by_page()
            return bool([item async for item in await anext(pages)])

        return await self.connection.send(f"listing {prefix}", first)

    async def close(self) -> None:
        """See ``ObjectStore.close``."""
        await self.connection.close()
        self.connection.requests.close()
