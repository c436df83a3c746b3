"""A little room that is kept on the disk, so that the registry starts, and serves pulls, on a disk that is full.

SQLite needs a file of 32 KiB beside the index before it reads a byte of it, and deletes it when the registry stops.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 256 * 1024  # bytes


def keep_reserve(path: Path) -> None:
    """Take the room, unless it is taken already or the disk has none. Leaves nothing half done."""
    try:
        if path.stat().st_size == SIZE:
            return
    except FileNotFoundError:
        pass
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.posix_fallocate(descriptor, 0, SIZE)
    except OSError:
        give_up_reserve(path)
    finally:
        os.close(descriptor)


def give_up_reserve(path: Path) -> bool:
    """Give the room back to the disk; return whether there was any."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
        return True
    return False
