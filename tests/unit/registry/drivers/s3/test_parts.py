"""Segments become parts within the limits of S3."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matou.registry.drivers.object_store import Segment, SegmentRules
from matou.registry.drivers.s3.parts import LARGEST, MIB, MOST, SMALLEST, plan, ranges

if TYPE_CHECKING:
    from matou.registry.drivers.part_plan import Part

CHUNK = 32 * MIB


def segments(*sizes: int) -> list[Segment]:
    return [Segment(str(index), size) for index, size in enumerate(sizes)]


def size(part: Part) -> int:
    return sum(piece.length for piece in part)


def is_read(part: Part) -> bool:
    return len(part) > 1


def test_segments_of_the_usual_size_are_copied_one_by_one() -> None:
    parts = plan(segments(10 * MIB, 10 * MIB, 3), CHUNK)
    assert [[piece.key for piece in part] for part in parts] == [["0"], ["1"], ["2"]]
    assert all(part[0].whole for part in parts)


def test_a_small_segment_takes_as_little_of_the_next_as_it_must() -> None:
    joined, copied = plan(segments(2 * MIB, 20 * MIB), CHUNK)
    assert [(piece.key, piece.start, piece.length, piece.whole) for piece in joined] == [
        ("0", 0, 2 * MIB, True),
        ("1", 0, 3 * MIB, False),
    ]
    assert [(piece.key, piece.start, piece.length, piece.whole) for piece in copied] == [
        ("1", 3 * MIB, 17 * MIB, False)
    ]


def test_no_more_is_taken_than_leaves_a_part_that_may_be_copied() -> None:
    joined, last = plan(segments(2 * MIB, 7 * MIB, 10), CHUNK)
    assert [piece.key for piece in joined] == ["0", "1"]
    assert all(piece.whole for piece in joined)
    assert last[0].key == "2"


def test_a_large_segment_is_copied_in_several_parts() -> None:
    parts = plan(segments(100 * MIB), CHUNK)
    assert [size(part) for part in parts] == [25 * MIB] * 4


def test_parts_of_a_copy_grow_with_the_object() -> None:
    pieces = ranges(Segment("x", 5 << 40), 5 * MIB)
    assert len(pieces) == 10_000
    assert max(piece.length for piece in pieces) <= LARGEST


def test_large_segments_are_not_cut_into_more_parts_than_there_may_be() -> None:
    cut = SegmentRules(10 * MIB)
    grown, offset = [], 0
    while offset < 1 << 40:
        grown.append(Segment(str(offset), min(cut.size_at(offset), (1 << 40) - offset)))
        offset += grown[-1].size
    assert len(grown) < MOST
    parts = plan(grown, 32 * MIB)
    assert len(parts) <= MOST
    assert not any(map(is_read, parts))
    assert sum(map(size, parts)) == 1 << 40


@given(
    st.lists(
        st.one_of(
            st.integers(1, 3 * SMALLEST), st.sampled_from([SMALLEST - 1, SMALLEST, SMALLEST + 1]), st.just(70 * MIB)
        ),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from([SMALLEST, CHUNK]),
)
def test_parts_are_the_segments_within_the_limits(sizes: list[int], chunk: int) -> None:
    given_segments = segments(*sizes)
    parts = plan(given_segments, chunk)
    assert all(SMALLEST <= size(part) <= LARGEST for part in parts[:-1])
    flat = [piece for part in parts for piece in part]
    places: dict[str, int] = {}
    for piece in flat:
        assert piece.start == places.get(piece.key, 0)
        places[piece.key] = piece.start + piece.length
        assert piece.whole == (piece.length == sizes[int(piece.key)])
    assert [int(key) for key in places] == list(range(len(sizes)))
    assert [places[segment.key] for segment in given_segments] == sizes
    for part in parts:
        assert not is_read(part) or size(part) < 3 * SMALLEST
        if not is_read(part):
            # A range is taken only of what is larger than 5 MiB.
            assert part[0].whole or sizes[int(part[0].key)] > SMALLEST


@pytest.mark.parametrize("length", [1, SMALLEST, SMALLEST + 1, 10 * SMALLEST - 1])
def test_no_piece_of_a_copy_is_too_small(length: int) -> None:
    pieces = ranges(Segment("x", length), SMALLEST)
    assert sum(piece.length for piece in pieces) == length
    assert len(pieces) == 1 or min(piece.length for piece in pieces) >= SMALLEST
