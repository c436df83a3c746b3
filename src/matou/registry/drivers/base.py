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


class StorageError(Exception):
    """The storage failed in a way that repeating the request at once will not mend."""


class NotFound(StorageError):  # noqa: N818 -- the term of every storage API
    """Nothing is stored at the path."""


class Conflict(StorageError):  # noqa: N818 -- as NotFound
    """An upload has another size than the caller thought, or another request is writing to it."""


class StorageFull(StorageError):  # noqa: N818 -- as NotFound
    """There is no room left (ENOSPC, EDQUOT)."""


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


class UploadWriter(Protocol):
    """Appends to one upload; holds whatever lock keeps other writers out until closed."""

    async def write(self, chunks: Sequence[bytes]) -> None:
        """Append the chunks in order; the bytes belong to the upload once this returns.

        Raises:
            StorageFull: there is no room; the upload is back at the size that it had when it was opened.
        """
        ...

    async def close(self) -> None:
        """Release the upload. What was written stays, for another request to continue."""
        ...


class Driver(Protocol):
    """A store of bytes. Every method but ``local_path`` may raise ``StorageError``."""

    name: str

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

        Raises:
            NotFound: there is none.
            StorageError: the content ends early.
        """
        ...

    def local_path(self, path: str) -> str | None:
        """Return the file that holds the content, when the kernel can send it; None otherwise."""
        ...

    async def list(self, path: str) -> list[str]:
        """Return the names of the direct children, in no order; an absent directory has none."""
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

    async def upload_commit(self, path: str, size: int, destination: str) -> None:
        """Make an upload durable and move it to its destination, replacing what is there (which is equal).

        Raises:
            NotFound: there is no such upload.
            Conflict: its size is not ``size``, or another request is writing to it.
        """
        ...

    async def close(self) -> None:
        """Release threads and connections."""
        ...
