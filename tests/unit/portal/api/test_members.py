from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from django.utils import timezone

if TYPE_CHECKING:
    from tests.unit.portal.api.conftest import Api
    from tests.unit.portal.conftest import Tree


def day(offset: int) -> str:
    return (timezone.now().date() + dt.timedelta(days=offset)).isoformat()


@pytest.mark.parametrize("kind", ["projects", "groups"])
def test_a_membership_from_its_beginning_to_its_end(api: Api, tree: Tree, kind: str) -> None:
    owner, user = tree.user(), tree.user("bob")
    group = tree.group(owner)
    source = group if kind == "groups" else tree.project(group, owner)
    path = f"/{kind}/{source.pk}/members"
    made = api.ask("POST", path, owner, user_id=user.pk, access_level=30, expires_at=day(3))
    assert made.status == 201
    expected = {"id": user.pk, "username": "bob", "access_level": 30, "expires_at": day(3), "state": "active"}
    assert {name: made.json[name] for name in expected} == expected
    assert made.json["created_by"]["id"] == owner.pk
    again = api.ask("POST", path, owner, user_id=user.pk, access_level=30)
    assert (again.status, again.json) == (409, {"message": "Member already exists"})
    higher = api.ask("PUT", f"{path}/{user.pk}", owner, access_level=40)
    assert (higher.json["access_level"], higher.json["expires_at"]) == (40, day(3))
    unlimited = api.ask("PUT", f"{path}/{user.pk}", owner, access_level=40, expires_at="")
    assert unlimited.json["expires_at"] is None
    assert api.ask("GET", f"{path}/{user.pk}", owner).json["access_level"] == 40
    assert api.ask("DELETE", f"{path}/{user.pk}", owner).status == 204
    gone = api.ask("GET", f"{path}/{user.pk}", owner)
    assert (gone.status, gone.json) == (404, {"message": "404 Member Not Found"})


def test_refused_members(api: Api, tree: Tree) -> None:
    owner, user = tree.user(), tree.user()
    group = tree.group(owner, name="Wharf")
    project = tree.project(group, owner)
    tree.member(group, 30, user)
    path = f"/projects/{project.pk}/members"
    table: list[tuple[dict[str, Any], int, dict[str, Any]]] = [
        ({"user_id": user.pk}, 400, {"error": "access_level is missing"}),
        ({"user_id": user.pk, "access_level": 31}, 400, {"error": "access_level does not have a valid value"}),
        ({"user_id": user.pk, "access_level": "high"}, 400, {"error": "access_level does not have a valid value"}),
        (
            {"access_level": 30},
            400,
            {"error": "user_id, username are missing, at least one parameter must be provided"},
        ),
        ({"user_id": 999, "access_level": 30}, 404, {"message": "404 User Not Found"}),
        ({"username": "nobody", "access_level": 30}, 404, {"message": "404 User Not Found"}),
        ({"username": "", "access_level": 30}, 404, {"message": "404 User Not Found"}),
        (
            {"user_id": user.pk, "access_level": 20},
            400,
            {
                "message": {
                    "access_level": [
                        "should be greater than or equal to Developer inherited membership from group Wharf"
                    ]
                }
            },
        ),
        (
            {"user_id": user.pk, "access_level": 30, "expires_at": day(0)},
            400,
            {"message": {"expires_at": ["cannot be a date in the past"]}},
        ),
        ({"user_id": user.pk, "access_level": 30, "expires_at": "soon"}, 400, {"error": "expires_at is invalid"}),
    ]
    for body, status, document in table:
        answer = api.ask("POST", path, owner, **body)
        assert (answer.status, answer.json) == (status, document)


def test_several_at_once(api: Api, tree: Tree) -> None:
    owner, first, second = tree.user(), tree.user("first"), tree.user("second")
    path = f"/groups/{tree.group(owner).pk}/members"
    done = api.ask("POST", path, owner, username="First,SECOND", access_level=10)
    assert (done.status, done.json) == (201, {"status": "success"})
    third = tree.user("third")
    mixed = api.ask("POST", path, owner, user_id=f"{first.pk},{third.pk}", access_level=10)
    assert (mixed.status, mixed.json) == (201, {"status": "error", "message": {"first": "Member already exists"}})
    assert set(api.ask("GET", path, owner).ids) == {owner.pk, first.pk, second.pk, third.pk}


