from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from matou.portal.accounts.models import User
from matou.portal.namespaces.models import Namespace

if TYPE_CHECKING:
    from tests.unit.portal.api.conftest import Api
    from tests.unit.portal.conftest import Tree

NEW = {"username": "new", "name": "New User", "email": "new@example.com", "password": "wharf-and-harbour-92"}


@pytest.fixture
def root(tree: Tree) -> User:
    return tree.user("root", is_admin=True)


def test_creating(api: Api, root: User) -> None:
    made = api.ask("POST", "/users", root, **NEW, admin=True, can_create_group=False)
    assert made.status == 201
    expected = {
        "username": "new",
        "name": "New User",
        "email": "new@example.com",
        "state": "active",
        "is_admin": True,
        "can_create_group": False,
        "bot": False,
    }
    assert {name: made.json[name] for name in expected} == expected
    user = User.objects.get(username="new")
    assert made.json["namespace_id"] == user.namespace.pk
    assert user.check_password(NEW["password"])
    assert b"password" not in made.content


@pytest.mark.parametrize(
    ("changes", "status", "document"),
    [
        ({"username": "ROOT"}, 409, {"message": "Username has already been taken"}),
        ({"email": "Root@Example.com"}, 409, {"message": "Email has already been taken"}),
        ({"username": "harbour"}, 409, {"message": "Username has already been taken"}),
        ({"username": "admin"}, 400, {"message": {"username": ["admin is a reserved name"]}}),
        ({"username": None}, 400, {"error": "username is invalid"}),
        ({"username": ""}, 400, {"error": "username is empty"}),
        ({"email": "nowhere"}, 400, {"message": {"email": ["is invalid"]}}),
        ({"password": None}, 201, None),
        ({"password": "short"}, 400, None),
        ({"name": "x" * 256}, 400, {"error": "name is too long"}),
        ({"admin": "perhaps"}, 400, {"error": "admin is invalid"}),
    ],
)
def test_refused_users(
    api: Api, tree: Tree, root: User, changes: dict[str, Any], status: int, document: dict[str, Any] | None
) -> None:
    tree.group(root, path="harbour")
    answer = api.ask("POST", "/users", root, **(NEW | changes))
    assert answer.status == status
    if document is not None:
        assert answer.json == document


def test_what_is_missing_is_named(api: Api, root: User) -> None:
    answer = api.ask("POST", "/users", root, password="x")
    assert answer.json == {"error": "username is missing, name is missing, email is missing"}
    values = {name: value for name, value in NEW.items() if name != "password"}
    assert api.ask("POST", "/users", root, **values).json == {
        "error": "password, force_random_password are missing, at least one parameter must be provided"
    }
    made = api.ask("POST", "/users", root, **values, force_random_password=True)
    assert made.status == 201
    assert not User.objects.get(pk=made.json["id"]).has_usable_password()


def test_changing(api: Api, tree: Tree, root: User) -> None:
    user = tree.user("bob")
    project = tree.project(creator=user, path="p")
    path = f"/users/{user.pk}"
    changed = api.ask(
        "PUT", path, root, username="Robert", name="R.", email="r@example.com", password="quay-and-92-cranes"
    )
    assert (changed.status, changed.json["username"], changed.json["email"]) == (200, "Robert", "r@example.com")
    assert api.ask("GET", "/projects/robert%2Fp", user).json["id"] == project.pk
    assert User.objects.get(pk=user.pk).check_password("quay-and-92-cranes")
    assert api.ask("PUT", path, root, username="root").status == 409
    assert api.ask("PUT", path, root).status == 400
    # Nothing of a refused change stays.
    assert api.ask("PUT", path, root, name="Other", email="root@example.com", password="other-wharf-92").status == 409
    user.refresh_from_db()
    assert (user.name, user.check_password("quay-and-92-cranes")) == ("R.", True)
    last = api.ask("PUT", f"/users/{root.pk}", root, admin=False)
    assert (last.status, last.json["message"].keys()) == (400, {"admin"})


def test_blocking(api: Api, tree: Tree, root: User) -> None:
    user = tree.user()
    assert api.ask("POST", f"/users/{user.pk}/block", root).json is True
    assert api.ask("GET", f"/users/{user.pk}", root).json["state"] == "blocked"
    assert api.ask("POST", f"/users/{user.pk}/block", root).status == 201
    assert api.ask("POST", f"/users/{user.pk}/unblock", root).json is True
    assert api.ask("GET", f"/users/{user.pk}", root).json["state"] == "active"
    assert api.ask("POST", f"/users/{root.pk}/block", root).status == 403
    assert api.ask("POST", "/users/999/block", root).json == {"message": "404 User Not Found"}
    project = tree.project(creator=user)
    bot = api.ask("POST", f"/projects/{project.pk}/access_tokens", user, name="b", scopes=["api"]).json["user_id"]
    assert api.ask("POST", f"/users/{bot}/block", root).status == 403


def test_deleting(api: Api, tree: Tree, root: User) -> None:
    user = tree.user()
    group = tree.group(user)
    inner = tree.group(user, parent=group)
    project = tree.project(creator=user)
    path = f"/users/{user.pk}"
    refused = api.ask("DELETE", path, root)
    assert (refused.status, refused.json) == (
        409,
        {"message": "User cannot be removed while is the sole-owner of a group"},
    )
    assert api.ask("DELETE", path, root, hard_delete="true").status == 204
    assert api.ask("GET", path, root).status == 404
    assert api.ask("GET", f"/projects/{project.pk}", root).status == 404
    assert not Namespace.objects.filter(pk__in=[group.pk, inner.pk]).exists()
    assert api.ask("DELETE", f"/users/{root.pk}", root).status == 400


def test_who_sees_what(api: Api, tree: Tree, root: User) -> None:
    user, other = tree.user(), tree.user()
    private = {"email", "is_admin", "can_create_group", "namespace_id", "last_sign_in_at"}
    for caller, sees in ((user, True), (root, True), (other, False)):
        told = api.ask("GET", f"/users/{user.pk}", caller).json
        assert private <= told.keys() if sees else private.isdisjoint(told)
    assert api.ask("GET", "/user", user).json == api.ask("GET", f"/users/{user.pk}", user).json
