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
import itertools
import os
import stat as stat_module
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from matou.registry.drivers import file_operations
from matou.registry.drivers.base import Conflict, NotFound, Stat, StorageError
from matou.registry.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from matou.registry.drivers.base import Driver

T = TypeVar("T")

READ_PIECE = 1 << 20
SMALL = 1 << 18  # bytes that are written on the event loop: 50 microseconds into the page cache


class FilesystemDriver:
    """The ``filesystem`` driver.

    Args:
        root: ``rootdirectory``; made when missing.
        maxthreads: most threads that work on the disk at once.
    """

    name = "filesystem"
    shared = False

    def __init__(self, root: Path, maxthreads: int = 100) -> None:
        self._root = os.fspath(root)
        self._temporary = os.path.join(self._root, "matou", "tmp")
        self._serial = itertools.count()
        self._token = os.urandom(6).hex()
        self._pool = ThreadPoolExecutor(max_workers=maxthreads, thread_name_prefix="storage")
        self._synced: set[str] = set()  # directories whose own name is durable; few, as content has one of its own
        file_operations.translated(lambda: os.makedirs(self._temporary, exist_ok=True))

    def _absolute(self, path: str) -> str:
        return f"{self._root}/{path}"

    async def _run(self, function: Callable[..., T], *args: Any) -> T:
        return await in_thread(self._pool, file_operations.translated, function, *args)

    async def get(self, path: str) -> bytes:
        """See ``Driver.get``."""
        return await self._run(file_operations.read_file, self._absolute(path))

    async def put(self, path: str, content: bytes, *, durable: bool = True) -> None:
        """See ``Driver.put``."""
        target = self._absolute(path)
        temporary = self._temporary_path()
        try:
            descriptor = file_operations.translated(file_operations.create, temporary)
            try:
                await self._write(descriptor, [content])
                if durable:
                    await self._place(descriptor, temporary, target)
                else:
                    file_operations.translated(file_operations.rename, temporary, target)
            finally:
                os.close(descriptor)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise

    def _temporary_path(self) -> str:
        return f"{self._temporary}/{self._token}-{next(self._serial)}"

    async def _write(self, descriptor: int, chunks: Sequence[bytes]) -> None:
        if sum(map(len, chunks)) <= SMALL:
            file_operations.translated(file_operations.write_all, descriptor, chunks)
        else:
            await self._run(file_operations.write_all, descriptor, chunks)

    async def _place(self, descriptor: int, source: str, target: str) -> None:
        """Rename an open file into place so that its content and its name survive a loss of power."""
        # Another process may have made a directory a moment ago, and be no further than that: a directory is only
        # trusted to be durable once this process has synced it. The deepest belongs to this content alone.
        parent = os.path.dirname(os.path.dirname(target))
        above = [path for path in file_operations.ancestors(parent, self._root) if path not in self._synced]
        await self._run(
            file_operations.place_durably, descriptor, source, target, [parent, *map(os.path.dirname, above)]
        )
        self._synced.update(above)

    async def flush(self) -> None:
        """See ``Driver.flush``."""
        await self._run(file_operations.sync_file_system, self._root)

    async def stat(self, path: str) -> Stat:
        """See ``Driver.stat``."""
        result = file_operations.translated(os.stat, self._absolute(path))
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

    def relay(self, path: str, start: int, length: int) -> AsyncIterator[bytes]:
        """See ``Driver.relay``."""
        return self.read(path, start, length)

    def local_path(self, path: str) -> str:
        """See ``Driver.local_path``."""
        return self._absolute(path)

    async def url(self, path: str, method: str, seconds: float) -> None:
        """See ``Driver.url``: there is none."""

    async def list(self, path: str) -> list[str]:
        """See ``Driver.list``."""
        try:
            return await self._run(os.listdir, self._absolute(path))
        except NotFound:
            return []

    async def walk(self, path: str) -> AsyncIterator[tuple[str, Stat]]:
        """See ``Driver.walk``."""
        pending = [path]
        while pending:
            directory = pending.pop()
            files, directories = await self._run(
                file_operations.scan, self._absolute(directory) if directory else self._root
            )
            prefix = f"{directory}/" if directory else ""
            pending += [f"{prefix}{name}" for name in directories]
            for name, size, modified in files:
                yield f"{prefix}{name}", Stat(size, modified, is_directory=False)

    async def delete(self, path: str) -> None:
        """See ``Driver.delete``."""
        await self._run(file_operations.delete, self._absolute(path))

    async def upload_begin(self, path: str) -> None:
        """See ``Driver.upload_begin``."""
        file_operations.translated(file_operations.begin_upload, self._absolute(path))

    async def upload_open(self, path: str, offset: int) -> FilesystemUpload:
        """See ``Driver.upload_open``."""
        return FilesystemUpload(
            self, file_operations.translated(file_operations.open_upload, self._absolute(path), offset), offset
        )

    async def upload_size(self, path: str) -> int:
        """See ``Driver.upload_size``."""
        return file_operations.translated(file_operations.upload_size, self._absolute(path))

    async def upload_read(self, path: str, size: int) -> AsyncIterator[bytes]:
        """See ``Driver.upload_read``."""
        actual = await self.upload_size(path)
        if actual != size:
            raise Conflict(f"the upload has {actual} bytes, not {size}")
        async for piece in self.read(path, 0, size):
            yield piece

    async def upload_commit(self, path: str, size: int, destination: str) -> None:
        """See ``Driver.upload_commit``."""
        source = self._absolute(path)
        descriptor = file_operations.translated(file_operations.open_upload, source, size)
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
            file_operations.translated(os.ftruncate, descriptor, offset)
            raise

    async def content_open(self, path: str) -> FilesystemContent:
        """See ``Driver.content_open``."""
        temporary = self._temporary_path()
        return FilesystemContent(
            self, file_operations.translated(file_operations.create, temporary), temporary, self._absolute(path)
        )

    async def write_content(self, descriptor: int, chunks: Sequence[bytes]) -> None:
        """Write for ``FilesystemContent``."""
        await self._write(descriptor, chunks)

    async def place_content(self, descriptor: int, temporary: str, target: str) -> None:
        """Commit for ``FilesystemContent``."""
        await self._place(descriptor, temporary, target)

    async def copy_from(self, source: Driver, path: str, size: int) -> bool:  # noqa: ARG002 -- the contract's arguments
        """See ``Driver.copy_from``: files are read and written."""
        return False

    async def sweep(self, age: float) -> int:
        """See ``Driver.sweep``: temporary files."""
        return await self._run(file_operations.sweep, self._temporary, time.time() - age)

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


class FilesystemContent:
    """A temporary file that is renamed when it is complete."""

    def __init__(self, driver: FilesystemDriver, descriptor: int, temporary: str, target: str) -> None:
        self._driver = driver
        self._descriptor = descriptor
        self._temporary = temporary
        self._target = target

    async def write(self, chunks: Sequence[bytes]) -> None:
        """See ``ContentWriter.write``."""
        await self._driver.write_content(self._descriptor, chunks)

    async def commit(self) -> None:
        """See ``ContentWriter.commit``."""
        await self._driver.place_content(self._descriptor, self._temporary, self._target)
        self._temporary = ""
        await self.discard()

    async def discard(self) -> None:
        """See ``ContentWriter.discard``."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self._temporary:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._temporary)
            self._temporary = ""
