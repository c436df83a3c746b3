"""A worker's part in the exchange of its storage: it says whether it could go along, and goes when the moment is there.

Concurrency: a task on the worker's event loop that looks at two files ten times a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from matou.config.distribution import ConfigurationError
from matou.registry.descriptors.base import CacheSetupError
from matou.registry.drivers.base import NotFound, StorageError
from matou.registry.drivers.factory import Surroundings, open_driver
from matou.registry.files import FileLock, RegistryFiles, directory_of
from matou.registry.migration.moved import CannotFollow, follow_moves, load_destination
from matou.registry.migration.roster import RosterEntry, WorkerState, read_plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matou.registry.migration.moved import Residence
    from matou.registry.migration.roster import Plan

log = logging.getLogger("matou.registry")

INTERVAL = 0.1  # seconds between two looks
PATIENCE = 30.0  # seconds that the new storage gets to answer


class Exchange(Protocol):
    """What a worker does to go on with another storage."""

    async def __call__(self, there: Residence, lock: FileLock) -> None:
        """Go on with another storage.

        Args:
            there: it.
            lock: of it, held together with others; belongs to the worker once this has returned.
        """
        ...


class Participant:
    """See the module.

    Args:
        here: the storage that is served.
        exchange: goes on with another one.
        environ: the environment.
    """

    def __init__(
        self,
        here: Residence,
        exchange: Exchange,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._here = here
        self._exchange = exchange
        self._environ = environ
        self._entry: RosterEntry | None = None
        self._complaint = ""
        self._task: asyncio.Task[None] | None = None

    def _enter(self, place: Residence) -> RosterEntry:
        readonly = place.configuration.storage.maintenance.readonly.enabled
        return RosterEntry(place.files, WorkerState(os.getpid(), readonly))

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to look."""
        with contextlib.suppress(OSError):  # a full disk must not keep a worker from serving pulls; tried again later
            self._entry = self._enter(self._here)
        self._task = loop.create_task(self._watch())

    async def stop(self) -> None:
        """End, and leave the roster."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._entry is not None:
            self._entry.close()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                if self._here.files.moved.exists():
                    await self._follow()
                elif self._here.files.plan.exists():
                    await self._look_at(read_plan(self._here.files))
            except (CannotFollow, StorageError, CacheSetupError, OSError, sqlite3.Error) as error:
                self._complain(str(error))
            except Exception:
                if self._complaint != "unexpected":
                    self._complaint = "unexpected"
                    log.exception("the storage cannot be exchanged")

    def _complain(self, problem: str) -> None:
        if problem != self._complaint:
            self._complaint = problem
            log.error("the storage is exchanged, but this worker cannot go along: %s", problem)

    async def _follow(self) -> None:
        there = follow_moves(self._here, self._environ)
        if there.files == self._here.files:
            return
        lock = FileLock(there.files.lock)
        try:
            if not lock.try_share():
                # The migration, for a moment; or somebody who indexes it.
                lock.close()
                return
            entry = self._enter(there)
            try:
                await self._exchange(there, lock)
            except BaseException:
                entry.close()
                raise
        except BaseException:
            lock.close()
            raise
        if self._entry is not None:
            self._entry.close()
        self._entry, self._here, self._complaint = entry, there, ""
        log.warning("%s: going on with that", there.moves[-1])

    async def _look_at(self, plan: Plan | None) -> None:
        """Find out whether this worker could go along, and say so."""
        if plan is None:
            return
        if self._entry is None:
            self._entry = self._enter(self._here)
        if plan.id == self._entry.state.plan:
            return
        problem = directory = ""
        try:
            directory = await self._try(plan)
        except (ConfigurationError, StorageError, CacheSetupError, OSError) as error:
            problem = str(error) or repr(error)
        self._entry.update(plan=plan.id, problem=problem, directory=directory)

    async def _try(self, plan: Plan) -> str:
        """Use the new storage once; return the directory of the registry's own files for it."""
        coming = await asyncio.to_thread(load_destination, Path(plan.configuration), self._environ)
        if coming.storage.identity != plan.identity:
            raise StorageError(f"{plan.configuration} names another storage for the registry than for the migration")
        configuration = dataclasses.replace(self._here.configuration, storage=coming.storage)
        directory = directory_of(configuration, self._environ)
        if directory is None or not os.access(directory, os.W_OK | os.X_OK):
            raise StorageError(f"the registry cannot write to {directory}")
        driver = open_driver(configuration, Surroundings(RegistryFiles(directory).request_limit))
        try:
            async with asyncio.timeout(PATIENCE):
                with contextlib.suppress(NotFound):
                    await driver.stat("")
        except TimeoutError:
            raise StorageError(f"the storage did not answer within {PATIENCE:.0f} s") from None
        finally:
            await driver.close()
        return str(directory)
