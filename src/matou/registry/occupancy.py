"""What the parent of the workers holds of the storage that they serve: its lock, shared, and its index, open.

Concurrency: a thread looks whether the storage was exchanged for another one; then it takes those of the new one and
gives those of the old one up. Workers see to themselves.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
from typing import TYPE_CHECKING

from matou.registry.files import FileLock
from matou.registry.index.reader import Reader
from matou.registry.migration.moved import CannotFollow, follow_moves
from matou.registry.ownership.stop import release_if_last
from matou.registry.reserve import keep_reserve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matou.registry.migration.moved import Residence

log = logging.getLogger("matou.registry")

INTERVAL = 0.5  # seconds between two looks


class Occupancy:
    """See the module.

    Args:
        here: the storage that is served.
        held: what is held of that; closed by this object from now on.
        environ: the environment.
    """

    def __init__(
        self,
        here: Residence,
        held: contextlib.ExitStack,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._here = here
        self._held = held
        self._environ = environ
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="occupancy", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Give up what is held; say so in the storage if no other registry of this machine serves it."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()
        self._held.close()
        release_if_last(self._here.configuration, self._here.files)

    def _watch(self) -> None:
        complaint = ""
        while not self._ending.wait(INTERVAL):
            try:
                if self._here.files.moved.exists():
                    self.follow()
            except (CannotFollow, OSError, sqlite3.Error) as error:
                if str(error) != complaint:
                    complaint = str(error)
                    log.error("the storage was exchanged, but: %s", error)  # noqa: TRY400 -- the cause is known

    def follow(self) -> None:
        """Take what is to be held of the storage that is in charge now, unless another process has it alone.

        Raises:
            CannotFollow: where it is cannot be found out.
            OSError: its files cannot be opened.
            sqlite3.Error: as above.
        """
        there = follow_moves(self._here, self._environ)
        if there.files == self._here.files:
            return
        with contextlib.ExitStack() as held:
            lock = FileLock(there.files.lock)
            held.callback(lock.close)
            if not lock.try_share():
                return
            reader = Reader(there.files.index)
            held.callback(reader.close)
            reader.version()
            keep_reserve(there.files.reserve)
            self._held.close()
            self._here, self._held = there, held.pop_all()
