"""The blob-descriptor cache: what storage has said of blobs lately, so that it is not asked again at each pull.

It knows digests and sizes of blobs that are there. What is not there is never remembered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from matou.registry.content.digest import Digest

# Seconds from when storage was asked. Whatever makes a blob disappear behind the registry's back shows after that at
# the latest, and a blob that is pulled all the time costs one request an hour. Nothing that is stored depends on it.
LIFETIME = 3600.0


class CacheSetupError(ValueError):
    """What the configuration says of the cache cannot be put into effect; the text names the key and what to do."""


class DescriptorCache(Protocol):
    """Sizes of blobs by digest. No method raises anything: a cache that fails knows nothing."""

    async def size_of(self, digest: Digest) -> int | None:
        """Return the bytes of a blob that storage had within ``LIFETIME``, or None when that is not known."""
        ...

    async def remember(self, digest: Digest, size: int) -> None:
        """Note that storage has a blob of so many bytes."""
        ...

    async def forget(self, digest: Digest) -> None:
        """Note that storage lacks a blob."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


class CacheObserver(Protocol):
    """Is told of what a cache does."""

    def hit(self) -> None:
        """Count a blob that was known."""
        ...

    def missed(self) -> None:
        """Count a blob that was not known."""
        ...

    def failed(self) -> None:
        """Count an operation that failed; a look that failed is a miss besides."""
        ...

    def took(self, operation: str, seconds: float) -> None:
        """Count an operation of a cache server: ``Stat``, ``SetDescriptor`` or ``Clear``."""
        ...


class UnobservedCache:
    """Counts nothing."""

    def hit(self) -> None:
        """See ``CacheObserver.hit``."""

    def missed(self) -> None:
        """See ``CacheObserver.missed``."""

    def failed(self) -> None:
        """See ``CacheObserver.failed``."""

    def took(self, operation: str, seconds: float) -> None:
        """See ``CacheObserver.took``."""
