"""Storage in a directory of the local machine.

Concurrency: what waits for the disk (syncing, listing, reading and writing much) runs in the driver's own threads.
What the kernel does in memory in a few microseconds (opening, writing little, renaming what need not be durable) is
called on the event loop: a thread would have to win Python's lock back after each system call, which costs several
times as much. Writers of one upload exclude each other with ``flock``, which a killed process releases. Content is
written under a temporary name in ``matou/tmp`` of the same file system, so that the tree beside it is a valid
Distribution tree at every moment.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import itertools
import os
import shutil
import stat as stat_module
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from matou.registry.drivers.base import Conflict, NotFound, Stat, StorageError, StorageFull
from matou.registry.threads import in_thread
from matou.system.files import sync

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
    from pathlib import Path

T = TypeVar("T")

READ_PIECE = 1 << 20
SMALL = 1 << 18  # bytes that are written on the event loop: 50 microseconds into the page cache
MAX_IOVECS = 512  # well below every kernel's IOV_MAX (1024)
ATTEMPTS = 20  # of a step that another request, making or deleting the same directory, may undo meanwhile


class FilesystemDriver:
    """The ``filesystem`` driver.

    Args:
        root: ``rootdirectory``; made when missing.
        maxthreads: most threads that work on the disk at once.
    """

    name = "filesystem"

    def __init__(self, root: Path, maxthreads: int = 100) -> None:
        self._root = os.fspath(root)
        self._temporary = os.path.join(self._root, "matou", "tmp")
        self._serial = itertools.count()
        self._token = os.urandom(6).hex()
        self._pool = ThreadPoolExecutor(max_workers=maxthreads, thread_name_prefix="storage")
        self._synced: set[str] = set()  # directories whose own name is durable; few, as content has one of its own
        _translated(lambda: os.makedirs(self._temporary, exist_ok=True))

    def _absolute(self, path: str) -> str:
        return f"{self._root}/{path}"

    async def _run(self, function: Callable[..., T], *args: Any) -> T:
        return await in_thread(self._pool, _translated, function, *args)

    async def get(self, path: str) -> bytes:
        """See ``Driver.get``."""
        return await self._run(_read_file, self._absolute(path))

    async def put(self, path: str, content: bytes, *, durable: bool = True) -> None:
        """See ``Driver.put``."""
        target = self._absolute(path)
        temporary = f"{self._temporary}/{self._token}-{next(self._serial)}"
        try:
            descriptor = _translated(_create, temporary)
            try:
                await self._write(descriptor, [content])
                if durable:
                    await self._place(descriptor, temporary, target)
                else:
                    _translated(_rename, temporary, target)
            finally:
                os.close(descriptor)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise

    async def _write(self, descriptor: int, chunks: Sequence[bytes]) -> None:
        if sum(map(len, chunks)) <= SMALL:
            _translated(_write_all, descriptor, chunks)
        else:
            await self._run(_write_all, descriptor, chunks)

    async def _place(self, descriptor: int, source: str, target: str) -> None:
        """Rename an open file into place so that its content and its name survive a loss of power."""
        # Another process may have made a directory a moment ago, and be no further than that: a directory is only
        # trusted to be durable once this process has synced it. The deepest belongs to this content alone.
        parent = os.path.dirname(os.path.dirname(target))
        above = [path for path in _ancestors(parent, self._root) if path not in self._synced]
        await self._run(_place_durably, descriptor, source, target, [parent, *map(os.path.dirname, above)])
        self._synced.update(above)

    async def flush(self) -> None:
        """See ``Driver.flush``."""
        await self._run(_sync_file_system, self._root)

    async def stat(self, path: str) -> Stat:
        """See ``Driver.stat``."""
        result = _translated(os.stat, self._absolute(path))
        is_directory = stat_module.S_ISDIR(result.st_mode)
        return Stat(0 if is_directory else result.st_size, result.st_mtime, is_directory)

    async def read(self, path: str, start: int, length: int) -> AsyncIterator[bytes]:
        """See ``Driver.read``."""
        descriptor = await self._run(os.open, self._absolute(path), os.O_RDONLY | os.O_CLOEXEC)
        try:
            while length > 0:
                piece = await self._run(os.pread, descriptor, min(length, READ_PIECE), start)
                if not piece:
                    raise StorageError(f"{path} ends {length} bytes early")
                start += len(piece)
                length -= len(piece)
                yield piece
        finally:
            os.close(descriptor)

    def local_path(self, path: str) -> str:
        """See ``Driver.local_path``."""
        return self._absolute(path)

    async def list(self, path: str) -> list[str]:
        """See ``Driver.list``."""
        try:
            return await self._run(os.listdir, self._absolute(path))
        except NotFound:
            return []

    async def delete(self, path: str) -> None:
        """See ``Driver.delete``."""
        await self._run(_delete, self._absolute(path))

    async def upload_begin(self, path: str) -> None:
        """See ``Driver.upload_begin``."""
        _translated(_begin_upload, self._absolute(path))

    async def upload_open(self, path: str, offset: int) -> FilesystemUpload:
        """See ``Driver.upload_open``."""
        return FilesystemUpload(self, _translated(_open_upload, self._absolute(path), offset), offset)

    async def upload_size(self, path: str) -> int:
        """See ``Driver.upload_size``."""
        return _translated(_upload_size, self._absolute(path))

    async def upload_commit(self, path: str, size: int, destination: str) -> None:
        """See ``Driver.upload_commit``."""
        source = self._absolute(path)
        descriptor = _translated(_open_upload, source, size)
        try:
            await self._place(descriptor, source, self._absolute(destination))
        finally:
            os.close(descriptor)

    async def write_upload(self, descriptor: int, offset: int, chunks: Sequence[bytes]) -> None:
        """Write for ``FilesystemUpload``: on failure the file is cut back to ``offset``."""
        try:
            await self._write(descriptor, chunks)
        except StorageError:
            # Room for others, and a size that the client has been told of.
            _translated(os.ftruncate, descriptor, offset)
            raise

    async def sweep_temporary(self, age: float) -> int:
        """Delete temporary files that are older than ``age`` seconds; return how many.

        They were left by a killed process; 0 is right only while no other process serves the tree.
        """
        return await self._run(_sweep, self._temporary, time.time() - age)

    async def close(self) -> None:
        """See ``Driver.close``."""
        self._pool.shutdown(wait=False)


class FilesystemUpload:
    """An open upload file, locked for this request."""

    def __init__(self, driver: FilesystemDriver, descriptor: int, offset: int) -> None:
        self._driver = driver
        self._descriptor = descriptor
        self._start = offset

    async def write(self, chunks: Sequence[bytes]) -> None:
        """See ``UploadWriter.write``."""
        await self._driver.write_upload(self._descriptor, self._start, chunks)

    async def close(self) -> None:
        """See ``UploadWriter.close``. Closing releases the lock; it does not touch the disk."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _translated(function: Callable[..., T], *args: Any) -> T:
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


