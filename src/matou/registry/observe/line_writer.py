"""Lines on their way to a descriptor, written in the background.

Concurrency: lines are added on the event loop; one thread writes. A reader who does not read never stops the registry:
lines beyond a limit are dropped and counted.
"""

from __future__ import annotations

import logging
import os
import queue
import select
import stat
import threading
from typing import TYPE_CHECKING

from matou.registry.observe.descriptors import write_all

if TYPE_CHECKING:
    import asyncio

log = logging.getLogger("matou.registry")

FLUSH_SIZE = 64 << 10  # characters
FLUSH_INTERVAL = 1.0  # seconds
LIMIT = 128  # batches of at most FLUSH_SIZE that wait for a slow reader
CLOSE_TIMEOUT = 5.0  # seconds that closing waits for the reader
PATIENCE = 60.0  # seconds


class LineWriter:
    """Writes lines.

    Args:
        loop: on which lines are added.
        descriptor: written to; stays open.
        name: of what is written, for messages.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, descriptor: int, name: str) -> None:
        self._loop = loop
        self._descriptor = descriptor
        self._name = name
        self._lines: list[str] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._dropped = 0  # lines
        # Whole lines in pieces that the kernel does not mix with those of other processes.
        self._piece = select.PIPE_BUF if _is_pipe(descriptor) else FLUSH_SIZE
        self._thread = threading.Thread(target=self._write, name=f"{name} writer", daemon=True)
        self._thread.start()

    def add(self, line: str) -> None:
        """Take a line that ends with its newline; costs a tenth of a microsecond."""
        self._lines.append(line)
        self._size += len(line)
        if self._size >= FLUSH_SIZE:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(FLUSH_INTERVAL, self.flush)

    def flush(self) -> None:
        """Hand the lines to the thread."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines, self._size = self._lines, [], 0
        if not lines:
            return
        if self._queue.qsize() >= LIMIT:
            self._dropped += len(lines)
            return
        if self._dropped:
            log.warning("%s: %d lines were dropped because nobody read them in time", self._name, self._dropped)
            self._dropped = 0
        data = "".join(lines).encode(errors="backslashreplace")
        self._queue.put(data)

    def close(self) -> None:
        """Write what is left, unless its reader sleeps."""
        self.flush()
        self._queue.put(None)
        self._thread.join(CLOSE_TIMEOUT)

    def _write(self) -> None:
        failed = False
        while (data := self._queue.get()) is not None:
            try:
                for piece in pieces(data, self._piece):
                    write_all(self._descriptor, piece, PATIENCE)
                failed = False
            except OSError as error:
                if not failed:
                    log.warning("%s: cannot be written: %s; lines are lost", self._name, error)
                failed = True


def pieces(data: bytes, size: int) -> list[bytes]:
    """Cut data into runs of whole lines of at most ``size`` bytes; a line that is longer is one of its own."""
    if len(data) <= size:
        return [data]
    cut: list[bytes] = []
    start = 0
    while start < len(data):
        end = data.rfind(b"\n", start, start + size) + 1 or data.find(b"\n", start) + 1 or len(data)
        cut.append(data[start:end])
        start = end
    return cut


def _is_pipe(descriptor: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:
        return False
