"""The object store of ``storage.oss``.

Source: Distribution 2.8, ``registry/storage/driver/oss``, for the keys: ``rootdirectory`` without slashes around it, a
slash, the path.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from matou.registry.drivers.object_store import Listing, Segment, SegmentRules, StoredObject
from matou.registry.drivers.oss.assembly import make_object
from matou.registry.drivers.oss.bucket import Bucket, Encryption
from matou.registry.drivers.oss.content import MultipartContent
from matou.registry.drivers.oss.credentials import credentials_of
from matou.registry.drivers.oss.endpoint import endpoint_of
from matou.registry.drivers.oss.failures import Inaccessible
from matou.registry.drivers.part_plan import direct
from matou.registry.drivers.requests import RequestLimit, Requests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from matou.config.sections.oss import OssParameters
    from matou.registry.drivers.base import ContentWriter
    from matou.registry.drivers.factory import Surroundings
    from matou.registry.drivers.object_store import ObjectStore
    from matou.registry.drivers.oss.bucket import Found

RETRIES = 10
OURS = ("docker/", "matou/")  # what a registry keeps: multipart uploads of others in the bucket are not touched


class OssStore:
    """Objects of one bucket below one root directory. No request is sent before a method is called.

    Args:
        parameters: of the driver.
        surroundings: who is told of retries.
    """

    name = "oss"
    keeps_segments = False

    def __init__(self, parameters: OssParameters, surroundings: Surroundings) -> None:
        self.bucket = Bucket(
            parameters.bucket,
            endpoint_of(parameters),
            credentials_of(parameters),
            Encryption(parameters.encrypt, parameters.encryptionkeyid),
            Requests(RETRIES, RequestLimit(0), surroundings.observer, patience=surroundings.patience),
        )
        self.segments = SegmentRules(parameters.chunksize)
        root = parameters.rootdirectory.strip("/")
        self._root = f"{root}/" if root else ""

    def segment_prefix(self, upload: str) -> str:
        """See ``ObjectStore.segment_prefix``."""
        return f"{upload}/"

    def key(self, path: str) -> str:
        """Return the key of a path in the bucket."""
        return self._root + path

    def _stored(self, found: Found) -> StoredObject:
        return StoredObject(found.key.removeprefix(self._root), found.size, found.modified)

    async def get(self, key: str) -> bytes:
        """See ``ObjectStore.get``."""
        return await self.bucket.get(self.key(key))

    async def put(self, key: str, chunks: Sequence[bytes]) -> None:
        """See ``ObjectStore.put``."""
        await self.bucket.put(self.key(key), chunks)

    async def head(self, key: str) -> StoredObject:
        """See ``ObjectStore.head``."""
        return self._stored(await self.bucket.head(self.key(key)))

    def read(self, key: str, start: int, length: int) -> AsyncIterator[bytes]:
        """See ``ObjectStore.read``."""
        return self.bucket.read(self.key(key), start, length)

    def relay(self, key: str, start: int, length: int) -> AsyncIterator[bytes]:
        """See ``ObjectStore.relay``."""
        return self.read(key, start, length)

    async def list(self, prefix: str, *, directories: bool) -> AsyncIterator[Listing]:
        """See ``ObjectStore.list``."""
        whole = self.key(prefix)
        token: str | None = None
        while True:
            page = await self.bucket.page(whole, "/" if directories else "", token)
            yield Listing(
                [self._stored(found) for found in page.objects],
                [found[len(whole) :].rstrip("/") for found in page.prefixes],
            )
            token = page.next
            if token is None:
                return

    async def delete(self, keys: Sequence[str]) -> None:
        """See ``ObjectStore.delete``."""
        await self.bucket.delete([self.key(key) for key in keys])

    async def assemble(self, segments: Sequence[Segment], key: str) -> None:
        """See ``ObjectStore.assemble``."""
        whole = [Segment(self.key(segment.key), segment.size) for segment in segments]
        await make_object(self.bucket, self.key(key), self.bucket.name, whole)

    async def open(self, key: str) -> ContentWriter | None:
        """See ``ObjectStore.open``."""
        return MultipartContent(self.bucket, self.key(key), direct(self.segments))

    async def url(self, key: str, method: str, seconds: float) -> str | None:
        """See ``ObjectStore.url``."""
        return await self.bucket.url(self.key(key), method, seconds)

    async def copy_from(self, source: ObjectStore, key: str, size: int) -> bool:
        """See ``ObjectStore.copy_from``. OSS copies inside a region, as far as our key may read the source."""
        if not isinstance(source, OssStore) or source.bucket.endpoint.place != self.bucket.endpoint.place:
            return False
        try:
            await make_object(self.bucket, self.key(key), source.bucket.name, [Segment(source.key(key), size)])
        except Inaccessible:
            return False
        return True

    async def sweep(self, age: float) -> int:
        """See ``ObjectStore.sweep``."""
        before = time.time() - age
        count = 0
        for prefix in OURS:
            async for upload in self.bucket.multiparts.list(self.key(prefix)):
                if upload.begun <= before:
                    await self.bucket.multiparts.abort(upload.key, upload.id)
                    count += 1
        return count

    async def close(self) -> None:
        """See ``ObjectStore.close``."""
        await self.bucket.close()
