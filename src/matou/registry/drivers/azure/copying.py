"""Copies inside the service: Copy Blob, which is done at once within an account and takes a while between two.

What a copy overwrites is lost when it fails: the blob is empty then. So a copy that may find its content in place looks
first, and the service is asked to copy only to where nothing is, or over just what was seen.

Source: https://learn.microsoft.com/rest/api/storageservices/copy-blob.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from azure.core import MatchConditions

from matou.registry.drivers.azure.errors import Refusal
from matou.registry.drivers.base import NotFound, StorageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from azure.storage.blob import BlobProperties

    from matou.config.sections.azure import AzureParameters
    from matou.registry.drivers.azure.connection import Connection

IN_PLACE = frozenset(("BlobAlreadyExists", "ConditionNotMet", "TargetConditionNotMet", "PendingCopyOperation"))
DONE = (None, "success")  # states of a copy, if any
OTHER_TYPE = "InvalidBlobType"
GROWTH = 1.6  # of the pauses between two looks
ANY: Mapping[str, Any] = {}
ABSENT: Mapping[str, Any] = {"match_condition": MatchConditions.IfMissing}


class Pace(NamedTuple):
    """How a copy is waited for, in seconds.

    Attributes:
        first: pause before it is looked at.
        longest: pause between two looks.
        patience: without progress, until it is given up.
    """

    first: float
    longest: float
    patience: float

    @staticmethod
    def of(parameters: AzureParameters) -> Pace:
        """Return what a configuration says."""
        return Pace(
            parameters.api_pool_initial_interval,
            max(parameters.api_pool_max_interval, parameters.api_pool_initial_interval),
            parameters.api_pool_max_elapsed_time,
        )


class Copier:
    """Copies to blobs of a container.

    Args:
        connection: to it.
        pace: of waiting.
    """

    def __init__(self, connection: Connection, pace: Pace) -> None:
        self._connection = connection
        self._pace = pace

    async def place(self, source_url: str, name: str, size: int) -> None:
        """Copy a blob to where it belongs, unless it is there: a blob of its size is taken for it.

        Args:
            source_url: of the blob, with what authorises reading it.
            name: of the destination, which says what its content is.
            size: of the blob, in bytes.

        Raises:
            NotFound: the source does not exist.
            StorageError: the copy failed, or made no progress; nothing that was good is lost.
        """
        try:
            await self._copy(source_url, name, ABSENT)
        except Refusal as refusal:
            if refusal.code not in IN_PLACE:
                raise
        else:
            return
        there = await self._settled(name)
        if there is not None and there.size == size and there.copy.status in DONE:
            return
        seen = ABSENT if there is None else {"etag": there.etag, "match_condition": MatchConditions.IfNotModified}
        await self.replace(source_url, name, seen)

    async def replace(self, source_url: str, name: str, condition: Mapping[str, Any] = ANY) -> None:
        """Copy a blob over whatever is there.

        Args:
            source_url: of the blob, with what authorises reading it.
            name: of the destination.
            condition: that the destination must meet, as arguments of the client.

        Raises:
            NotFound: the source does not exist.
            StorageError: the copy failed, or made no progress.
        """
        try:
            await self._copy(source_url, name, condition)
        except Refusal as refusal:
            if refusal.code != OTHER_TYPE:
                raise
        else:
            return
        # The service copies over blobs of the source's type only.
        await self._delete(name, condition)
        await self._copy(source_url, name, ABSENT)

    async def _copy(self, source_url: str, name: str, condition: Mapping[str, Any]) -> None:
        blob = self._connection.blob(name)
        started = await self._connection.send(
            f"copying to {name}", lambda: blob.start_copy_from_url(source_url, **condition)
        )
        status, copy = str(started["copy_status"]), str(started["copy_id"])
        self._connection.debug_log.write("longrunningoperation", "copy %s to %s: %s", copy, name, status)
        if status != "success":
            await self._wait(name, copy)

    async def _wait(self, name: str, copy: str) -> None:
        """Wait for a copy of ours, and clean up when it fails."""
        there = await self._settled(name)
        if there is not None and there.copy.id == copy and there.copy.status == "pending":
            blob = self._connection.blob(name)
            with contextlib.suppress(StorageError):  # it has just ended
                await self._connection.send(f"aborting the copy to {name}", lambda: blob.abort_copy(copy))
            there = await self._settled(name)
        if there is None or there.copy.id != copy:
            raise StorageError(f"azure: {name} was replaced while it was copied")
        if there.copy.status == "success":
            return
        # What a copy leaves that failed is empty.
        with contextlib.suppress(StorageError):
            await self._delete(name, {"etag": there.etag, "match_condition": MatchConditions.IfNotModified})
        raise StorageError(
            f"azure: the copy to {name} ended as {there.copy.status}, {there.copy.progress or '0'} bytes done"
            f"{': ' if there.copy.status_description else ''}{there.copy.status_description or ''}; one that makes no "
            f"progress is aborted after {self._pace.patience:g} s (storage.azure.api_pool_max_elapsed_time)"
        )

    async def _delete(self, name: str, condition: Mapping[str, Any]) -> None:
        blob = self._connection.blob(name)
        await self._connection.send(f"deleting {name}", lambda: blob.delete_blob(**condition))

    async def _settled(self, name: str) -> BlobProperties | None:
        """Return a blob once no copy to it is under way, or makes progress; None where there is none."""
        blob = self._connection.blob(name)
        pause, since = self._pace.first, time.monotonic()
        progress: str | None = None
        while True:
            try:
                there = await self._connection.send(f"looking at {name}", blob.get_blob_properties)
            except NotFound:
                return None
            if there.copy.status != "pending":
                return there
            self._connection.debug_log.write("longrunningoperation", "copy to %s: %s", name, there.copy.progress)
            now = time.monotonic()
            if there.copy.progress != progress:
                progress, since = there.copy.progress, now
            if now - since > self._pace.patience:
                return there
            await asyncio.sleep(pause)
            pause = min(pause * GROWTH, self._pace.longest)