def test_members_from_above(api: Api, tree: Tree) -> None:
    owner = tree.user()
    top = tree.group(owner)
    user = tree.member(top, 30).user
    project = tree.project(tree.group(owner, parent=top), owner)
    tree.member(project, 40, user)
    path = f"/projects/{project.pk}/members"
    assert api.ask("GET", path, owner).ids == [user.pk]
    levels = {entry["id"]: entry["access_level"] for entry in api.ask("GET", f"{path}/all", owner).json}
    assert levels == {owner.pk: 50, user.pk: 40}
    assert api.ask("GET", f"{path}/all/{owner.pk}", owner).json["access_level"] == 50
    assert api.ask("GET", f"{path}/{owner.pk}", owner).status == 404
    permissions = api.ask("GET", f"/projects/{project.pk}", user).json["permissions"]
    assert permissions == {
        "project_access": {"access_level": 40, "notification_level": 3},
        "group_access": {"access_level": 30, "notification_level": 3},
    }
    for arguments, found in (
        ({"query": user.username.upper()}, [user.pk]),
        ({"query": "zzz"}, []),
        ({"user_ids": f"{owner.pk},999"}, [owner.pk]),
        ({"user_ids[]": [owner.pk, user.pk]}, [owner.pk, user.pk]),
    ):
        assert api.ask("GET", f"{path}/all", owner, **arguments).ids == found


def test_leaving(api: Api, tree: Tree) -> None:
    owner = tree.user()
    group = tree.group(owner)
    guest = tree.member(group, 10).user
    path = f"/groups/{group.pk}/members"
    refused = api.ask("DELETE", f"{path}/{owner.pk}", owner)
    assert (refused.status, refused.json) == (403, {"message": "403 Forbidden"})
    assert api.ask("PUT", f"{path}/{owner.pk}", owner, access_level=40).status == 403
    assert api.ask("DELETE", f"{path}/{owner.pk}", guest).status == 403
    assert api.ask("DELETE", f"{path}/{guest.pk}", guest).status == 204
    project = tree.project(creator=owner)
    assert api.ask("DELETE", f"/projects/{project.pk}/members/{owner.pk}", owner).status == 403


def test_memberships_below_end_too_unless_asked_not_to(api: Api, tree: Tree) -> None:
    owner, user = tree.user(), tree.user()
    group = tree.group(owner)
    project = tree.project(group, owner)
    path = f"/groups/{group.pk}/members"
    for arguments, left in (({"skip_subresources": "true"}, 1), ({}, 0)):
        tree.member(group, 10, user)
        if left:
            tree.member(project, 30, user)
        assert api.ask("DELETE", f"{path}/{user.pk}", owner, **arguments).status == 204
        assert len(api.ask("GET", f"/projects/{project.pk}/members", owner, user_ids=user.pk).json) == left


def test_where_a_user_is_a_member(api: Api, tree: Tree) -> None:
    root, user = tree.user(is_admin=True), tree.user()
    group = tree.group(root, name="Wharf")
    project = tree.project(group, root, name="Crane")
    expired = tree.member(tree.group(), 30, user)
    expired.expires_at = timezone.now().date()
    expired.save()
    tree.member(group, 20, user)
    tree.member(project, 30, user)
    in_group = {"source_id": group.pk, "source_name": "Wharf", "source_type": "Namespace", "access_level": 20}
    in_project = {"source_id": project.pk, "source_name": "Crane", "source_type": "Project", "access_level": 30}
    path = f"/users/{user.pk}/memberships"
    assert api.ask("GET", path, root).json == [in_group, in_project]
    assert api.ask("GET", path, root, type="Project").json == [in_project]
    assert api.ask("GET", path, root, type="Namespace").json == [in_group]
    assert api.ask("GET", path, root, type="Planet").json == {"error": "type does not have a valid value"}
