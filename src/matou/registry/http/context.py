"""What the handlers of one worker share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from matou.registry.auth.base import Access
from matou.registry.errors import RegistryError

if TYPE_CHECKING:
    from matou.config.distribution import Configuration
    from matou.registry.auth.base import Authenticator
    from matou.registry.blobs.projector import Projector
    from matou.registry.blobs.upload_state import StateCodec
    from matou.registry.blobs.uploads import Uploads
    from matou.registry.drivers.base import Driver
    from matou.registry.http.urls import Urls
    from matou.registry.index.reader import Reader
    from matou.registry.index.writer import Writer


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of a worker, made by ``application.open_application``."""

    configuration: Configuration
    driver: Driver
    reader: Reader
    writer: Writer
    projector: Projector
    uploads: Uploads
    states: StateCodec
    urls: Urls
    authenticator: Authenticator

    def check_writable(self) -> None:
        """Refuse writes in maintenance.

        Raises:
            RegistryError: UNSUPPORTED.
        """
        if self.configuration.storage.maintenance.readonly.enabled:
            raise RegistryError(
                "UNSUPPORTED",
                "the registry is in maintenance and read-only",
                detail="pulls work; push and delete again when the maintenance is over "
                "(storage.maintenance.readonly.enabled)",
            )

    def check_deletable(self) -> None:
        """Refuse deletes unless they are switched on.

        Raises:
            RegistryError: UNSUPPORTED.
        """
        self.check_writable()
        if not self.configuration.storage.delete.enabled:
            raise RegistryError(
                "UNSUPPORTED",
                detail="deleting is switched off; the administrator switches it on with storage.delete.enabled: true",
            )


def repository_access(repository: str, actions: tuple[str, ...]) -> tuple[Access, ...]:
    """Return the wanted access to a repository, one record an action."""
    return tuple(Access("repository", repository, action) for action in actions)


CATALOG_ACCESS = (Access("registry", "catalog", "*"),)
