"""One worker process: its parts put together, opened in its event loop and closed again."""

from __future__ import annotations

import logging
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from matou.registry.auth import build_authenticator
from matou.registry.files import FileLock
from matou.registry.migration.participant import Participant
from matou.registry.migration.residence import residence
from matou.registry.observe.access_log import AccessLog
from matou.registry.observe.line_writer import LineWriter
from matou.registry.observe.logs import configure_logging
from matou.registry.open_registry import OpenRegistry, WorkerParts
from matou.system.processes import die_with_parent

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine

    from matou.config.distribution import Configuration
    from matou.registry.files import RegistryFiles
    from matou.registry.migration.moved import Residence
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
        self._hashing = ThreadPoolExecutor(HASHING_THREADS, thread_name_prefix="hashing")
        self._access_lines = _access_lines(configuration, loop)
        self._parts = WorkerParts(
            loop=loop,
            hashing=self._hashing,
            authenticator=build_authenticator(configuration),
            access=AccessLog(self._access_lines, configuration.log.accesslog.formatter) if self._access_lines else None,
            place=self._place,
        )
        here = residence(configuration, self._files)
        lock = FileLock(here.files.lock)
        lock.share("another process is working on the storage tree alone")
        self._registry = OpenRegistry(here, lock, self._parts)
        self._serve = self._registry.endpoint.serve
        self._retired: list[OpenRegistry] = []
        self._participant = Participant(here, self._exchange)
        self._participant.start(loop)

    async def _exchange(self, there: Residence, lock: FileLock) -> None:
        """Go on with another storage; see ``Exchange``. Answers that are being sent are from the old one."""
        registry = OpenRegistry(there, lock, self._parts)
        self._retired.append(self._registry)
        for old in self._retired:
            old.context.become(registry.context)
        old, self._registry, self._serve = self._registry, registry, registry.endpoint.serve
        try:
            await old.give_up()
        except Exception:
            log.exception("what belonged to the old storage could not be closed")

    def _claim_place(self) -> Place | None:
        if self._board is None:
            return None
        place = self._board.claim()
        if place is None:
            log.error("no place is left for this worker's figures: its requests are missing in the metrics")
        return place

    def __rsgi__(self, scope: Any, protocol: Any) -> Coroutine[Any, Any, None]:
        """Answer one request."""
        return self._serve(scope, protocol)

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close everything; Granian calls this after the last request."""
        loop.run_until_complete(self._close())

    async def _close(self) -> None:
        await self._participant.stop()
        await self._registry.close()
        for registry in self._retired:
            await registry.close()
        self._hashing.shutdown()
        if self._access_lines is not None:
            self._access_lines.close()
        if self._place is not None:
            self._place.end()
        log.info("worker stopped")


def _access_lines(configuration: Configuration, loop: asyncio.AbstractEventLoop) -> LineWriter | None:
    return None if configuration.log.accesslog.disabled else LineWriter(loop, STANDARD_OUTPUT, "access log")
