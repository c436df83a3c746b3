"""Memory that the workers and their parent share: each worker writes to a place of its own, the parent reads them all.

Concurrency: the parent makes the memory, and workers get its descriptor when they are spawned. A worker claims a place
with a lock that the kernel lets go of when the worker ends, however it ends; its successor goes on with the figures
that it finds, so counters never go back and nothing is lost with a killed worker. Nobody waits for anybody.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import os
import time
import zlib
from multiprocessing import reduction
from typing import TYPE_CHECKING, Any

from matou.registry.observe.figures import HANDLERS, Layout

if TYPE_CHECKING:
    from collections.abc import Mapping

CELL = 8  # bytes
HEADER = 4096  # bytes; what the parent tells all workers
DOWN, SERIAL = 0, 1  # cells of the header
PID, SEEN, ALIVE = 0, 1, 2  # cells at the beginning of a place, before the figures
PLACE_CELLS = 3
TEXT_SIZE = 8192  # bytes; the failing checks of a worker as JSON
LENGTH, CHECKSUM = 0, 1  # cells before the text
READ_ATTEMPTS = 8

_FIGURES_SIZE = CELL * (PLACE_CELLS + Layout.size)
_TEXT_HEADER = CELL * 2
_PLACE_SIZE = -(-(_FIGURES_SIZE + _TEXT_HEADER + TEXT_SIZE) // mmap.PAGESIZE) * mmap.PAGESIZE


class Board:
    """The shared memory.

    Args:
        places: workers that can run at the same time, those that are on their way out included.
        descriptor: of the memory; made when not given.
    """

    def __init__(self, places: int, descriptor: int | None = None) -> None:
        self._size = HEADER + places * _PLACE_SIZE
        if descriptor is None:
            descriptor = os.memfd_create("matou-board", os.MFD_CLOEXEC)
            os.ftruncate(descriptor, self._size)
        self._places = places
        self._descriptor = descriptor
        self._memory = mmap.mmap(descriptor, self._size)
        self._header = memoryview(self._memory)[:HEADER].cast("Q")

    def __reduce__(self) -> tuple[Any, ...]:
        # Only works while a worker is being spawned, which is what it is for.
        return _reopen, (self._places, reduction.DupFd(self._descriptor))

    @property
    def places(self) -> list[Place]:
        """All places, claimed or not."""
        return [self._place(index) for index in range(self._places)]

    @property
    def is_down(self) -> bool:
        """Whether an administrator has taken the registry out."""
        return bool(self._header[DOWN])

    def set_down(self, *, down: bool) -> int:
        """Take the registry out, or back in; returns the serial number that workers which know of it have seen."""
        self._header[DOWN] = int(down)
        self._header[SERIAL] += 1
        return self._header[SERIAL]

    def claim(self) -> Place | None:
        """Take a place for this process until it ends; None when all are taken."""
        for index in range(self._places):
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, index)
            except OSError:
                continue
            place = self._place(index)
            place.begin(os.getpid())
            return place
        return None

    def _place(self, index: int) -> Place:
        start = HEADER + index * _PLACE_SIZE
        return Place(memoryview(self._memory)[start : start + _PLACE_SIZE], self._header)


def _reopen(places: int, descriptor: Any) -> Board:
    return Board(places, descriptor.detach())


class Place:
    """What one worker tells.

    Args:
        memory: of the place.
        header: what the parent tells.

    Attributes:
        figures: see ``Layout``.
    """

    def __init__(self, memory: memoryview[int], header: memoryview[int]) -> None:
        cells = memory[:_FIGURES_SIZE].cast("Q")
        self._state = cells[:PLACE_CELLS]
        self.figures = cells[PLACE_CELLS:]
        self._text_header = memory[_FIGURES_SIZE : _FIGURES_SIZE + _TEXT_HEADER].cast("Q")
        self._text = memory[_FIGURES_SIZE + _TEXT_HEADER :][:TEXT_SIZE]
        self._header = header
        self._serial = 0

    def begin(self, pid: int) -> None:
        """Take over from whoever had the place before: its counters stay, what it was doing does not."""
        for index in range(len(HANDLERS)):
            self.figures[Layout.in_flight + index] = 0
        self.figures[Layout.failing] = 0
        self._write({})
        self._state[SEEN] = 0
        self._state[ALIVE] = time.monotonic_ns()
        self._state[PID] = pid

    def end(self) -> None:
        """Say that the worker ends."""
        self._state[PID] = 0

    @property
    def pid(self) -> int | None:
        """The process id of the worker, None when no living one has the place."""
        pid = self._state[PID]
        if not pid:
            return None
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            pass  # it lives, as another user
        return pid

    @property
    def seen(self) -> int:
        """Serial number of what the worker has been told last."""
        return self._state[SEEN]

    def is_down(self) -> bool:
        """See ``health.Board``."""
        self._serial = self._header[SERIAL]
        return bool(self._header[DOWN])

    def report(self, failing: Mapping[str, str]) -> None:
        """See ``health.Board``."""
        self._write(failing)
        self.figures[Layout.failing] = len(failing)
        # The parent takes it as done only once the endpoint refuses requests, or serves them again.
        self._state[SEEN] = self._serial
        self._state[ALIVE] = time.monotonic_ns()

    @property
    def silence(self) -> float:
        """Seconds since the worker's last sign of life."""
        return max(0.0, (time.monotonic_ns() - self._state[ALIVE]) / 1e9)

    @property
    def failing(self) -> dict[str, str]:
        """The checks that fail in the worker, name to reason."""
        for _ in range(READ_ATTEMPTS):
            length, checksum = self._text_header[LENGTH], self._text_header[CHECKSUM]
            text = bytes(self._text[: min(length, TEXT_SIZE)])
            # Written at this very moment when the two do not go together.
            if zlib.crc32(text) == checksum:
                with contextlib.suppress(ValueError):
                    return dict(json.loads(text or b"{}"))
        return {}

    def _write(self, failing: Mapping[str, str]) -> None:
        text = json.dumps(dict(failing)).encode()
        if len(text) > TEXT_SIZE:
            text = json.dumps({name[:200]: "" for name in list(failing)[:20]}).encode()
        checksum = zlib.crc32(text)
        if self._text_header[CHECKSUM] == checksum and self._text_header[LENGTH] == len(text):
            return
        self._text[: len(text)] = text
        self._text_header[LENGTH] = len(text)
        self._text_header[CHECKSUM] = checksum
