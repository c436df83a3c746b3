"""An object store in memory, with the habits that stores may have and faults on demand."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from matou.registry.drivers.base import NotFound, StorageError
from matou.registry.drivers.object_store import Listing, Segment, SegmentRules, StoredObject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

PAGE = 3  # small, so that listings have pages


class MemoryStore:
    """Objects in a dictionary.

    Args:
        size: bytes of a segment.
        keeps_segments: whether assembled objects refer to their segments, as in Swift.
        settling: seconds that listings may lag.
        page: keys of a page of a listing.
    """

    name = "memory"

    def __init__(self, size: int = 4, *, keeps_segments: bool = False, settling: float = 0.0, page: int = PAGE) -> None:
        self.page = page
        self.segments = SegmentRules(size, settling=settling)
        self.keeps_segments = keeps_segments
        self.objects: dict[str, tuple[bytes, float]] = {}
        self.assembled: dict[str, list[str]] = {}
        self.failing_puts: list[str] = []  # a part of the keys that cannot be stored, each once
        self.hidden: set[str] = set()  # keys that listings do not show yet
        self.requests: list[str] = []

    def segment_prefix(self, upload: str) -> str:
        return f"segments/{upload}/" if self.keeps_segments else f"{upload}/"

    def _content(self, key: str) -> bytes:
        try:
            content = self.objects[key][0]
        except KeyError:
            raise NotFound(f"{key} does not exist") from None
        if key in self.assembled:
            return b"".join(self._content(segment) for segment in self.assembled[key])
        return content

    async def get(self, key: str) -> bytes:
        self.requests.append(f"get {key}")
        return self._content(key)

    async def put(self, key: str, chunks: Sequence[bytes]) -> None:
        self.requests.append(f"put {key}")
        for index, part in enumerate(self.failing_puts):
            if part in key:
                del self.failing_puts[index]
                raise StorageError("the storage failed")
        self.assembled.pop(key, None)
        self.objects[key] = (b"".join(chunks), time.time())

    async def head(self, key: str) -> StoredObject:
        self.requests.append(f"head {key}")
        return StoredObject(key, len(self._content(key)), self.objects[key][1])

    async def read(self, key: str, start: int, length: int) -> AsyncIterator[bytes]:
        self.requests.append(f"read {key}")
        yield self._content(key)[start : start + length]

    def relay(self, key: str, start: int, length: int) -> AsyncIterator[bytes]:
        return self.read(key, start, length)

    async def list(self, prefix: str, *, directories: bool) -> AsyncIterator[Listing]:
        self.requests.append(f"list {prefix}")
        # Segments that stay lie outside the root directory.
        there = [key for key in self.objects if key.startswith("segments/") == prefix.startswith("segments/")]
        keys = [key for key in there if key.startswith(prefix) and key not in self.hidden]
        for first in range(0, len(keys), self.page):
            page = keys[first : first + self.page]
            deep = [key for key in page if "/" in key[len(prefix) :]] if directories else []
            yield Listing(
                [StoredObject(key, len(self._content(key)), self.objects[key][1]) for key in page if key not in deep],
                list({key[len(prefix) :].split("/", 1)[0] for key in deep}),
            )

    async def delete(self, keys: Sequence[str]) -> None:
        self.requests.append(f"delete {len(keys)}")
        for key in keys:
            self.objects.pop(key, None)
            for segment in self.assembled.pop(key, []):
                self.objects.pop(segment, None)

    async def assemble(self, segments: Sequence[Segment], key: str) -> None:
        self.requests.append(f"assemble {key}")
        content = b"".join(self._content(segment.key) for segment in segments)
        self.objects[key] = (content, time.time())
        if self.keeps_segments:
            self.assembled[key] = [segment.key for segment in segments]

    async def open(self, key: str) -> None:
        """Segments serve as well."""

    async def url(self, key: str, method: str, seconds: float) -> str:
        return f"memory:{key}?method={method}&seconds={seconds:.0f}"

    async def copy_from(self, source: object, key: str, size: int) -> bool:
        if not isinstance(source, MemoryStore):
            return False
        content = source._content(key)
        assert len(content) == size
        self.objects[key] = (content, time.time())
        return True

    async def sweep(self, age: float) -> int:  # noqa: ARG002 -- the protocol's argument
        return 0

    async def close(self) -> None:
        pass
