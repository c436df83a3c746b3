"""What the handlers of one worker share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from matou.registry.auth.base import Access
from matou.registry.blobs import layout
from matou.registry.drivers.base import NotFound

if TYPE_CHECKING:
    from matou.config.distribution import Configuration
    from matou.registry.auth.base import Authenticator
    from matou.registry.blobs.projector import Projector
    from matou.registry.blobs.upload_state import StateCodec
    from matou.registry.blobs.uploads import Uploads
    from matou.registry.content.digest import Digest
    from matou.registry.drivers.base import Driver
    from matou.registry.http.urls import Urls
    from matou.registry.index.reader import Reader
    from matou.registry.index.writer import Writer


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of a worker."""

    configuration: Configuration
    driver: Driver
    reader: Reader
    writer: Writer
    projector: Projector
    uploads: Uploads
    states: StateCodec
    urls: Urls
    authenticator: Authenticator

    async def has_content(self, digest: Digest, size: int) -> bool:
        """Tell whether storage has a blob of so many bytes."""
        try:
            return (await self.driver.stat(layout.blob_data(digest))).size == size
        except NotFound:
            return False


def repository_access(repository: str, actions: tuple[str, ...]) -> tuple[Access, ...]:
    """Return the wanted access to a repository, one record an action."""
    return tuple(Access("repository", repository, action) for action in actions)


CATALOG_ACCESS = (Access("registry", "catalog", "*"),)
