"""How much a run does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The size of a run; the defaults are the full one."""

    rounds: int = 3  # how often each server has its turn
    seconds: float = 5.0  # of load a turn (manifests)
    connections: int = 32  # of that load
    blob_sizes: tuple[int, ...] = (1, 10, 100, 1000)  # MiB
    push_total: int = 400  # MiB a turn, for blobs smaller than that
    pull_total: int = 2000  # more, as pulls cost little and the clock of /proc ticks in hundredths of a second
    images: int = 96  # a turn
    pushers: int = 8
    layers: int = 8
    layer_bytes: int = 100_000
    tag_counts: tuple[int, ...] = (100, 10_000, 100_000)
    catalog_counts: tuple[int, ...] = (100, 10_000, 100_000)
    page: int = 100
    pages: int = 50  # requests a turn, or less when a turn takes longer than page_seconds
    page_seconds: float = 5.0
    memory_size: int = 1000  # MiB
    memory_streams: int = 2  # at once
    large_size: int = 5 * 1024 + 100  # MiB: more than S3 copies in one request

    def largest_blob(self, groups: Collection[str]) -> int:
        """Return the size of the largest blob of a run of these groups in MiB."""
        sizes = {"blobs": max(self.blob_sizes), "memory": self.memory_size, "large": self.large_size}
        return max([1, *(size for group, size in sizes.items() if group in groups)])

    def pushes(self, size: int) -> int:
        """How many blobs of ``size`` MiB are pushed in a turn."""
        return max(1, min(100, self.push_total // size))

    def pulls(self, size: int) -> int:
        """How often a blob of ``size`` MiB is pulled in a turn."""
        return max(1, min(400, self.pull_total // size))


def quick() -> Settings:
    """Return a run of less than two minutes that shows that everything works; its figures are rough."""
    return Settings(
        rounds=1,
        seconds=1.0,
        blob_sizes=(1, 10, 100),
        push_total=100,
        pull_total=500,
        images=16,
        tag_counts=(100, 10_000),
        catalog_counts=(100, 1_000),
        pages=10,
        page_seconds=1.0,
        memory_size=100,
        large_size=300,
    )
