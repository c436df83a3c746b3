from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from matou.portal.api.routes import api as routes
from matou.portal.tokens import services as tokens

if TYPE_CHECKING:
    from matou.portal.accounts.models import User
    from matou.portal.namespaces.models import Namespace, Project
    from tests.unit.portal.api.conftest import Api
    from tests.unit.portal.conftest import Tree


class Harbour:
    """Things that can become many."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self.admin = tree.user("admin1", is_admin=True)
        self.owner = tree.user("owner")
        self.group = tree.group(self.owner, path="harbour")
        self.project = tree.project(self.group, self.owner, path="crane")

    def grow(self) -> None:
        """Add one of everything."""
        access: dict[str, Any] = {"name": "t", "scopes": ["api"], "expires_at": None}
        places: list[dict[str, Namespace | Project]] = [{"group": self.group}, {"project": self.project}]
        for place in places:
            (source,) = place.values()
            self._tree.member(source, 20)
            made: dict[str, Any] = {"creator": self.owner, **place}
            tokens.create_deploy_token(name="d", scopes=["read_registry"], **made)
            tokens.create_resource_token(access_level=30, **made, **access)
        tokens.create_access_token(user=self.owner, **access)
        tokens.create_job_token(project=self.project, user=self.owner, lifetime=dt.timedelta(hours=1))
        inner = self._tree.group(self.owner, parent=self.group)
        self._tree.project(inner, self._tree.user())
        self._tree.project(self.group, self.owner)
        self._tree.project(creator=self.owner)


@pytest.fixture
def harbour(tree: Tree) -> Harbour:
    return Harbour(tree)


def lists() -> list[str]:
    """Return the paths of all operations that answer with a list."""
    found = []
    for path, operations in routes.get_openapi_schema(path_prefix="")["paths"].items():
        schema = operations.get("get", {}).get("responses", {}).get(200, {})
        schema = schema.get("content", {}).get("application/json", {}).get("schema", {})
        if schema.get("type") == "array" or any(option.get("type") == "array" for option in schema.get("anyOf", ())):
            found.append(path)
    return found


@pytest.mark.parametrize("path", lists())
def test_a_list_costs_the_same_however_long_it_is(api: Api, harbour: Harbour, path: str) -> None:
    kind = path.split("/")[1]
    source = harbour.project if kind == "projects" else harbour.group
    path = path.format(
        user_id=harbour.owner.pk,
        user_reference=harbour.owner.pk,
        group_id=harbour.group.pk,
        project_id=harbour.project.pk,
        source_id=source.pk,
    )

    def cost(caller: User) -> tuple[int, int]:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            answer = api.ask("GET", path, caller, per_page=100)
        assert answer.status == 200
        return len(answer.json), len(queries)

    for caller in (harbour.owner, harbour.admin):
        if ("memberships" in path or path == "/deploy_tokens") and not caller.is_admin:
            continue
        api.ask("GET", path, caller)  # notes the use of the token
        harbour.grow()
        few, cost_of_few = cost(caller)
        for _ in range(4):
            harbour.grow()
        many, cost_of_many = cost(caller)
        assert many >= few + 4
        assert cost_of_many == cost_of_few
        assert cost_of_many <= 8


def test_there_are_lists() -> None:
    assert len(lists()) >= 18


def test_pages(api: Api, tree: Tree) -> None:
    user = tree.user()
    made = [tree.project(creator=user, path=f"p{number}").pk for number in range(5)]
    first = api.ask("GET", "/projects", user, per_page=2, order_by="id", sort="asc")
    assert first.ids == made[:2]
    expected = {
        "X-Total": "5", "X-Total-Pages": "3", "X-Page": "1", "X-Per-Page": "2", "X-Next-Page": "2", "X-Prev-Page": "",
    }  # fmt: skip
    assert {name: first.headers[name] for name in expected} == expected
    for relation in ("next", "first", "last"):
        assert f'rel="{relation}"' in first.headers["Link"]
    last = api.ask("GET", "/projects", user, per_page=2, page=3, order_by="id", sort="asc")
    assert (last.ids, last.headers["X-Next-Page"], last.headers["X-Prev-Page"]) == (made[4:], "", "2")
    beyond = api.ask("GET", "/projects", user, page=9)
    assert (beyond.status, beyond.json, beyond.headers["X-Total"]) == (200, [], "5")
    assert api.ask("GET", "/projects", user, per_page=1000).headers["X-Per-Page"] == "100"
    for per_page in (0, -1):
        refused = api.ask("GET", "/projects", user, per_page=per_page)
        assert (refused.status, refused.json) == (400, {"error": "per_page has a value not allowed"})


def test_pages_by_key(api: Api, tree: Tree) -> None:
    user = tree.user()
    made = [tree.project(creator=user).pk for _ in range(3)]
    asked = {"pagination": "keyset", "order_by": "id", "sort": "asc", "per_page": 2}
    first = api.ask("GET", "/projects", user, **asked)
    assert (first.ids, "X-Total" in first.headers) == (made[:2], False)
    link = first.headers["Link"]
    assert f"id_after={made[1]}" in link
    assert 'rel="next"' in link
    rest = api.ask("GET", "/projects", user, **asked, id_after=made[1])
    assert (rest.ids, "Link" in rest.headers) == (made[2:], False)
    assert api.ask("GET", "/projects", user, **(asked | {"sort": "desc"}), id_before=made[1]).ids == made[:1]
    other = api.ask("GET", "/projects", user, pagination="keyset", order_by="name")
    assert other.status == 405


def test_links_lead_to_the_same_list_without_credentials(api: Api, tree: Tree) -> None:
    user = tree.user()
    group = tree.group(user)
    for _ in range(2):
        tree.project(group, user, visibility="private")
    path = f"/groups/{group.full_path}/projects?per_page=1&visibility=private&private_token={api.secret(user)}"
    link = api.send("GET", path).headers["Link"]
    assert "private_token" not in link
    assert "visibility=private" in link
    assert f"/api/v4/groups/{group.full_path}/projects?" in link


def test_filters_of_projects(api: Api, tree: Tree) -> None:
    user, other = tree.user(), tree.user()
    group = tree.group(other, visibility="public")
    own = tree.project(creator=user, path="own-shop", visibility="internal")
    member = tree.project(group, other, path="joined", description="the SHOP")
    public = tree.project(group, other, path="open", visibility="public")
    tree.member(member, 30, user)
    api.ask("POST", f"/projects/{own.pk}/archive", user)
    everything = {own.pk, member.pk, public.pk}
    table: list[tuple[dict[str, Any], set[int]]] = [
        ({}, everything),
        ({"search": "shop"}, {own.pk, member.pk}),
        ({"search": group.path}, set()),
        ({"search": group.path, "search_namespaces": "true"}, {member.pk, public.pk}),
        ({"owned": "true"}, {own.pk}),
        ({"membership": "true"}, {own.pk, member.pk}),
        ({"min_access_level": 30}, {own.pk, member.pk}),
        ({"min_access_level": 40}, {own.pk}),
        ({"visibility": "public"}, {public.pk}),
        ({"archived": "true"}, {own.pk}),
        ({"archived": "false"}, {member.pk, public.pk}),
        ({"owned": ""}, everything),
        ({"id_after": own.pk}, {member.pk, public.pk}),
    ]
    for arguments, expected in table:
        assert set(api.ask("GET", "/projects", user, **arguments).ids) == expected, arguments
    assert set(api.ask("GET", "/projects").ids) == {public.pk}
    simple = api.ask("GET", "/projects", user, simple="true").json[0]
    assert "permissions" not in simple
    assert "container_registry_access_level" not in simple


def test_filters_of_groups(api: Api, tree: Tree) -> None:
    user, other = tree.user(), tree.user()
    top = tree.group(user, path="alpha", name="Zeta")
    inner = tree.group(user, parent=top, path="inner", name="Inner")
    public = tree.group(other, path="open", name="Open", visibility="public")
    table: list[tuple[dict[str, Any], list[int]]] = [
        ({}, [inner.pk, public.pk, top.pk]),
        ({"order_by": "path"}, [top.pk, inner.pk, public.pk]),
        ({"order_by": "id", "sort": "desc"}, [public.pk, inner.pk, top.pk]),
        ({"search": "ALPH"}, [top.pk]),
        ({"owned": "true"}, [inner.pk, top.pk]),
        ({"all_available": "false"}, [inner.pk, top.pk]),
        ({"top_level_only": "true"}, [public.pk, top.pk]),
        ({"visibility": "public"}, [public.pk]),
        ({"skip_groups[]": [top.pk, inner.pk]}, [public.pk]),
        ({"skip_groups": f"{top.pk},{inner.pk}"}, [public.pk]),
        ({"skip_groups": top.pk}, [inner.pk, public.pk]),
        ({"min_access_level": "50"}, [inner.pk, top.pk]),
    ]
    for arguments, expected in table:
        assert api.ask("GET", "/groups", user, **arguments).ids == expected, arguments
    assert api.ask("GET", "/groups", user, search="Inner").json[0]["full_name"] == "Zeta / Inner"


def test_filters_of_users(api: Api, tree: Tree) -> None:
    admin, user = tree.user("root", is_admin=True), tree.user("bob")
    blocked = tree.user("mallory", is_active=False)
    project = tree.project(creator=user)
    bot = api.ask("POST", f"/projects/{project.pk}/access_tokens", user, name="b", scopes=["api"]).json["user_id"]
    everybody = [bot, blocked.pk, user.pk, admin.pk]
    table: list[tuple[dict[str, Any], list[int]]] = [
        ({}, everybody),
        ({"username": "BOB"}, [user.pk]),
        ({"search": "mall"}, [blocked.pk]),
        ({"active": "true"}, [bot, user.pk, admin.pk]),
        ({"blocked": "true"}, [blocked.pk]),
        ({"humans": "true"}, [blocked.pk, user.pk, admin.pk]),
        ({"admins": "true"}, [admin.pk]),
        ({"order_by": "username", "sort": "asc", "humans": "true"}, [user.pk, blocked.pk, admin.pk]),
        ({"search": "bob@example.com"}, [user.pk]),
    ]
    for arguments, expected in table:
        assert api.ask("GET", "/users", admin, **arguments).ids == expected, arguments
    # Addresses and who administers are nobody else's business.
    assert api.ask("GET", "/users", user, search="mallory@example.com").json == []
    assert api.ask("GET", "/users", user, admins="true").ids == everybody
    seen = {entry["username"]: entry for entry in api.ask("GET", "/users", user).json}
    assert seen["bob"]["email"] == "bob@example.com"
    assert "email" not in seen["root"]
    assert "is_admin" not in seen["root"]
    anonymous = api.ask("GET", "/users", None, username="bob").json[0]
    assert (anonymous["username"], "email" in anonymous) == ("bob", False)
