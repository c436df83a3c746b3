"""The storage driver contract: this file is the specification, and one conformance suite runs for every driver.

Paths are relative, ``/``-separated and made of ``blobs.layout`` only; they never come from a client. A driver stores
bytes at paths and knows nothing of registries. Directories exist as far as they have content: whether an empty one is
listed is undefined. Methods may be called from one event loop; a driver instance belongs to one worker process, and
several processes (on several machines, for remote drivers) work on one store at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from matou.registry.drivers.unread import Unread


class StorageError(Exception):
    """The storage failed in a way that repeating the request at once will not mend."""


class NotFound(StorageError):  # noqa: N818 -- the term of every storage API
    """Nothing is stored at the path."""


class Conflict(StorageError):  # noqa: N818 -- as NotFound
    """An upload has another size than the caller thought, or another request is writing to it."""


class StorageFull(StorageError):  # noqa: N818 -- as NotFound
    """There is no room left (ENOSPC, EDQUOT)."""


class Unusable(StorageError):  # noqa: N818 -- as NotFound
    """No request can succeed: the storage does not know the key, the bucket is not there, a clock is wrong."""


class Stat(NamedTuple):
    """What is known about a path.

    Attributes:
        size: bytes; 0 for a directory.
        modified: seconds since the epoch, UTC.
        is_directory: whether it has children instead of content.
    """

    size: int
    modified: float
    is_directory: bool


class Transient(StorageError):  # noqa: N818 -- as NotFound
    """The storage failed in a way that repeating the request after a while may mend.

    Args:
        message: what failed.
        throttled: the storage asks for fewer requests (503 SlowDown, 429).
        retry_after: seconds that it asks to wait, when it says so.
    """

    def __init__(self, message: str, *, throttled: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.throttled = throttled
        self.retry_after = retry_after


class UploadWriter(Protocol):
    """Appends to one upload, and keeps other writers out until closed as far as the storage can.

    Where it cannot (two processes, object storage) both may write, but then the upload is lost: it is never put
    together from the bytes of both.
    """

    async def write(self, chunks: Sequence[bytes]) -> None:
        """Append the chunks in order. They belong to the upload once ``close`` has returned.

        Raises:
            StorageFull: there is no room; the upload is back at the size that it had when it was opened.
            StorageError: storage failed; how much the upload has is for ``upload_size`` to say.
        """
        ...

    async def close(self) -> None:
        """Store what was written and release the upload, for another request to continue. Closing twice is harmless.

        Raises:
            StorageError: as for ``write``; the upload is released all the same.
        """
        ...


class ContentWriter(Protocol):
    """Writes content that nobody sees before it is committed."""

    async def write(self, chunks: Sequence[bytes]) -> None:
        """Append the chunks in order."""
        ...

    async def commit(self) -> None:
        """Make all of it durable and put it in its place at once, replacing what is there."""
        ...

    async def discard(self) -> None:
        """Throw it away. Harmless after ``commit``, and twice."""
        ...


class Driver(Protocol):
    """A store of bytes. Every method but ``local_path`` may raise ``StorageError``.

    Attributes:
        name: as in the configuration: ``filesystem``, ``s3``.
        shared: whether several machines may use the storage at once.
    """

    name: str
    shared: bool

    async def get(self, path: str) -> bytes:
        """Return the whole content. For small content only (links, manifests).

        Raises:
            NotFound: there is none.
        """
        ...

    async def put(self, path: str, content: bytes, *, durable: bool = True) -> None:
        """Replace the content atomically: a reader sees the old or the new, never a part.

        Args:
            path: where.
            content: all of it.
            durable: whether it must survive a loss of power once this returns. Content that is not durable becomes so
                with the next ``flush``.
        """
        ...

    async def flush(self) -> None:
        """Make everything durable that was put, moved or deleted before the call."""
        ...

    async def stat(self, path: str) -> Stat:
        """Describe a path.

        Raises:
            NotFound: there is neither content nor a directory.
        """
        ...

    def read(self, path: str, start: int, length: int) -> AsyncIterator[bytes]:
        """Yield ``length`` bytes from ``start``, in pieces of at most 1 MiB.

        Whoever stops before the end closes the generator (``streams.closing``), which gives the connection back.

        Raises:
            NotFound: there is none.
            StorageError: the content ends early.
        """
        ...

    def relay(self, path: str, start: int, length: int) -> AsyncIterator[bytes | Unread]:
        """Yield the same as ``read`` for somebody who only passes it on.

        What is yielded as ``Unread`` has to be moved before the next is asked for. If it ends early, asking for the
        next goes on where it ended, or raises.

        Raises:
            NotFound: there is none.
            StorageError: the content ends early.
        """
        ...

    def local_path(self, path: str) -> str | None:
        """Return the file that holds the content, when the kernel can send it; None otherwise."""
        ...

    async def url(self, path: str, method: str, seconds: float) -> str | None:
        """Return a URL by which whoever knows it gets the content from the storage itself; None where there is none.

        Args:
            path: of the content, whose existence is not looked at.
            method: ``GET`` (with ``Range``, too) or ``HEAD``.
            seconds: how long it is good.
        """
        ...

    async def list(self, path: str) -> list[str]:
        """Return the names of the direct children, in no order; an absent directory has none."""
        ...

    def walk(self, path: str) -> AsyncIterator[tuple[str, Stat]]:
        """Yield all content below a path, with what is known about it, in no order; directories are left out.

        Whether content that comes or goes meanwhile is among it is undefined.
        """
        ...

    async def delete(self, path: str) -> None:
        """Delete a path and everything below it; nothing there is success."""
        ...

    async def upload_begin(self, path: str) -> None:
        """Begin an upload, of 0 bytes. It is listed and described like content, with the time of its last change.

        ``delete`` cancels it; one that was cancelled or committed does not come back.
        """
        ...

    async def upload_open(self, path: str, offset: int) -> UploadWriter:
        """Open an upload for appending at its end.

        Raises:
            NotFound: there is no such upload.
            Conflict: its size is not ``offset``, or another request has it open.
        """
        ...

    async def upload_size(self, path: str) -> int:
        """Return the bytes that an upload has.

        Raises:
            NotFound: there is no such upload.
        """
        ...

    def upload_read(self, path: str, size: int) -> AsyncIterator[bytes]:
        """Yield all ``size`` bytes of an upload, in pieces of at most 1 MiB.

        Raises:
            NotFound: there is no such upload.
            Conflict: its size is not ``size``.
        """
        ...

    async def upload_commit(self, path: str, size: int, destination: str) -> None:
        """Make an upload durable and move it to its destination, replacing what is there (which is equal).

        Raises:
            NotFound: there is no such upload.
            Conflict: its size is not ``size``, or another request is writing to it.
        """
        ...

    async def content_open(self, path: str) -> ContentWriter:
        """Begin to write content of any size whose place is known from the start, with no copy at the end."""
        ...

    async def copy_from(self, source: Driver, path: str, size: int) -> bool:
        """Copy content of another driver to the same path here inside the storage, without reading it.

        Args:
            source: a driver that may be of another kind.
            path: in both.
            size: of the content, in bytes.

        Returns:
            False, with nothing done, when these two cannot.

        Raises:
            NotFound: the source has none.
        """
        ...

    async def sweep(self, age: float) -> int:
        """Delete what killed processes left unfinished and no other method shows; return how many things.

        Args:
            age: seconds since they were begun; 0 is right only while no other process uses the storage.
        """
        ...

    async def close(self) -> None:
        """Release threads and connections."""
        ...
