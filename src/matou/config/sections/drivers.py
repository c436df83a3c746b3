"""Parameters of the storage drivers in ``storage``.

Source: Distribution's and GitLab's documentation of the drivers; Distribution 2.8 for swift.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matou.config.containers import Anything, MapOf
from matou.config.kinds import Boolean, Integer, Text
from matou.config.schema import Settings, setting

if TYPE_CHECKING:
    from matou.config.kinds import Place
    from matou.config.yaml_lines import Mapping as MappingNode

MIB = 1 << 20
GCS_UNIT = 256 * 1024
LEAST_THREADS = 25


@dataclass(frozen=True, slots=True)
class FilesystemParameters(Settings):
    """``storage.filesystem``."""

    rootdirectory: str = setting(Text(), "/var/lib/registry", "directory of the tree; `docker/` is below it")
    maxthreads: int = setting(Integer(0), 100, "most system calls at a time a worker; less than 25 counts as 25")

    def verify(self, node: MappingNode, place: Place) -> FilesystemParameters:
        """Raise what is too little, as Distribution does; without a directory images would lie in the present one."""
        if not self.rootdirectory.strip():
            place.child("rootdirectory").error(
                node.key_origins["rootdirectory"], "is empty; expected the path of a directory"
            )
        return dataclasses.replace(self, maxthreads=max(LEAST_THREADS, self.maxthreads))

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells this storage from others."""
        return (self.rootdirectory,)


@dataclass(frozen=True, slots=True)
class InMemoryParameters(Settings):
    """``storage.inmemory``, which takes no parameters."""


@dataclass(frozen=True, slots=True)
class GcsParameters(Settings):
    """``storage.gcs``."""

    bucket: str = setting(Text(), "", "its name", required=True)
    keyfile: str = setting(Text(), "", "JSON key file of the service account")
    credentials: Mapping[str, Any] = setting(MapOf(Anything()), {}, "content of the key file", secret=True)
    rootdirectory: str = setting(Text(), "", "prefix of all names")
    chunksize: int = setting(Integer(GCS_UNIT), 5 * MIB, "bytes of a part of an upload; a multiple of 256 KiB")
    maxconcurrency: int = setting(Integer(1), 50, "requests at a time")
    useragent: str = setting(Text(), "", "User-Agent of requests (GitLab)")
    parallelwalk: bool = setting(Boolean(), default=False, doc="list in parallel (GitLab)")
    debug_log: bool = setting(Boolean(), default=False, doc="log what the client library does (GitLab)")

    def verify(self, node: MappingNode, place: Place) -> GcsParameters:
        """Check bucket and size of parts, which the service restricts."""
        if "/" in self.bucket:
            place.child("bucket").error(
                node.key_origins["bucket"],
                f"is {self.bucket!r}; expected the name of a bucket alone: a directory in it belongs to rootdirectory",
            )
        if self.chunksize % GCS_UNIT:
            place.child("chunksize").error(
                node.key_origins["chunksize"], f"is {self.chunksize}; expected a multiple of {GCS_UNIT} (256 KiB)"
            )
        return self

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells this storage from others; the bucket comes first."""
        return self.bucket, self.rootdirectory.strip("/")
