"""Digests, names, ranges, pages: pure functions over text from outside."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matou.registry.content.digest import Digest
from matou.registry.content.names import check_repository_name, is_repository_name, is_tag
from matou.registry.content.pagination import next_link, parse_limit
from matou.registry.content.ranges import parse_content_range, parse_range
from matou.registry.errors import RegistryError
from tests.unit.registry.content.attempt import attempt

# The specification's own expressions.
NAME = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*")
PARTS = st.sampled_from(["a", "9", "b.c", "a_b", "a__b", "a-b", "a---b", "/d", "/9.9"])
TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_digest(algorithm: str) -> None:
    made = Digest.of(b"content", algorithm)
    assert made == f"{algorithm}:{hashlib.new(algorithm, b'content').hexdigest()}"
    assert (made.algorithm, made.hex) == tuple(made.split(":"))
    assert Digest.parse(made) == made


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=80) | st.from_regex(r"sha(256|512):[0-9a-fA-F]{60,130}\n?", fullmatch=True))
def test_digest_of_any_text(text: str) -> None:
    good = re.fullmatch("sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", text, re.ASCII)
    parsed = attempt(Digest.parse, text)
    if isinstance(parsed, RegistryError):
        assert good is None
        assert parsed.code == "DIGEST_INVALID"
        assert parsed.detail["reason"]
    else:
        assert good is not None
        assert parsed == text


@settings(max_examples=150, deadline=None)
@given(name=st.text(st.sampled_from("aZ09._-/ \nä"), max_size=12) | st.lists(PARTS, max_size=90).map("".join))
def test_name_is_what_the_specification_says(name: str) -> None:
    good = NAME.fullmatch(name) is not None and len(name) <= 255
    assert is_repository_name(name) == good
    if good:
        assert check_repository_name(name) == name
    else:
        with pytest.raises(RegistryError) as caught:
            check_repository_name(name)
        assert (caught.value.code, caught.value.status) == ("NAME_INVALID", 400)
        assert len(caught.value.detail["reason"]) > 20


@settings(max_examples=100, deadline=None)
@given(tag=st.text(st.sampled_from("aZ09._-/:\nä"), max_size=8) | st.text("a", min_size=126, max_size=130))
def test_tag_is_what_the_specification_says(tag: str) -> None:
    assert is_tag(tag) == (TAG.fullmatch(tag) is not None)


@settings(max_examples=150, deadline=None)
@given(
    first=st.none() | st.integers(0, 120),
    last=st.none() | st.integers(0, 120),
    size=st.integers(1, 100),
)
def test_range_is_what_a_slice_is(first: int | None, last: int | None, size: int) -> None:
    """RFC 9110 section 14.1.2, against Python's own slices."""
    text = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    whole = range(size)
    if first is None:
        expected = whole[-last:] if last else whole[:0]
    else:
        expected = whole[first : size if last is None else last + 1]
    if not expected:
        with pytest.raises(RegistryError) as caught:
            parse_range(text, size)
        assert (caught.value.code, caught.value.status) == ("RANGE_INVALID", 416)
        assert ("content-range", f"bytes */{size}") in caught.value.headers
    else:
        assert parse_range(text, size) == (expected[0], expected[-1] + 1)


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=20) | st.from_regex(r"bytes[= ]?[0-9a,-]*", fullmatch=True), size=st.integers(0, 50))
def test_range_of_any_text(text: str, size: int) -> None:
    part = attempt(parse_range, text, size)
    if isinstance(part, RegistryError):
        assert part.code == "RANGE_INVALID"
    else:
        assert part is None or 0 <= part[0] < part[1] <= size


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=20) | st.from_regex(r"(bytes[= ])?[0-9]{0,3}-[0-9]{0,3}(/[0-9*]{0,3})?", fullmatch=True))
def test_content_range_of_any_text(text: str) -> None:
    part = attempt(parse_content_range, text)
    if isinstance(part, RegistryError):
        assert (part.code, part.status) == ("RANGE_INVALID", 416)
    else:
        numbers = [int(number) for number in re.findall("[0-9]+", text)]
        assert part == (numbers[0], numbers[1] + 1)
        assert part[0] < part[1]


@pytest.mark.parametrize(
    ("text", "expected"), [(None, None), ("", None), ("0", 0), ("007", 7), ("9" * 18, int("9" * 18))]
)
def test_limit(text: str | None, expected: int | None) -> None:
    assert parse_limit(text) == expected


@settings(max_examples=100, deadline=None)
@given(text=st.text(min_size=1, max_size=25))
def test_limit_of_any_text(text: str) -> None:
    limit = attempt(parse_limit, text)
    if isinstance(limit, RegistryError):
        assert limit.code == "PAGINATION_NUMBER_INVALID"
        assert re.fullmatch("[0-9]{1,18}", text) is None
    else:
        assert limit == int(text)


def test_next_link_is_encoded() -> None:
    """What is in a path or a parameter cannot end the URL or the header."""
    link = next_link('/v2/a>b"/tags/list', {"n": "2", "last": 'x&y>; rel="prev"\r\n', "artifactType": "a/b+c"})
    assert link == (
        '</v2/a%3Eb%22/tags/list?artifactType=a%2Fb%2Bc&last=x%26y%3E%3B+rel%3D%22prev%22%0D%0A&n=2>; rel="next"'
    )