def _read_file(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()


def _create(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)


def _write_all(descriptor: int, chunks: Sequence[bytes]) -> None:
    for first in range(0, len(chunks), MAX_IOVECS):
        pending: list[memoryview | bytes] = list(chunks[first : first + MAX_IOVECS])
        while pending:
            written = os.writev(descriptor, pending)
            while pending and written >= len(pending[0]):
                written -= len(pending.pop(0))
            if pending and written:
                pending[0] = memoryview(pending[0])[written:]


def _rename(source: str, target: str) -> list[str]:
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


def _ancestors(directory: str, root: str) -> Iterator[str]:
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


def _place_durably(descriptor: int, source: str, target: str, directories: Iterable[str]) -> None:
    """Sync a file, rename it, and sync the directories that changed and the given ones: one wait for all of it."""
    os.fsync(descriptor)
    for path in dict.fromkeys([*_rename(source, target), *directories]):
        sync(path)


def _sync_file_system(path: str) -> None:
    """syncfs(2): one call for any number of small files; Python has no binding of it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(descriptor) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), path)
    finally:
        os.close(descriptor)


def _delete(path: str) -> None:
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


def _begin_upload(path: str) -> None:
    for attempt in range(ATTEMPTS):
        try:
            if attempt:
                os.makedirs(os.path.dirname(path), exist_ok=True)
            os.close(_create(path))
        except (FileNotFoundError, FileExistsError):  # as in _rename
            if attempt == ATTEMPTS - 1:
                raise
        else:
            return


def _open_upload(path: str, offset: int) -> int:
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


def _upload_size(path: str) -> int:
    result = os.stat(path)
    if not stat_module.S_ISREG(result.st_mode):
        raise NotFound(f"{path} is not one of our uploads")
    return result.st_size


def _lock(descriptor: int, path: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise Conflict(f"another request is writing to {os.path.basename(path)}") from error


def _sweep(directory: str, before: float) -> int:
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
