"""The line in which callers with passwords wait.

Concurrency: used by all of the server's threads. A hash takes tens of milliseconds of a core and 19 MiB; without a
limit a burst of sign-ins would slow down everybody who brings a token.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class LineTooLongError(Exception):
    """Too many passwords are being checked; the caller should try again in some seconds."""


class PasswordLine:
    """Lets few callers hash at a time and few wait; sends the others away.

    Args:
        places: passwords that are hashed at a time.
        waiting: callers that may wait, besides.
        patience: seconds that one waits.
    """

    def __init__(self, *, places: int = 2, waiting: int = 16, patience: float = 10.0) -> None:
        self._line = threading.BoundedSemaphore(places + waiting)
        self._places = threading.BoundedSemaphore(places)
        self._patience = patience

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Wait for a place and hold it.

        Raises:
            LineTooLongError: there was none in time.
        """
        if not self._line.acquire(blocking=False):
            raise LineTooLongError
        try:
            if not self._places.acquire(timeout=self._patience):
                raise LineTooLongError
            try:
                yield
            finally:
                self._places.release()
        finally:
            self._line.release()
