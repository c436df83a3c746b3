"""``storage.maintenance.uploadpurging``: deletes uploads that nobody went on with."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from matou.registry.blobs import layout
from matou.registry.blobs.tree import directories
from matou.registry.concurrency import for_each
from matou.registry.drivers.base import NotFound

if TYPE_CHECKING:
    from matou.registry.blobs.tree import Directory
    from matou.registry.drivers.base import Driver

log = logging.getLogger("matou.registry")

PURGED_AT_ONCE = 16  # repositories whose uploads are looked at; pushes and pulls come first
EMPTY_UPLOAD_AGE = 3600.0  # seconds after which an upload that has no data is taken for abandoned
EMPTY_OBJECT_AGE = 86400.0  # seconds, in object storage: of a slow client nothing shows before a part is complete


class UploadPurging:
    """What purges.

    Args:
        driver: the storage.
        age: seconds after which an upload that nothing was added to is deleted; one that Distribution left, since its
            start.
        interval: seconds between runs.
        dryrun: only log what would be deleted.
    """

    def __init__(self, driver: Driver, *, age: float, interval: float, dryrun: bool) -> None:
        self._driver = driver
        self._age = age
        self.interval = interval
        self._dryrun = dryrun

    async def run(self) -> int:
        """Purge once and return how many uploads were (or, with dryrun, would have been) deleted."""
        purged = 0

        async def purge(directory: Directory) -> None:
            nonlocal purged
            if layout.UPLOADS not in directory.parts:
                return
            repository = directory.name
            for upload in await self._abandoned(repository):
                purged += 1
                log.info("%s upload %s of %s", "would purge" if self._dryrun else "purging", upload, repository)
                if not self._dryrun:
                    await self._driver.delete(layout.upload(repository, upload))

        await for_each(directories(self._driver), purge, PURGED_AT_ONCE)
        if purged:
            log.info("upload purging: %d uploads %s", purged, "would be deleted" if self._dryrun else "deleted")
        return purged

    async def _abandoned(self, repository: str) -> list[str]:
        if self._driver.shared:
            return await self._abandoned_objects(repository)
        uploads = await self._driver.list(layout.uploads(repository))
        return [upload for upload in uploads if await self._is_abandoned_file(repository, upload)]

    async def _abandoned_objects(self, repository: str) -> list[str]:
        """Return the uploads that are too old. In object storage one listing tells when each object was stored.

        An upload of Distribution, and what was left of one of ours (a part without ``startedat``), is one like others.
        """
        prefix = f"{layout.uploads(repository)}/"
        changed: dict[str, float] = {}
        objects: dict[str, int] = {}
        async for path, found in self._driver.walk(layout.uploads(repository)):
            upload = path[len(prefix) :].split("/", 1)[0]
            changed[upload] = max(found.modified, changed.get(upload, 0.0))
            objects[upload] = objects.get(upload, 0) + 1
        now = time.time()
        ages = {upload: now - since for upload, since in changed.items()}
        return [
            upload
            for upload, age in ages.items()
            if age > self._age
            or (age > EMPTY_OBJECT_AGE and objects[upload] == 1 and await self._is_empty(repository, upload))
        ]

    async def _is_empty(self, repository: str, upload: str) -> bool:
        try:
            return await self._driver.upload_size(layout.upload(repository, upload)) == 0
        except NotFound:
            return False  # finished a moment ago, or not one of ours

    async def _is_abandoned_file(self, repository: str, upload: str) -> bool:
        try:
            found = await self._driver.stat(layout.upload(repository, upload))
        except NotFound:
            return False  # finished or cancelled a moment ago
        since = found.modified
        if found.is_directory:
            since = await self._distribution_start(repository, upload) or since
        age = time.time() - since
        return age > self._age or (not found.is_directory and not found.size and age > EMPTY_UPLOAD_AGE)

    async def _distribution_start(self, repository: str, upload: str) -> float | None:
        try:
            return _timestamp(await self._driver.get(layout.upload_started_at(repository, upload)))
        except NotFound:
            return None


def _timestamp(content: bytes) -> float | None:
    """Return an RFC 3339 time in seconds, None for anything else. Go writes fractions of up to nine digits."""
    text = content.decode("ascii", errors="replace").strip().replace("Z", "+00:00")
    head, dot, rest = text.partition(".")
    if dot:
        digits = len(rest) - len(rest.lstrip("0123456789"))
        text = head + rest[digits:]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
