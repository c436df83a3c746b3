"""The limits of multipart uploads of S3, and parts that keep to them.

Source: Amazon S3 user guide, "Amazon S3 multipart upload limits": at most 10,000 parts of 5 MiB to 5 GiB; the last may
be smaller. UploadPartCopy takes a range only of objects larger than 5 MiB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from matou.registry.drivers.part_plan import PartRules, cut, plan_all_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matou.registry.drivers.object_store import Segment
    from matou.registry.drivers.part_plan import Part, Piece

MIB = 1 << 20
GIB = 1 << 30
SMALLEST = 5 * MIB
LARGEST = 5 * GIB
MOST = 10_000


def _rules(preferred: int) -> PartRules:
    return PartRules(SMALLEST, min(max(preferred, SMALLEST), LARGEST), MOST, ranged_above=SMALLEST)


def plan(segments: Sequence[Segment], size: int) -> list[Part]:
    """Return the parts that make one object of segments; more than ``MOST`` only where there are more segments.

    Args:
        segments: in order, none empty.
        size: bytes of a part at most, where one segment is copied in several; more where there would be too many.
    """
    while len(parts := plan_all_parts(segments, _rules(size))) > MOST and size < LARGEST:
        size *= 2
    return parts


def ranges(segment: Segment, size: int) -> list[Piece]:
    """Cut an object into pieces of about equal size.

    Args:
        segment: the object.
        size: bytes of a piece at most; more where there would be more than ``MOST``.
    """
    return cut(segment, 0, _rules(max(size, -(-segment.size // MOST))))
