from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from django.test import RequestFactory
from pydantic import Field, ValidationError

from matou.portal.api.arguments import BAD_BODY, DEEPEST_NESTING, Arguments, Names, explain, gather, parse_pairs
from matou.portal.api.errors import ApiError

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([], {}),
        ([("a", "1")], {"a": "1"}),
        ([("a", "1"), ("a", "2")], {"a": "2"}),
        ([("a[]", "1"), ("a[]", "2")], {"a": ["1", "2"]}),
        ([("a[b]", "1"), ("a[c]", "2")], {"a": {"b": "1", "c": "2"}}),
        ([("a[b][c]", "1")], {"a": {"b": {"c": "1"}}}),
        ([("a[b][]", "1"), ("a[b][]", "2")], {"a": {"b": ["1", "2"]}}),
        ([("a[][x]", "1"), ("a[][y]", "2"), ("a[][x]", "3")], {"a": [{"x": "1", "y": "2"}, {"x": "3"}]}),
        ([("a[b", "1")], {"a[b": "1"}),
        ([("[a]", "1")], {"[a]": "1"}),
        ([("a[b]c", "1")], {"a[b]c": "1"}),
    ],
)
def test_names_nest(pairs: list[tuple[str, str]], expected: dict[str, Any]) -> None:
    assert parse_pairs(pairs) == expected


@pytest.mark.parametrize(
    "pairs",
    [
        [("a", "1"), ("a[b]", "2")],
        [("a", "1"), ("a[]", "2")],
        [("a[]", "1"), ("a[b]", "2")],
        [("a" + "[b]" * DEEPEST_NESTING, "1")],
    ],
)
def test_contradicting_names_are_refused(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(ApiError) as refusal:
        parse_pairs(pairs)
    assert refusal.value.status == 400


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET"])
@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        (JSON, b'{"a": "\xe7\xa0\x81", "b": ["1", "2"], "c": {"d": "3"}}'),
        (FORM, b"a=%E7%A0%81&b[]=1&b[]=2&c[d]=3"),
        (
            "multipart/form-data; boundary=X",
            (
                b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xe7\xa0\x81\r\n'
                b'--X\r\nContent-Disposition: form-data; name="b[]"\r\n\r\n1\r\n'
                b'--X\r\nContent-Disposition: form-data; name="b[]"\r\n\r\n2\r\n'
                b'--X\r\nContent-Disposition: form-data; name="c[d]"\r\n\r\n3\r\n--X--\r\n'
            ),
        ),
    ],
)
def test_every_verb_takes_every_body(method: str, media_type: str, body: bytes) -> None:
    request = RequestFactory().generic(method, "/?a=query&e=4", body, content_type=media_type)
    assert gather(request) == {"a": "码", "b": ["1", "2"], "c": {"d": "3"}, "e": "4"}
    assert request.method == method


@pytest.mark.parametrize(
    ("media_type", "body", "error"),
    [
        (JSON, b"{", BAD_BODY),
        (JSON, b"[1]", BAD_BODY),
        (JSON, b'"text"', BAD_BODY),
        (JSON, b"null", BAD_BODY),
        (JSON, b'{"a": NaN}', BAD_BODY),
        (JSON, b'{"a": "\xff"}', BAD_BODY),
        (JSON, b"[" * 100_000, BAD_BODY),
        (JSON, b'{"a":' * 50 + b"1" + b"}" * 50, "the parameters are nested deeper than 32 levels"),
        (JSON, b'{"a": ' + b"9" * 5000 + b"}", BAD_BODY),
        (JSON, b'{"a": "\\u0000"}', "string contains null byte"),
        (JSON, b'{"\\u0000": 1}', "string contains null byte"),
        (JSON, b'{"a": "\\ud800"}', "string contains an unpaired surrogate"),
        (FORM, b"a=%00", "string contains null byte"),
        ("multipart/form-data", b"rubbish", BAD_BODY),
        ("multipart/form-data; boundary=X", b"rubbish", None),
    ],
)
def test_hostile_bodies(media_type: str, body: bytes, error: str | None) -> None:
    request = RequestFactory().generic("POST", "/", body, content_type=media_type)
    if error is None:
        assert gather(request) == {}
        return
    with pytest.raises(ApiError) as refusal:
        gather(request)
    assert (refusal.value.status, refusal.value.body) == (400, {"error": error})


def test_unknown_media_type() -> None:
    request = RequestFactory().generic("POST", "/", b"a: 1", content_type="application/yaml")
    with pytest.raises(ApiError) as refusal:
        gather(request)
    assert refusal.value.status == 415


class Sample(Arguments):
    name: Annotated[str, Field(min_length=1)]
    level: Literal["low", "high"] | None = None
    count: int | None = None
    on: bool = False
    words: Names = []  # noqa: RUF012 -- pydantic copies defaults


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"name": "x"}, {"name": "x"}),
        ({"name": 5}, {"name": "5"}),
        ({"name": "x", "unknown": 1}, {"name": "x"}),
        ({"name": "x", "count": "7"}, {"name": "x", "count": 7}),
        ({"name": "x", "count": ""}, {"name": "x", "count": None}),
        ({"name": "x", "on": "true"}, {"name": "x", "on": True}),
        ({"name": "x", "on": "0"}, {"name": "x", "on": False}),
        ({"name": "x", "words": "a,b ,"}, {"name": "x", "words": ["a", "b"]}),
        ({"name": "x", "words": {"0": "a", "1": "b"}}, {"name": "x", "words": ["a", "b"]}),
    ],
)
def test_values_are_coerced(given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert Sample.model_validate(given).given() == expected


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "name is missing"),
        ({"name": ""}, "name is empty"),
        ({"name": ["x"]}, "name is invalid"),
        ({"name": "x", "level": "middle"}, "level does not have a valid value"),
        ({"name": "x", "count": "many"}, "count is invalid"),
        ({"name": "x", "on": "perhaps"}, "on is invalid"),
        ({"name": "x", "words": [1, {}]}, "words is invalid"),
        ({"count": "many"}, "name is missing, count is invalid"),
    ],
)
def test_refusals_read_as_grapes(given: dict[str, Any], text: str) -> None:
    class Holder(Arguments):
        arguments: Sample

    with pytest.raises(ValidationError) as refusal:
        Holder.model_validate({"arguments": given})
    assert explain(refusal.value.errors(include_url=False)) == text
