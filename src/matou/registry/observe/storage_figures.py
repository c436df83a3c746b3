"""What a worker counts of its storage and of the cache in front of it."""

from __future__ import annotations

from bisect import bisect_left

from matou.registry.observe.figures import (
    ACTION_BUCKETS,
    ACTIONS,
    CACHE_COUNTS,
    CACHE_OPERATIONS,
    DOWNLOAD_BUCKETS,
    NANOSECONDS,
    RETRIES,
    Layout,
)

Cells = memoryview | list[int]

_REQUEST, _HIT, _ERROR = (Layout.descriptors + CACHE_COUNTS.index(name) for name in ("Request", "Hit", "Error"))


class StorageFigures:
    """Counts what the storage driver of one worker does; the ``RequestObserver`` of the drivers.

    Args:
        cells: ``Layout.size`` numbers, which nobody else changes.
    """

    def __init__(self, cells: Cells) -> None:
        self._cells = cells

    def count(self, action: str, seconds: float) -> None:
        """Count one of ``ACTIONS``, whether it succeeded or not."""
        _count_seconds(self._cells, Layout.actions, ACTIONS.index(action), seconds)

    def retried(self, *, throttled: bool) -> None:
        """See ``RequestObserver.retried``."""
        self._cells[Layout.retries + RETRIES.index("throttled" if throttled else "failed")] += 1

    def waited(self, seconds: float) -> None:
        """See ``RequestObserver.waited``."""
        self._cells[Layout.waits] += 1
        self._cells[Layout.waits + 1] += int(seconds * NANOSECONDS)


class CacheFigures:
    """Counts what the blob-descriptor cache of one worker does; see ``CacheObserver``.

    Args:
        cells: ``Layout.size`` numbers, which nobody else changes.
    """

    def __init__(self, cells: Cells) -> None:
        self._cells = cells

    def hit(self) -> None:
        """See ``CacheObserver.hit``."""
        self._cells[_REQUEST] += 1
        self._cells[_HIT] += 1

    def missed(self) -> None:
        """See ``CacheObserver.missed``."""
        self._cells[_REQUEST] += 1

    def failed(self) -> None:
        """See ``CacheObserver.failed``."""
        self._cells[_ERROR] += 1

    def took(self, operation: str, seconds: float) -> None:
        """See ``CacheObserver.took``."""
        _count_seconds(self._cells, Layout.cache_operations, CACHE_OPERATIONS.index(operation), seconds)


class DownloadFigures:
    """Counts the blobs that were pulled from one worker.

    Args:
        cells: ``Layout.size`` numbers, which nobody else changes.
    """

    def __init__(self, cells: Cells) -> None:
        self._cells = cells

    def downloaded(self, size: int, *, redirected: bool) -> None:
        """Count a blob.

        Args:
            size: bytes of all of it, even if a part was asked for.
            redirected: the client gets it from the storage itself.
        """
        first = Layout.downloads + int(redirected) * Layout.download_size
        self._cells[first] += size
        self._cells[first + 1 + bisect_left(DOWNLOAD_BUCKETS, size)] += 1


def _count_seconds(cells: Cells, histograms: int, index: int, seconds: float) -> None:
    first = histograms + index * Layout.action_size
    cells[first] += int(seconds * NANOSECONDS)
    cells[first + 1 + bisect_left(ACTION_BUCKETS, seconds)] += 1
