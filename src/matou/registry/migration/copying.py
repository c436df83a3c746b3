"""Copies single objects from one storage to another, as what they are: blobs that never change, and links that do."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from matou.registry.blobs.layout import digest_of_blob
from matou.registry.blobs.transfer import WHOLE, WrongDigest, transfer, update
from matou.registry.content.digest import Digest
from matou.registry.drivers.base import NotFound, StorageError
from matou.registry.migration.tree_objects import linked_digest, names_itself

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from matou.registry.blobs.uploads import Hasher
    from matou.registry.drivers.base import Driver
    from matou.registry.migration.tree_objects import TreeObject


class Unfit(Exception):  # noqa: N818 -- what the object is
    """An object must not be copied, now or later: it is damaged, or names what is; the message says which and why."""


class Copier:
    """Copies.

    Args:
        source: is read only.
        destination: is written to.
        hashing: threads.
        verify: whether blobs are read back, those that were there as well as those that were copied.
        dry_run: whether writing is left out.
    """

    def __init__(
        self, source: Driver, destination: Driver, hashing: Executor, *, verify: bool = False, dry_run: bool = False
    ) -> None:
        self._source = source
        self._destination = destination
        self._hashing = hashing
        self._verify = verify
        self._dry_run = dry_run
        self.lost: set[str] = set()  # digests of blobs that were not copied

    def is_settled(self, item: TreeObject) -> bool:
        """Tell whether nothing has to be done for an object, as far as sizes tell."""
        return digest_of_blob(item.path) is not None and item.existing == item.size and not self._verify

    async def copy(self, item: TreeObject) -> bool:
        """Bring the destination in line with the source; return whether that took a copy.

        Raises:
            Unfit: the content is not what its digest says, or a link names a blob that was not copied.
            NotFound: the source no longer has the object.
            StorageError: one of the two failed.
        """
        digest = digest_of_blob(item.path)
        if digest is not None:
            self.lost.add(digest)
            copied = await self._blob(item, digest)
            self.lost.discard(digest)
            return copied
        if item.size <= WHOLE:
            return await self._link(item)
        return await self._opaque(item)

    async def _blob(self, item: TreeObject, digest: Digest) -> bool:
        path, size = item.path, item.size
        if item.existing == size and await self._is_whole(self._destination, path, size, digest):
            return False
        if size == 0 and digest != Digest.of(b"", digest.algorithm):
            raise Unfit(f"{path} is empty at the source")
        if self._dry_run:
            return True
        if not await self._destination.copy_from(self._source, path, size):
            await self._transfer(path, size, digest)
        elif (await self._destination.stat(path)).size != size:
            raise StorageError(f"{path} was copied inside the storage, but has another size there")
        if self._verify and not await self._is_whole(self._destination, path, size, digest):
            await self._destination.delete(path)
            raise Unfit(f"{path} has another digest when it is read back; it was deleted at the destination")
        return True

    async def _link(self, item: TreeObject) -> bool:
        content = await self._source.get(item.path)
        digest = linked_digest(content)
        if digest in self.lost:
            raise Unfit(f"{item.path} names {digest}, which was not copied")
        if item.existing == len(content):
            # Object storage has an object as a whole or not at all: this link can name nothing else there.
            if self._destination.shared and not self._verify and names_itself(item.path, digest):
                return False
            try:
                if await self._destination.get(item.path) == content:
                    return False
            except NotFound:
                pass
        if not self._dry_run:
            await self._destination.put(item.path, content, durable=False)
        return True

    async def _opaque(self, item: TreeObject) -> bool:
        """Copy something large that is no blob: no registry writes such, but it is somebody's."""
        path, size = item.path, item.size
        if item.existing == size:
            ours = await self._hash(self._source, path, size, hashlib.sha256())
            if ours == await self._hash(self._destination, path, size, hashlib.sha256()):
                return False
        if not self._dry_run and not await self._destination.copy_from(self._source, path, size):
            await self._transfer(path, size, None)
        return True

    async def _transfer(self, path: str, size: int, digest: Digest | None) -> None:
        try:
            await transfer(self._source.read(path, 0, size), size, self._destination, path, digest, self._hashing)
        except WrongDigest:
            raise Unfit(f"{path} has another digest at the source") from None

    async def _is_whole(self, driver: Driver, path: str, size: int, digest: Digest) -> bool:
        try:
            return await self._hash(driver, path, size, hashlib.new(digest.algorithm)) == digest.hex
        except NotFound:
            return False

    async def _hash(self, driver: Driver, path: str, size: int, running: Hasher) -> str:
        async for piece in driver.read(path, 0, size):
            await update(running, piece, self._hashing)
        return running.hexdigest()
