"""A registry on one storage: everything of a worker that belongs to it, opened in the worker's event loop and closed.

A worker has two of them for a moment when its storage is exchanged for another one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matou.registry.blobs.projector import Projector
from matou.registry.blobs.upload_state import StateCodec
from matou.registry.blobs.uploads import Uploads
from matou.registry.descriptors.factory import open_cache
from matou.registry.descriptors.statter import BlobStatter
from matou.registry.drivers.base import StorageError
from matou.registry.drivers.factory import Surroundings, open_driver
from matou.registry.drivers.succession import SuccessorDriver
from matou.registry.http.application import Application
from matou.registry.http.context import Context
from matou.registry.http.rsgi import RsgiEndpoint
from matou.registry.http.urls import Urls
from matou.registry.index.reader import Reader
from matou.registry.index.writer import Writer
from matou.registry.maintenance import Maintenance
from matou.registry.observe.figures import RequestFigures
from matou.registry.observe.health import Health, scheduled_checks
from matou.registry.observe.measured_driver import MeasuredDriver
from matou.registry.observe.observer import Observer
from matou.registry.observe.storage_figures import CacheFigures, DownloadFigures, StorageFigures
from matou.registry.ownership.lease import Lease
from matou.registry.ownership.leased_writer import LeasedWriter
from matou.registry.ownership.renewal import Renewal
from matou.registry.purging import UploadPurging
from matou.registry.write_gate import WriteGate

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from matou.registry.auth.base import Authenticator
    from matou.registry.drivers.base import Driver
    from matou.registry.files import FileLock
    from matou.registry.migration.moved import Residence
    from matou.registry.observe.access_log import AccessLog
    from matou.registry.observe.board import Place

log = logging.getLogger("matou.registry")


@dataclass(frozen=True, slots=True)
class WorkerParts:
    """What a worker has for as long as it lives, whatever its storage.

    Attributes:
        loop: its event loop.
        hashing: threads.
        authenticator: of the configuration.
        access: logs requests, if that is wanted.
        place: on the board of figures, if there is one.
    """

    loop: asyncio.AbstractEventLoop
    hashing: Executor
    authenticator: Authenticator
    access: AccessLog | None
    place: Place | None


class OpenRegistry:
    """A registry that answers requests.

    Args:
        residence: its storage and files, prepared.
        lock: of the storage, held together with others; closed with the registry.
        parts: of the worker.

    Attributes:
        context: of the handlers.
        endpoint: answers requests.
        driver: of the storage.

    Raises:
        StorageError: the storage cannot be used.
        sqlite3.Error: the index cannot be read.
        OSError: the registry's own files cannot be used.
    """

    def __init__(self, residence: Residence, lock: FileLock, parts: WorkerParts) -> None:
        configuration, files, place = residence.configuration, residence.files, parts.place
        readonly = configuration.storage.maintenance.readonly.enabled
        with contextlib.ExitStack() as opened:
            self._reader = Reader(files.index)
            opened.callback(self._reader.close)
            driver = self._open_driver(residence, parts)
            self._lease = Lease(files.lease) if driver.shared and not readonly else None
            self.gate = WriteGate(files, residence.left, self._lease)
            opened.callback(self.gate.close)
            self._writer = Writer(files.index, parts.loop)
            opened.pop_all()
        self._lock = lock
        self._is_given_up = False
        self._renewing: asyncio.Task[None] | None = None
        if self._lease is not None:
            renewal = Renewal(self.driver, files, self._writer, self._lease)
            self._renewing = parts.loop.create_task(renewal.run())
        projector = Projector(driver, self._reader, self._writer)
        http = configuration.http
        prefix = http.prefix.rstrip("/")
        self.context = Context(
            configuration=configuration,
            driver=driver,
            statter=BlobStatter(driver, self._cache),
            reader=self._reader,
            writer=self._writer if self._lease is None else LeasedWriter(self._writer, self._lease),
            projector=projector,
            uploads=Uploads(driver, parts.hashing),
            states=StateCodec(http.secret),
            urls=Urls(http.host, prefix, relative=http.relativeurls),
            authenticator=parts.authenticator,
            gate=self.gate,
            downloads=None if place is None else DownloadFigures(place.figures),
        )
        common = [(name.lower(), value) for name, values in http.headers.items() for value in values]
        self._health = Health(scheduled_checks(configuration, self.driver), place)
        self._health.start(parts.loop)
        figures = None if place is None else RequestFigures(place.figures, prefix)
        observer = Observer(parts.access.log if parts.access else None, self._health.failing, figures, prefix)
        self.endpoint = RsgiEndpoint(Application(self.context, common), observer)
        self._maintenance = Maintenance(self.driver, self._writer, projector, files, self._lease)
        purging = configuration.storage.maintenance.uploadpurging
        self._maintenance.start(
            parts.loop,
            UploadPurging(self.driver, age=purging.age, interval=purging.interval, dryrun=purging.dryrun)
            if purging.enabled and not readonly
            else None,
        )

    def _open_driver(self, residence: Residence, parts: WorkerParts) -> Driver:
        """Open the storage, and the cache of what it has; return the storage with its operations counted."""
        configuration, place = residence.configuration, parts.place
        figures = None if place is None else StorageFigures(place.figures)
        limit = residence.files.request_limit
        surroundings = Surroundings(limit) if figures is None else Surroundings(limit, figures)
        self.driver: Driver = open_driver(configuration, surroundings)
        if residence.previous is not None:
            # Uploads that were begun before the move are finished.
            try:
                previous = open_driver(residence.previous)
            except StorageError as error:
                log.warning("uploads that were begun on the storage before this one cannot be finished: %s", error)
            else:
                self.driver = SuccessorDriver(self.driver, previous, residence.since, parts.hashing)
        if place is None or figures is None:
            self._cache = open_cache(configuration, self.driver)
            return self.driver
        self._cache = open_cache(configuration, self.driver, CacheFigures(place.figures))
        return MeasuredDriver(self.driver, figures)

    async def close(self) -> None:
        """Close everything, once no request is answered any more."""
        if not self._is_given_up:
            await self.give_up()
        await self.driver.close()
        if self._cache is not None:
            await self._cache.close()

    async def give_up(self) -> None:
        """Close everything but what answers that are still being sent may need."""
        self._is_given_up = True
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
        await self._health.stop()
        await self._maintenance.stop()
        await self._writer.close()
        self._reader.close()
        self.gate.close()
        self._lock.close()
        if self._lease is not None:
            self._lease.close()
