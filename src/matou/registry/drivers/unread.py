"""Bytes of a body that a storage has sent, or will, and that are still at its connection's socket.

Whoever only passes them on has the kernel move them (``splice``), without a copy into this process.

Concurrency: everything runs on the event loop.

Source: splice(2), socket(7) ``SO_RCVLOWAT``.
"""

from __future__ import annotations

import os
import select
import socket
from typing import TypeVar

from matou.system.readiness import readable

Content = TypeVar("Content", bound="bytes | Unread")
WORTH_WAKING = 1 << 20  # bytes
GATHERING = 0.05  # seconds for which fewer bytes may wait for others
# Of splice(2), which other systems than Linux lack: never wait.
AT_ONCE = getattr(os, "SPLICE_F_MOVE", 0) | getattr(os, "SPLICE_F_NONBLOCK", 0)


def passed(piece: bytes | Unread) -> int:
    """Return the bytes of a piece that whoever got it has passed on."""
    return piece.moved if isinstance(piece, Unread) else len(piece)


class Unread:
    """The next bytes of a body. The one who gets it moves them before it asks for what follows.

    Args:
        connection: to the storage; not closed here. Others do not read from it.
        length: bytes that belong to the body.
        patience: seconds that the storage may send nothing.

    Attributes:
        moved: bytes that were moved.
        failure: why no more of them come; "" while they do.
    """

    def __init__(self, connection: socket.socket, length: int, patience: float) -> None:
        self._connection = connection
        self._length = length
        self._patience = patience
        self._waking_at = 0
        self.moved = 0
        self.failure = ""

    @property
    def left(self) -> int:
        """Bytes that are to be moved; 0 when the storage has failed."""
        return 0 if self.failure else self._length - self.moved

    def splice(self, pipe: int) -> int:
        """Move what has come in; return how many bytes went. None did where nothing has come, or there is no room.

        Args:
            pipe: the end for writing of a pipe, which does not block.

        Raises:
            BrokenPipeError: nobody can read from the pipe any more.
        """
        try:
            moved = os.splice(self._connection.fileno(), pipe, self.left, flags=AT_ONCE)
        except BlockingIOError:
            return 0
        except BrokenPipeError:
            raise
        except OSError as error:
            self.failure = error.strerror or str(error)
            return 0
        if not moved:
            self.failure = f"the storage closed the connection {self.left} bytes early"
        self.moved += moved
        return moved

    def has_come(self) -> bool:
        """Return whether something can be moved now."""
        self._wake_at(1)
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        return bool(poll.poll(0))

    async def arrival(self) -> None:
        """Wait until something can be moved, or the storage has failed."""
        descriptor = self._connection.fileno()
        # To be woken up for each packet would cost more than moving it.
        self._wake_at(min(self.left, WORTH_WAKING))
        try:
            await readable(descriptor, GATHERING)
        except TimeoutError:
            self._wake_at(1)
            try:
                await readable(descriptor, self._patience)
            except TimeoutError:
                self.failure = f"the storage sent nothing for {self._patience:.0f} s"

    def _wake_at(self, size: int) -> None:
        """Set from how many bytes on the kernel says that there is something to read, unless the connection ends."""
        if size != self._waking_at:
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)
            self._waking_at = size
