"""Storage in the memory of the process: for tests and trials. Everything is gone when it stops.

Concurrency: plain dictionary operations on the event loop. One process only, so the server runs one worker with it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from matou.registry.drivers.base import Conflict, NotFound, Stat, StorageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from matou.registry.drivers.base import Driver

READ_PIECE = 1 << 20


@dataclass(slots=True)
class _File:
    content: bytearray = field(default_factory=bytearray)
    modified: float = field(default_factory=time.time)
    is_open: bool = False


class InMemoryDriver:
    """The ``inmemory`` driver."""

    name = "inmemory"
    shared = False

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}

    def _file(self, path: str) -> _File:
        try:
            return self._files[path]
        except KeyError:
            raise NotFound(f"{path} does not exist") from None

    async def get(self, path: str) -> bytes:
        """See ``Driver.get``."""
        return bytes(self._file(path).content)

    async def put(self, path: str, content: bytes, *, durable: bool = True) -> None:  # noqa: ARG002 -- nothing here is durable
        """See ``Driver.put``."""
        self._files[path] = _File(bytearray(content))

    async def flush(self) -> None:
        """See ``Driver.flush``."""

    async def stat(self, path: str) -> Stat:
        """See ``Driver.stat``."""
        file = self._files.get(path)
        if file is not None:
            return Stat(len(file.content), file.modified, is_directory=False)
        prefix = f"{path}/" if path else ""
        times = [child.modified for name, child in self._files.items() if name.startswith(prefix)]
        if not times:
            raise NotFound(f"{path} does not exist")
        return Stat(0, max(times), is_directory=True)

    async def read(self, path: str, start: int, length: int) -> AsyncIterator[bytes]:
        """See ``Driver.read``."""
        content = self._file(path).content
        if start + length > len(content):
            raise StorageError(f"{path} ends {start + length - len(content)} bytes early")
        for first in range(start, start + length, READ_PIECE):
            yield bytes(content[first : min(first + READ_PIECE, start + length)])

    def relay(self, path: str, start: int, length: int) -> AsyncIterator[bytes]:
        """See ``Driver.relay``."""
        return self.read(path, start, length)

    def local_path(self, path: str) -> str | None:  # noqa: ARG002 -- the contract's argument
        """See ``Driver.local_path``: there is no file."""
        return None

    async def url(self, path: str, method: str, seconds: float) -> None:
        """See ``Driver.url``: there is none."""

    async def list(self, path: str) -> list[str]:
        """See ``Driver.list``."""
        prefix = f"{path}/"
        return list({name[len(prefix) :].split("/", 1)[0] for name in self._files if name.startswith(prefix)})

    async def walk(self, path: str) -> AsyncIterator[tuple[str, Stat]]:
        """See ``Driver.walk``."""
        prefix = f"{path}/" if path else ""
        for name, file in list(self._files.items()):
            if name.startswith(prefix):
                yield name, Stat(len(file.content), file.modified, is_directory=False)

    async def delete(self, path: str) -> None:
        """See ``Driver.delete``."""
        prefix = f"{path}/"
        for name in [name for name in self._files if name == path or name.startswith(prefix)]:
            del self._files[name]

    async def upload_begin(self, path: str) -> None:
        """See ``Driver.upload_begin``."""
        self._files[path] = _File()

    async def upload_open(self, path: str, offset: int) -> InMemoryUpload:
        """See ``Driver.upload_open``."""
        file = self._file(path)
        _check_upload(file, offset)
        file.is_open = True
        return InMemoryUpload(file)

    async def upload_size(self, path: str) -> int:
        """See ``Driver.upload_size``."""
        return len(self._file(path).content)

    async def upload_read(self, path: str, size: int) -> AsyncIterator[bytes]:
        """See ``Driver.upload_read``."""
        actual = await self.upload_size(path)
        if actual != size:
            raise Conflict(f"the upload has {actual} bytes, not {size}")
        async for piece in self.read(path, 0, size):
            yield piece

    async def upload_commit(self, path: str, size: int, destination: str) -> None:
        """See ``Driver.upload_commit``."""
        file = self._file(path)
        _check_upload(file, size)
        del self._files[path]
        self._files[destination] = file

    async def content_open(self, path: str) -> InMemoryContent:
        """See ``Driver.content_open``."""
        return InMemoryContent(self, path)

    async def copy_from(self, source: Driver, path: str, size: int) -> bool:  # noqa: ARG002 -- the contract's arguments
        """See ``Driver.copy_from``: everything is read."""
        return False

    async def sweep(self, age: float) -> int:  # noqa: ARG002 -- the contract's argument
        """See ``Driver.sweep``: nothing outlives the process."""
        return 0

    async def close(self) -> None:
        """See ``Driver.close``."""


class InMemoryContent:
    """Content that is being written."""

    def __init__(self, driver: InMemoryDriver, path: str) -> None:
        self._driver = driver
        self._path = path
        self._content = bytearray()

    async def write(self, chunks: Sequence[bytes]) -> None:
        """See ``ContentWriter.write``."""
        for chunk in chunks:
            self._content += chunk

    async def commit(self) -> None:
        """See ``ContentWriter.commit``."""
        await self._driver.put(self._path, bytes(self._content))

    async def discard(self) -> None:
        """See ``ContentWriter.discard``."""


class InMemoryUpload:
    """An open upload."""

    def __init__(self, file: _File) -> None:
        self._file = file

    async def write(self, chunks: Sequence[bytes]) -> None:
        """See ``UploadWriter.write``."""
        for chunk in chunks:
            self._file.content += chunk
        self._file.modified = time.time()

    async def close(self) -> None:
        """See ``UploadWriter.close``."""
        self._file.is_open = False


def _check_upload(file: _File, size: int) -> None:
    if file.is_open:
        raise Conflict("another request is writing to the upload")
    if len(file.content) != size:
        raise Conflict(f"the upload has {len(file.content)} bytes, not {size}")
