"""How segments become the parts of a multipart upload.

Source: Amazon S3 user guide, "Amazon S3 multipart upload limits": at most 10,000 parts of 5 MiB to 5 GiB; the last may
be smaller. UploadPartCopy takes a range only of objects larger than 5 MiB.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matou.registry.drivers.object_store import Segment

MIB = 1 << 20
GIB = 1 << 30
SMALLEST = 5 * MIB
LARGEST = 5 * GIB
MOST = 10_000


class Piece(NamedTuple):
    """Bytes of an object.

    Attributes:
        key: of it.
        start: first byte.
        length: in bytes.
        whole: whether these are all of it.
    """

    key: str
    start: int
    length: int
    whole: bool


Part = list[Piece]  # one piece: copied inside the service; more: read and sent


def plan(segments: Sequence[Segment], size: int) -> list[Part]:
    """Return the parts that make one object of segments.

    Segments of at least 5 MiB are copied. A smaller one is joined with what follows, of which as little is read as S3
    permits.

    Args:
        segments: in order, none empty.
        size: bytes of a part at most, where one segment is copied in several.
    """
    parts: list[Part] = []
    joined: Part = []
    missing = 0  # bytes that the joined part needs
    for index, segment in enumerate(segments):
        start = 0
        last = index == len(segments) - 1
        if joined:
            rest = segment.size - missing
            if segment.size > SMALLEST and (rest >= SMALLEST or (last and rest > 0)):
                joined.append(Piece(segment.key, 0, missing, whole=False))
                start = missing
            else:
                joined.append(Piece(segment.key, 0, segment.size, whole=True))
                start = segment.size
            missing -= start
        elif segment.size < SMALLEST and not last:
            joined, missing, start = (
                [Piece(segment.key, 0, segment.size, whole=True)],
                SMALLEST - segment.size,
                segment.size,
            )
        if joined and missing <= 0:
            parts.append(joined)
            joined, missing = [], 0
        parts += [[piece] for piece in ranges(segment, start, size)]
    if joined:
        parts.append(joined)
    return parts


def ranges(segment: Segment, start: int, size: int) -> list[Piece]:
    """Cut what an object has from a byte on into pieces of about equal size.

    Args:
        segment: the object.
        start: first byte.
        size: bytes of a piece at most; more where there would be too many, and none is smaller than 5 MiB.
    """
    length = segment.size - start
    if length <= 0:
        return []
    count = max(1, min(-(-length // min(max(size, SMALLEST), LARGEST)), MOST, length // SMALLEST))
    bounds = [start + length * index // count for index in range(count + 1)]
    return [
        Piece(segment.key, first, end - first, whole=end - first == segment.size) for first, end in pairwise(bounds)
    ]
