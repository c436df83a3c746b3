"""From keys to names of blobs and back: the root directory, and the two conventions of how names begin.

The first drivers for Azure (Distribution 2, GitLab before 16.0) put ``/docker/registry/v2/...`` as it is into the URL
of a blob, behind the slash that follows the container: names begin with a slash, and appear below a directory without
a name. GitLab keeps that as ``legacyrootprefix``. Everywhere else names begin with the first directory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matou.config.sections.azure import AzureParameters


@dataclass(frozen=True, slots=True)
class Names:
    """The names of the blobs of one registry.

    Attributes:
        root: directory, without slashes at its ends; "" for none.
        slash: whether names begin with one.
    """

    root: str
    slash: bool

    @staticmethod
    def of(parameters: AzureParameters) -> Names:
        """Return what a configuration says."""
        return Names(parameters.rootdirectory.strip().strip("/"), slash=parameters.legacyrootprefix)

    @property
    def prefix(self) -> str:
        """What stands before a key."""
        return "/" * self.slash + (f"{self.root}/" if self.root else "")

    @property
    def other(self) -> Names:
        """The same root by the other convention."""
        return Names(self.root, slash=not self.slash)

    @property
    def setting(self) -> str:
        """What configures the convention."""
        return f"storage.azure.trimlegacyrootprefix: {str(not self.slash).lower()}"

    def name(self, key: str) -> str:
        """Return the name of the blob of a key."""
        return self.prefix + key

    def key(self, name: str) -> str | None:
        """Return the key of a blob; None for one that belongs to the other convention."""
        key = name[len(self.prefix) :]
        return None if key.startswith("/") else key
