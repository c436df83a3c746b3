"""Writing everything to a descriptor that others share: a terminal, a pipe, a file."""

from __future__ import annotations

import os
import select


def write_all(descriptor: int, data: bytes, patience: float) -> None:
    """Write all of it, also where somebody has made the descriptor non-blocking.

    Args:
        descriptor: written to.
        data: what to write.
        patience: seconds to wait for room on a non-blocking descriptor, each time there is none.

    Raises:
        OSError: it cannot be written to; BlockingIOError when there was no room for too long.
    """
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            _, ready, _ = select.select((), (descriptor,), (), patience)
            if not ready:
                raise
