"""Whatever the bytes, there is a configuration or a ``ConfigurationError``, soon."""

from __future__ import annotations

import contextlib
import pickle
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from matou.config.distribution import Configuration, ConfigurationError, parse_configuration
from matou.config.schema import Setting, Settings, section_of, settings_of
from tests.unit.config.reading import MINIMAL, parse
from tests.unit.config.samples import DEVELOPMENT, OMNIBUS, REFUSED, SMALL

SAMPLES = [SMALL, OMNIBUS, DEVELOPMENT, REFUSED]
SYNTAX = st.text(alphabet="abv01: -#&*!|>{}[],?%@`'\"\n\t~<=.\\", max_size=80)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["1h", "-1s", "redis", "0.1"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(st.text(max_size=6), below, max_size=3)),
)


def attempt(data: bytes) -> None:
    with contextlib.suppress(ConfigurationError):
        found = parse_configuration(data, "config.yml", {})
        assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301 -- its own


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    attempt(data)


@given(SYNTAX)
def test_anything_like_yaml(text: str) -> None:
    attempt(text.encode())
    attempt((MINIMAL + text).encode())
    attempt(f"version: 0.1\nstorage: {text}".encode())


@given(st.sampled_from(SAMPLES), st.data())
def test_a_configuration_with_a_piece_changed(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 20)))
    attempt((text[:start] + data.draw(SYNTAX) + text[end:]).encode())


def below(cls: type[Settings]) -> st.SearchStrategy[dict[str, Any]]:
    """Return sections with known keys and any values."""
    known = settings_of(cls)
    if not known:
        return st.just({})
    return st.lists(st.sampled_from(known), max_size=3, unique_by=id).flatmap(
        lambda chosen: st.fixed_dictionaries({each.key: value_of(each) for each in chosen})
    )


def value_of(each: Setting) -> st.SearchStrategy[Any]:
    inner = section_of(each.kind)
    return VALUES if inner is None else st.one_of(VALUES, below(inner))


@settings(deadline=None)
@given(below(Configuration))
def test_known_keys_with_any_values(tree: dict[str, Any]) -> None:
    tree.setdefault("version", 0.1)
    tree.setdefault("storage", "inmemory")
    attempt(yaml.safe_dump(tree, allow_unicode=True).encode())


def test_many_problems_are_not_many_lines() -> None:
    text = MINIMAL + "health:\n  file: [" + ", ".join(["5"] * 1000) + "]\n"
    with contextlib.suppress(ConfigurationError):
        parse(text)
    try:
        parse(text)
    except ConfigurationError as error:
        assert len(str(error).splitlines()) == 50  # noqa: PT017 -- the number is the point
    else:
        raise AssertionError
