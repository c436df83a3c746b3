"""The figures of what a worker did: which there are, and where each lies in an array of counters.

The names, labels and buckets are those of Distribution (docker/go-metrics); the array has a place for every combination
of labels that can occur, so a worker only ever adds to numbers.
"""

from __future__ import annotations

from bisect import bisect_left

from matou.registry.http import routes

# Handler names as Distribution labels them; what matches no route is counted too.
HANDLERS = (
    "base",
    "catalog",
    "tags",
    "tag_reference",
    "manifest",
    "blob",
    "blob_upload",
    "blob_upload_chunk",
    "referrers",
    "other",
)
_HANDLER_OF_ROUTE = {
    routes.BASE.name: "base",
    routes.CATALOG.name: "catalog",
    routes.TAGS.name: "tags",
    routes.TAG_REFERENCE.name: "tag_reference",
    routes.MANIFEST.name: "manifest",
    routes.BLOB.name: "blob",
    routes.UPLOADS.name: "blob_upload",
    routes.UPLOAD.name: "blob_upload_chunk",
    routes.REFERRERS.name: "referrers",
}
MANIFEST = HANDLERS.index("manifest")
_OTHER_HANDLER = HANDLERS.index("other")

METHODS = ("get", "head", "post", "put", "patch", "delete", "options", "other")
_METHOD = {method.upper(): index for index, method in enumerate(METHODS[:-1])}
_OTHER_METHOD = len(METHODS) - 1

CODES = (
    *(200, 201, 202, 204, 206, 301, 302, 304, 307, 308),
    *(400, 401, 403, 404, 405, 406, 409, 411, 412, 413, 414, 415, 416, 429, 431),
    *(500, 501, 502, 503, 504, 507),
)
_CODE = {code: index for index, code in enumerate(CODES)}
_OTHER_CODE = len(CODES)
CODE_LABELS = (*(str(code) for code in CODES), "other")

DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0)  # seconds
SIZE_BUCKETS = tuple(float(1 << power) for power in range(10, 32))  # bytes: 1 KiB to 2 GiB

# What a storage driver does, as Distribution labels it; those from Begin on are Matou's own.
ACTIONS = (
    *("GetContent", "PutContent", "Reader", "Writer", "Stat", "List", "Move", "Delete", "URLFor", "Walk"),
    *("Begin", "Size", "Flush", "Copy", "Sweep"),
)
ACTION_BUCKETS = DURATION_BUCKETS[:11]  # seconds

RETRIES = ("failed", "throttled")  # why a request to the storage was repeated
CACHE_COUNTS = ("Request", "Hit", "Error")  # of the blob-descriptor cache
CACHE_OPERATIONS = ("Stat", "SetDescriptor", "Clear")  # of a cache server; the last one is not timed by Distribution
REDIRECTS = ("false", "true")  # whether a pulled blob came from the storage itself
# In bytes: GitLab's, up to 50 GiB.
DOWNLOAD_BUCKETS = tuple(
    mib * (1 << 20)
    for mib in (0.5, 1.0, 64.0, 128.0, 256.0, 512.0, *(gib * 1024.0 for gib in (*range(1, 11), 20, 30, 40, 50)))
)

NANOSECONDS = 1_000_000_000


class Layout:
    """Where each figure lies. A histogram is its sum, then a number for each bucket, the last without limit.

    Empty bodies are left out of the histograms of sizes: they are the requests that those lack.

    Attributes:
        requests: first of the numbers of requests by handler, method and code.
        durations: first of the histograms of nanoseconds by handler and method.
        received: first of the histograms of request bodies' bytes by handler.
        sent: first of the histograms of answers' bytes by handler.
        in_flight: first of the requests that are being answered, by handler.
        cache_hits: manifests that were served without asking the index.
        failing: health checks that fail.
        actions: first of the histograms of nanoseconds by storage action.
        retries: first of the numbers of requests to the storage that were repeated, by reason.
        waits: requests to the storage that waited for the limit of requests a second; then their nanoseconds.
        descriptors: first of the counts of the blob-descriptor cache.
        cache_operations: first of the histograms of nanoseconds by operation of a cache server.
        downloads: first of the histograms of bytes of pulled blobs, those that were redirected second.
        size: how many numbers there are.
    """

    duration_size = len(DURATION_BUCKETS) + 2
    size_size = len(SIZE_BUCKETS) + 2
    action_size = len(ACTION_BUCKETS) + 2
    download_size = len(DOWNLOAD_BUCKETS) + 2

    requests = 0
    durations = requests + len(HANDLERS) * len(METHODS) * len(CODE_LABELS)
    received = durations + len(HANDLERS) * len(METHODS) * duration_size
    sent = received + len(HANDLERS) * size_size
    in_flight = sent + len(HANDLERS) * size_size
    cache_hits = in_flight + len(HANDLERS)
    failing = cache_hits + 1
    actions = failing + 1
    retries = actions + len(ACTIONS) * action_size
    waits = retries + len(RETRIES)
    descriptors = waits + 2
    cache_operations = descriptors + len(CACHE_COUNTS)
    downloads = cache_operations + len(CACHE_OPERATIONS) * action_size
    size = downloads + len(REDIRECTS) * download_size


