"""One worker process: its parts put together, opened in its event loop and closed again."""

from __future__ import annotations

import logging
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from matou.registry.auth import build_authenticator
from matou.registry.blobs.projector import Projector
from matou.registry.blobs.upload_state import StateCodec
from matou.registry.blobs.uploads import Uploads
from matou.registry.descriptors.factory import open_cache
from matou.registry.descriptors.statter import BlobStatter
from matou.registry.drivers.factory import Surroundings, open_driver
from matou.registry.http.application import Application
from matou.registry.http.context import Context
from matou.registry.http.rsgi import RsgiEndpoint
from matou.registry.http.urls import Urls
from matou.registry.index.reader import Reader
from matou.registry.index.writer import Writer
from matou.registry.maintenance import Maintenance
from matou.registry.observe.access_log import AccessLog
from matou.registry.observe.figures import RequestFigures
from matou.registry.observe.health import Health, scheduled_checks
from matou.registry.observe.line_writer import LineWriter
from matou.registry.observe.logs import configure_logging
from matou.registry.observe.measured_driver import MeasuredDriver
from matou.registry.observe.observer import Observer
from matou.registry.observe.storage_figures import CacheFigures, DownloadFigures, StorageFigures
from matou.registry.purging import UploadPurging
from matou.system.processes import die_with_parent

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine

    from matou.config.distribution import Configuration
    from matou.registry.drivers.base import Driver
    from matou.registry.files import RegistryFiles
    from matou.registry.observe.board import Board, Place

log = logging.getLogger("matou.registry")

HASHING_THREADS = 4
STANDARD_OUTPUT = 1
STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})


class Worker:
    """The RSGI application. Made in the worker process, which gets signals to stop once its event loop runs.

    Args:
        configuration: of the registry, with ``http.secret`` set.
        files: of the registry, prepared by the parent.
        parent: its process id; the worker dies with it.
        board: where the worker tells the debug server, if there is one.
    """

    def __init__(
        self, configuration: Configuration, files: RegistryFiles, parent: int, board: Board | None = None
    ) -> None:
        # uvloop forgets a signal that comes before it runs: the worker would be killed at the end of the drain time.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        self._parent = parent
        self._board = board
        self._configuration = configuration
        self._files = files
        configure_logging(configuration.log)

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Open everything; Granian calls this before the first request."""
        die_with_parent(self._parent)
        loop.call_soon(signal.pthread_sigmask, signal.SIG_UNBLOCK, STOP_SIGNALS)
        try:
            self._open(loop)
        except Exception:
            log.exception("the worker cannot start")
            raise SystemExit(1) from None

    def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        configuration = self._configuration
        self._place = self._claim_place()
        driver = self._open_driver()
        self._reader = Reader(self._files.index)
        self._writer = Writer(self._files.index, loop)
        self._projector = Projector(driver, self._reader, self._writer)
        self._hashing = ThreadPoolExecutor(HASHING_THREADS, thread_name_prefix="hashing")
        http = configuration.http
        prefix = http.prefix.rstrip("/")
        context = Context(
            configuration=configuration,
            driver=driver,
            statter=BlobStatter(driver, self._cache),
            reader=self._reader,
            writer=self._writer,
            projector=self._projector,
            uploads=Uploads(driver, self._hashing),
            states=StateCodec(http.secret),
            urls=Urls(http.host, prefix, relative=http.relativeurls),
            authenticator=build_authenticator(configuration),
            downloads=None if self._place is None else DownloadFigures(self._place.figures),
        )
        common = [(name.lower(), value) for name, values in http.headers.items() for value in values]
        figures = None if self._place is None else RequestFigures(self._place.figures, prefix)
        self._health = Health(scheduled_checks(configuration, self._driver), self._place)
        self._health.start(loop)
        self._access_lines = _access_lines(configuration, loop)
        access = AccessLog(self._access_lines, configuration.log.accesslog.formatter) if self._access_lines else None
        observer = Observer(access.log if access else None, self._health.failing, figures, prefix)
        self._endpoint = RsgiEndpoint(Application(context, common), observer)
        self._maintenance = Maintenance(self._driver, self._writer, self._projector, self._files)
        purging = configuration.storage.maintenance.uploadpurging
        self._maintenance.start(
            loop,
            UploadPurging(self._driver, age=purging.age, interval=purging.interval, dryrun=purging.dryrun)
            if purging.enabled and not configuration.storage.maintenance.readonly.enabled
            else None,
        )

    def _open_driver(self) -> Driver:
        """Open the storage, and the cache of what it has; return the storage with its operations counted."""
        configuration, limit = self._configuration, self._files.request_limit
        if self._place is None:
            self._driver = open_driver(configuration, Surroundings(limit))
            self._cache = open_cache(configuration, self._driver)
            return self._driver
        figures = StorageFigures(self._place.figures)
        self._driver = open_driver(configuration, Surroundings(limit, figures))
        self._cache = open_cache(configuration, self._driver, CacheFigures(self._place.figures))
        return MeasuredDriver(self._driver, figures)

    def _claim_place(self) -> Place | None:
        if self._board is None:
            return None
        place = self._board.claim()
        if place is None:
            log.error("no place is left for this worker's figures: its requests are missing in the metrics")
        return place

    def __rsgi__(self, scope: Any, protocol: Any) -> Coroutine[Any, Any, None]:
        """Answer one request."""
        return self._endpoint.serve(scope, protocol)

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close everything; Granian calls this after the last request."""
        loop.run_until_complete(self._close())

    async def _close(self) -> None:
        await self._health.stop()
        await self._maintenance.stop()
        await self._writer.close()
        self._reader.close()
        await self._driver.close()
        if self._cache is not None:
            await self._cache.close()
        self._hashing.shutdown()
        if self._access_lines is not None:
            self._access_lines.close()
        if self._place is not None:
            self._place.end()
        log.info("worker stopped")


def _access_lines(configuration: Configuration, loop: asyncio.AbstractEventLoop) -> LineWriter | None:
    return None if configuration.log.accesslog.disabled else LineWriter(loop, STANDARD_OUTPUT, "access log")
