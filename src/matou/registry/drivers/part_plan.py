"""How segments become the parts of one multipart upload, by the rules of a service.

A segment is copied inside the service, as a whole or in ranges. One that is too small for a part is read and joined
with what follows, of which as little is read as the service permits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matou.registry.drivers.object_store import Segment, SegmentRules


# Of content that is written as parts at once, which nothing can put together in two steps: 5 TiB of parts that begin at
# 5 MiB are 9,700 of them, and none has more than 5 GiB.
DIRECT_GROWTH = 1250


def direct(rules: SegmentRules) -> SegmentRules:
    """Return the rules by which content is cut into the parts of one multipart upload.

    Args:
        rules: for the segments of uploads.
    """
    return replace(rules, growth=DIRECT_GROWTH)


@dataclass(frozen=True, slots=True)
class PartRules:
    """What a service permits, and what is copied well.

    Attributes:
        smallest: bytes of a part at least, but for the last.
        preferred: bytes from which a segment is copied in several parts.
        most: parts of an object.
        ranged_above: bytes that an object must exceed so that a range of it may be copied.
    """

    smallest: int
    preferred: int
    most: int = 10_000
    ranged_above: int = 0


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


Part = list[Piece]  # one piece: copied; several: read and sent


def plan_parts(segments: Sequence[Segment], rules: PartRules) -> list[Part]:
    """Return the parts that make one object of segments.

    Args:
        segments: in order, none empty.
        rules: of the service. Where they would lead to too many parts, parts get larger.
    """
    while len(parts := plan_all_parts(segments, rules)) > rules.most:
        rules = replace(rules, smallest=rules.smallest * 2, preferred=rules.preferred * 2)
    return parts


def plan_all_parts(segments: Sequence[Segment], rules: PartRules) -> list[Part]:
    """Return the parts that make one object of segments, even when there are more than an object may have.

    Args:
        segments: in order, none empty.
        rules: of the service.
    """
    parts: list[Part] = []
    joined: Part = []
    missing = 0  # bytes that the joined part needs
    for index, segment in enumerate(segments):
        is_last = index == len(segments) - 1
        start = 0
        if joined:
            rest = segment.size - missing
            is_cut = segment.size > rules.ranged_above and (rest >= rules.smallest or (is_last and rest > 0))
            start = missing if is_cut else segment.size
        elif segment.size < rules.smallest and not is_last:
            start, missing = segment.size, rules.smallest
        if start:
            joined.append(Piece(segment.key, 0, start, whole=start == segment.size))
            missing -= start
            if missing <= 0:
                parts.append(joined)
                joined = []
        parts += [[piece] for piece in cut(segment, start, rules)]
    if joined:
        parts.append(joined)
    return parts


def cut(segment: Segment, start: int, rules: PartRules) -> list[Piece]:
    """Cut what a segment has from a byte on into pieces of about equal size.

    Args:
        segment: an object.
        start: first byte.
        rules: of the service.
    """
    length = segment.size - start
    if not length:
        return []
    count = max(1, min(-(-length // rules.preferred), length // rules.smallest))
    bounds = [start + length * index // count for index in range(count + 1)]
    return [
        Piece(segment.key, first, end - first, whole=end - first == segment.size) for first, end in pairwise(bounds)
    ]
