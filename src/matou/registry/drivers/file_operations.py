"""The file operations of the ``filesystem`` driver: each is what one thread does at a time, on absolute paths."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import shutil
import stat as stat_module
from typing import TYPE_CHECKING, Any, TypeVar

from matou.registry.drivers.base import Conflict, NotFound, StorageError, StorageFull
from matou.system.files import sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

T = TypeVar("T")

MAX_IOVECS = 512  # well below every kernel's IOV_MAX (1024)
ATTEMPTS = 20  # of a step that another request, making or deleting the same directory, may undo meanwhile


def translated(function: Callable[..., T], *args: Any) -> T:
    """Call a function and return its result; what the system raises becomes the driver contract's errors.

    Raises:
        NotFound: there is no such file, or it is no file.
        StorageFull: there is no room.
        StorageError: anything else.
    """
    try:
        return function(*args)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise NotFound(f"{error.filename} does not exist") from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotFound(f"{error.filename} leads in a circle") from error
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFull(f"no space left on the storage device: {error.strerror}") from error
        raise StorageError(f"storage failed: {error}") from error


def read_file(path: str) -> bytes:
    """Return a file's content."""
    with open(path, "rb", buffering=0) as file:
        return file.read()


def create(path: str) -> int:
    """Make a file that must not exist; return its descriptor, for writing."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)


def write_all(descriptor: int, chunks: Sequence[bytes]) -> None:
    """Write all chunks, in order."""
    for first in range(0, len(chunks), MAX_IOVECS):
        pending: list[memoryview | bytes] = list(chunks[first : first + MAX_IOVECS])
        while pending:
            written = os.writev(descriptor, pending)
            while pending and written >= len(pending[0]):
                written -= len(pending.pop(0))
            if pending and written:
                pending[0] = memoryview(pending[0])[written:]


def rename(source: str, target: str) -> list[str]:
    """Rename, making missing directories; return the directories that changed, deepest first."""
    directory = os.path.dirname(target)
    changed = [directory]
    for attempt in range(ATTEMPTS):
        try:
            if attempt:
                changed += [os.path.dirname(path) for path in _make_directories(directory)]
            os.rename(source, target)
        except (FileNotFoundError, FileExistsError):  # makedirs raises both when it races with a delete
            if attempt == ATTEMPTS - 1:
                raise
        except IsADirectoryError:
            os.rmdir(target)  # nothing of ours, and empty
        else:
            break
    return changed


def ancestors(directory: str, root: str) -> Iterator[str]:
    """Yield a directory and those above it, up to but not including the root."""
    while len(directory) > len(root):
        yield directory
        directory = os.path.dirname(directory)


def _make_directories(directory: str) -> list[str]:
    """Make a directory and its parents; return those that were made, deepest first."""
    made: list[str] = []
    missing = directory
    while not os.path.isdir(missing):
        made.append(missing)
        missing = os.path.dirname(missing)
    os.makedirs(directory, exist_ok=True)
    return made


def place_durably(descriptor: int, source: str, target: str, directories: Iterable[str]) -> None:
    """Sync a file, rename it, and sync the directories that changed and the given ones: one wait for all of it."""
    os.fsync(descriptor)
    for path in dict.fromkeys([*rename(source, target), *directories]):
        sync(path)


def scan(directory: str) -> tuple[list[tuple[str, int, float]], list[str]]:
    """Return the files of a directory, with size and time, and its directories; symbolic links to files count."""
    files: list[tuple[str, int, float]] = []
    directories: list[str] = []
    try:
        for entry in _entries(directory):
            try:
                if entry.is_dir():
                    directories.append(entry.name)
                elif entry.is_file():
                    result = entry.stat()
                    files.append((entry.name, result.st_size, result.st_mtime))
            except FileNotFoundError:
                continue
    except (FileNotFoundError, NotADirectoryError):
        pass
    return files, directories


def sync_file_system(path: str) -> None:
    """syncfs(2): one call for any number of small files; Python has no binding of it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(descriptor) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), path)
    finally:
        os.close(descriptor)


def delete(path: str) -> None:
    """Delete a file or a directory with everything in it; nothing there is success."""
    try:
        if not stat_module.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)
            return
    except (FileNotFoundError, NotADirectoryError):
        return
    for attempt in range(ATTEMPTS):
        try:
            shutil.rmtree(path, onerror=_ignore_missing)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY or attempt == ATTEMPTS - 1:
                raise
        else:
            return


def _ignore_missing(_function: Callable[..., Any], _path: str, information: Any) -> None:
    # Two requests may delete one tree at once.
    if not isinstance(information[1], FileNotFoundError):
        raise information[1]


def begin_upload(path: str) -> None:
    """Make an empty file, and the directories above it."""
    for attempt in range(ATTEMPTS):
        try:
            if attempt:
                os.makedirs(os.path.dirname(path), exist_ok=True)
            os.close(create(path))
        except (FileNotFoundError, FileExistsError):  # as in rename
            if attempt == ATTEMPTS - 1:
                raise
        else:
            return


def open_upload(path: str, offset: int) -> int:
    """Open a file for appending and lock it; return its descriptor.

    Raises:
        Conflict: somebody else has it open, or it has another size than ``offset``.
        NotFound: it was deleted meanwhile.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        _lock(descriptor, path)
        size = os.fstat(descriptor).st_size
        if size != offset:
            raise Conflict(f"the upload has {size} bytes, not {offset}")
        if os.fstat(descriptor).st_nlink == 0:
            raise NotFound("the upload ended")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def upload_size(path: str) -> int:
    """Return the size of a file in bytes.

    Raises:
        NotFound: it is a directory: an upload of Distribution.
    """
    result = os.stat(path)
    if not stat_module.S_ISREG(result.st_mode):
        raise NotFound(f"{path} is not one of our uploads")
    return result.st_size


def _lock(descriptor: int, path: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Conflict(f"another request is writing to {os.path.basename(path)}") from error


def sweep(directory: str, before: float) -> int:
    """Delete the files of a directory that were modified before a time (seconds since the epoch); return how many."""
    removed = 0
    for entry in _entries(directory):
        with contextlib.suppress(FileNotFoundError):
            if entry.stat(follow_symlinks=False).st_mtime < before:
                os.unlink(entry.path)
                removed += 1
    return removed


def _entries(directory: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(directory) as entries:
        yield from entries
