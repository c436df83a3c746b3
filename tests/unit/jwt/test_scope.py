from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matou.jwt.scope import Scope, ScopeError, parse_scope, render_scopes


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("repository:a/b:pull", Scope("repository", "a/b", ("pull",))),
        ("repository:a/b:pull,push,delete,*", Scope("repository", "a/b", ("pull", "push", "delete", "*"))),
        ("registry:catalog:*", Scope("registry", "catalog", ("*",))),
        ("repository:host:5000/a:pull", Scope("repository", "host:5000/a", ("pull",))),
        ("repository(plugin):a/b:pull", Scope("repository", "a/b", ("pull",), "plugin")),
        ("repository:a:pull,pull", Scope("repository", "a", ("pull",))),
        ("repository:a:", Scope("repository", "a", ())),
    ],
)
def test_parse(text: str, scope: Scope) -> None:
    assert parse_scope(text) == scope


@pytest.mark.parametrize(
    "text",
    [
        "",
        "repository",
        "repository:a",
        ":a:pull",
        "repository::pull",
        "repository:a:pull,",
        "repository:a:PULL",
        "repository:a:pull push",
        "Repository:a:pull",
        "repository():a:pull",
        "repository(plugin:a:pull",
        'repository:a"b:pull',
        "repository:a\nb:pull",
        "repository:a\x00:pull",
        "repository:" + "a" * 5000 + ":pull",
    ],
)
def test_malformed(text: str) -> None:
    with pytest.raises(ScopeError):
        parse_scope(text)


def test_render_groups_by_resource_in_order() -> None:
    triples = [("repository", "b", "pull"), ("repository", "a", "pull"), ("repository", "b", "push")]
    assert render_scopes(triples) == "repository:b:pull,push repository:a:pull"
    assert render_scopes([]) == ""


@settings(deadline=None)
@given(
    st.builds(
        Scope,
        st.sampled_from(["repository", "registry"]),
        st.from_regex(r"[a-z0-9]+([:/][a-z0-9]+)*", fullmatch=True),
        st.lists(st.sampled_from(["pull", "push", "delete", "*"]), unique=True).map(tuple),
        st.sampled_from(["", "plugin", "image"]),
    )
)
def test_text_and_back(scope: Scope) -> None:
    assert parse_scope(str(scope)) == scope


@settings(deadline=None)
@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        scope = parse_scope(text)
    except ScopeError:
        return
    assert parse_scope(str(scope)) == scope
