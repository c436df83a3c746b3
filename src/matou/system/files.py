"""Files and directories that are there whole after a crash or a loss of power, or not at all.

Storage has its own way (``matou.registry.drivers.filesystem``), for many files a second.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PRIVATE = 0o600  # mode of files that hold secrets


def replace_file(path: Path, content: bytes, mode: int = PRIVATE) -> None:
    """Make or replace a file in one step; when this returns, it survives a loss of power.

    The caller sees to it that nobody else writes the same file at the same time. What a killed process left beside it
    is replaced by the next call.

    Args:
        path: of the file; its directory exists.
        content: all of it.
        mode: permissions, whatever the umask says.

    Raises:
        OSError: it cannot be written; what was there before is as it was.
    """
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def make_directory(directory: Path) -> None:
    """Make a directory and its parents, as far as they are missing; their names survive a loss of power.

    Raises:
        OSError: it cannot be made.
    """
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync(path.parent)


def sync(path: Path | str) -> None:
    """Make a file's content, or a directory's names, durable: fsync(2).

    Raises:
        OSError: it cannot be opened or synced.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
