"""What the handlers of one worker share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from matou.registry.auth.base import Access
from matou.registry.write_gate import Change

if TYPE_CHECKING:
    from matou.config.distribution import Configuration
    from matou.registry.auth.base import Authenticator
    from matou.registry.blobs.projector import Projector
    from matou.registry.blobs.upload_state import StateCodec
    from matou.registry.blobs.uploads import Uploads
    from matou.registry.descriptors.statter import BlobStatter
    from matou.registry.drivers.base import Driver
    from matou.registry.http.urls import Urls
    from matou.registry.index.reader import Reader
    from matou.registry.ownership.leased_writer import RunsChanges
    from matou.registry.write_gate import WriteGate


class DownloadObserver(Protocol):
    """Is told of pulled blobs."""

    def downloaded(self, size: int, *, redirected: bool) -> None:
        """Count a blob of so many bytes; ``redirected`` when the client gets it from the storage itself."""
        ...


@dataclass(slots=True)
class Context:
    """The parts of a worker.

    Those that belong to a storage may be exchanged for others while a handler waits: a handler that changes something
    does so within ``change()``, where that cannot happen.
    """

    configuration: Configuration
    driver: Driver
    statter: BlobStatter
    reader: Reader
    writer: RunsChanges
    projector: Projector
    uploads: Uploads
    states: StateCodec
    urls: Urls
    authenticator: Authenticator
    gate: WriteGate
    downloads: DownloadObserver | None = None

    def change(self) -> Change:
        """Return what a change is made within: ``async with``.

        Raises:
            RegistryError: UNAVAILABLE, when entered: the storage is being exchanged, and that does not end.
        """
        return Change(self)

    def become(self, other: Context) -> None:
        """Go on with the storage of another context, for the handlers that are at work with this one."""
        self.driver = other.driver
        self.statter = other.statter
        self.reader = other.reader
        self.writer = other.writer
        self.projector = other.projector
        self.uploads = other.uploads
        self.gate = other.gate


def repository_access(repository: str, actions: tuple[str, ...]) -> tuple[Access, ...]:
    """Return the wanted access to a repository, one record an action."""
    return tuple(Access("repository", repository, action) for action in actions)


CATALOG_ACCESS = (Access("registry", "catalog", "*"),)
