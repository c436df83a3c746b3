from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matou.registry.drivers.object_store import Segment, SegmentRules
from matou.registry.drivers.part_plan import Part, PartRules, direct, plan_parts

RULES = PartRules(smallest=10, preferred=100, most=50)


def plan(sizes: list[int], rules: PartRules = RULES) -> list[Part]:
    return plan_parts([Segment(str(index), size) for index, size in enumerate(sizes)], rules)


def shape(parts: list[Part]) -> list[list[tuple[str, int, int]]]:
    return [[(piece.key, piece.start, piece.length) for piece in part] for part in parts]


@given(st.lists(st.integers(1, 400), min_size=1, max_size=300))
def test_parts_have_all_bytes_in_order_and_keep_to_the_rules(sizes: list[int]) -> None:
    parts = plan(sizes)
    bytes_of = {str(index): size for index, size in enumerate(sizes)}
    found: list[tuple[str, int]] = []
    for part in parts:
        for piece in part:
            assert piece.length > 0
            assert piece.whole == (piece.length == bytes_of[piece.key])
            found += [(piece.key, byte) for byte in range(piece.start, piece.start + piece.length)]
    assert found == [(key, byte) for key, size in bytes_of.items() for byte in range(size)]
    assert len(parts) <= RULES.most
    assert all(sum(piece.length for piece in part) >= RULES.smallest for part in parts[:-1])


@given(st.lists(st.integers(10, 400), min_size=1, max_size=12))
def test_segments_that_are_large_enough_are_not_read(sizes: list[int]) -> None:
    assert all(len(part) == 1 for part in plan(sizes))


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([50], [[("0", 0, 50)]]),
        ([3], [[("0", 0, 3)]]),
        ([50, 50, 3], [[("0", 0, 50)], [("1", 0, 50)], [("2", 0, 3)]]),
        # Seven bytes of the next segment make the small one a part.
        ([50, 3, 50], [[("0", 0, 50)], [("1", 0, 3), ("2", 0, 7)], [("2", 7, 43)]]),
        # What would be left of the next segment is too small, unless it is the last.
        ([3, 12, 50], [[("0", 0, 3), ("1", 0, 12)], [("2", 0, 50)]]),
        ([3, 12], [[("0", 0, 3), ("1", 0, 7)], [("1", 7, 5)]]),
        ([3, 4], [[("0", 0, 3), ("1", 0, 4)]]),
        ([250], [[("0", 0, 83)], [("0", 83, 83)], [("0", 166, 84)]]),
    ],
)
def test_plans(sizes: list[int], expected: list[list[tuple[str, int, int]]]) -> None:
    assert shape(plan(sizes)) == expected


def test_too_many_segments_are_joined() -> None:
    parts = plan([10] * 201)
    assert len(parts) <= RULES.most
    assert {len(part) for part in parts[:-1]} == {8}


@pytest.mark.parametrize("chunksize", [5 << 20, 10 << 20, 25 << 20, 5 << 30])
def test_the_largest_object_is_written_in_the_parts_that_it_may_have(chunksize: int) -> None:
    rules = direct(SegmentRules(chunksize))
    offset = count = largest = 0
    while offset < 5 << 40:
        size = rules.size_at(offset)
        largest = max(largest, size)
        offset += size
        count += 1
    assert count < 10_000
    assert largest <= 5 << 30
    # Few blobs are so large that it shows.
    assert rules.size_at(6 << 30) <= max(chunksize, 5 << 20)