class RequestFigures:
    """Counts the requests of one worker.

    Args:
        cells: ``Layout.size`` numbers, which nobody else changes.
        prefix: what comes before ``/v2`` in paths.
    """

    def __init__(self, cells: memoryview[int] | list[int], prefix: str) -> None:
        self._cells = cells
        self._below = f"{prefix}/v2"

    def begin(self, path: str) -> int:
        """Count a request as being answered; returns its handler, for ``end``."""
        found = routes.match(path[len(self._below) :]) if path.startswith(self._below) else None
        handler = _OTHER_HANDLER if found is None else HANDLERS.index(_HANDLER_OF_ROUTE[found.route.name])
        self._cells[Layout.in_flight + handler] += 1
        return handler

    def end(self, handler: int, method: str, status: int, received: int, sent: int, seconds: float) -> None:
        """Count a request as answered.

        Args:
            handler: what ``begin`` returned.
            method: upper case.
            status: of the answer.
            received: bytes of the request's body.
            sent: bytes of the answer's body.
            seconds: from the request's headers to the end of the answer.
        """
        self._cells[Layout.in_flight + handler] -= 1
        self._count(handler, method, status, received, sent, seconds)

    def cached(self, method: str, sent: int, seconds: float) -> None:
        """Count a manifest that was served from the cache, as ``begin`` and ``end`` do; GET or HEAD."""
        cells = self._cells
        requests, durations = _CACHED_GET if method == "GET" else _CACHED_HEAD
        cells[_CACHE_HITS] += 1
        cells[requests] += 1
        cells[durations] += int(seconds * NANOSECONDS)
        cells[durations + 1 if seconds <= _SHORTEST else durations + 1 + bisect_left(DURATION_BUCKETS, seconds)] += 1
        if sent:
            cells[_CACHED_SENT] += sent
            cells[_CACHED_SENT + 1 + bisect_left(SIZE_BUCKETS, sent)] += 1

    def _count(self, handler: int, method: str, status: int, received: int, sent: int, seconds: float) -> None:
        cells = self._cells
        requests, durations = places(handler, method, status)
        cells[requests] += 1
        cells[durations] += int(seconds * NANOSECONDS)
        cells[durations + 1 + bisect_left(DURATION_BUCKETS, seconds)] += 1
        for first, size in ((Layout.received, received), (Layout.sent, sent)):
            if size:
                place = first + handler * Layout.size_size
                cells[place] += size
                cells[place + 1 + bisect_left(SIZE_BUCKETS, size)] += 1


def places(handler: int, method: str, status: int) -> tuple[int, int]:
    """Return where requests are counted, and where their histogram of durations begins."""
    series = handler * len(METHODS) + _METHOD.get(method, _OTHER_METHOD)
    return (
        Layout.requests + series * len(CODE_LABELS) + _CODE.get(status, _OTHER_CODE),
        Layout.durations + series * Layout.duration_size,
    )


# Globals of the module are read faster than attributes of a class, and computed once.
_CACHE_HITS = Layout.cache_hits
_CACHED_GET, _CACHED_HEAD = places(MANIFEST, "GET", 200), places(MANIFEST, "HEAD", 200)
_CACHED_SENT = Layout.sent + MANIFEST * Layout.size_size
_SHORTEST = DURATION_BUCKETS[0]
