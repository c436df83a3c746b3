from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from matou.portal.images.models import ContainerRepository

if TYPE_CHECKING:
    from tests.unit.portal.api.conftest import Api
    from tests.unit.portal.conftest import Tree

TAKEN = ["has already been taken"]


def test_groups(api: Api, tree: Tree) -> None:
    user = tree.user()
    made = api.ask("POST", "/groups", user, name="Web shop", path="Web", description="码头", visibility="internal")
    assert made.status == 201
    expected: dict[str, Any] = {
        "name": "Web shop",
        "path": "Web",
        "full_path": "Web",
        "full_name": "Web shop",
        "description": "码头",
        "visibility": "internal",
        "parent_id": None,
        "web_url": "http://127.0.0.1:8080/groups/Web",
        "projects": [],
    }
    assert {name: made.json[name] for name in expected} == expected
    inner = api.ask("POST", "/groups", user, name="Inner", path="inner", parent_id=made.json["id"]).json
    assert (inner["full_path"], inner["full_name"], inner["visibility"]) == ("Web/inner", "Web shop / Inner", "private")
    for reference in ("web%2Finner", "WEB%2finner", inner["id"]):
        assert api.ask("GET", f"/groups/{reference}", user).json["id"] == inner["id"]
    assert api.ask("GET", "/groups/web/inner", user).status == 404
    assert api.ask("GET", "/groups/web/subgroups", user).ids == [inner["id"]]
    moved = api.ask("PUT", "/groups/web", user, path="net", name="Net")
    assert (moved.status, moved.json["full_path"]) == (200, "net")
    assert api.ask("GET", "/groups/net%2Finner", user).json["full_name"] == "Net / Inner"
    deleted = api.ask("DELETE", "/groups/net", user)
    assert (deleted.status, deleted.json) == (202, {"message": "202 Accepted"})
    assert api.ask("GET", f"/groups/{inner['id']}", user).json == {"message": "404 Group Not Found"}


def test_refused_groups(api: Api, tree: Tree) -> None:
    user = tree.user("bob")
    top = tree.group(user, path="top")
    table: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"name": "x", "path": "TOP"}, {"message": 'Failed to save group {:path=>["has already been taken"]}'}),
        ({"name": "x", "path": "bob"}, {"message": 'Failed to save group {:path=>["has already been taken"]}'}),
        (
            {"name": "x", "path": "y", "parent_id": top.pk, "visibility": "public"},
            {
                "message": 'Failed to save group {:visibility_level=>["public is not allowed since the parent group'
                ' has a private visibility."]}'
            },
        ),
        ({"name": "x"}, {"error": "path is missing"}),
        ({}, {"error": "name is missing, path is missing"}),
        ({"name": "x", "path": "y", "visibility": "secret"}, {"error": "visibility does not have a valid value"}),
        ({"name": "x", "path": "y", "parent_id": "top"}, {"error": "parent_id is invalid"}),
    ]
    for body, document in table:
        answer = api.ask("POST", "/groups", user, **body)
        assert (answer.status, answer.json) == (400, document)
    absent = api.ask("POST", "/groups", user, name="x", path="y", parent_id=999)
    assert (absent.status, absent.json) == (404, {"message": "404 Group Not Found"})
    update = api.ask("PUT", f"/groups/{tree.group(user).pk}", user, path="top")
    assert (update.status, update.json) == (400, {"message": {"path": TAKEN}})
    nothing = api.ask("PUT", "/groups/top", user)
    assert nothing.json == {
        "error": "name, path, description, visibility are missing, at least one parameter must be provided"
    }
    limited = tree.user(can_create_group=False)
    assert api.ask("POST", "/groups", limited, name="x", path="y").status == 403
    tree.member(top, 40, limited)
    assert api.ask("POST", "/groups", limited, name="x", path="y", parent_id=top.pk).status == 201


def test_projects(api: Api, tree: Tree) -> None:
    user = tree.user("bob")
    made = api.ask("POST", "/projects", user, name="Web Shop", description="x", visibility="public")
    assert made.status == 201
    expected = {
        "name": "Web Shop",
        "path": "web-shop",
        "path_with_namespace": "bob/web-shop",
        "name_with_namespace": "Bob / Web Shop",
        "visibility": "public",
        "archived": False,
        "container_registry_enabled": True,
        "container_registry_access_level": "enabled",
        "container_registry_image_prefix": "127.0.0.1:5000/bob/web-shop",
        "web_url": "http://127.0.0.1:8080/bob/web-shop",
        "creator_id": user.pk,
        "permissions": {"project_access": {"access_level": 50, "notification_level": 3}, "group_access": None},
    }
    assert {name: made.json[name] for name in expected} == expected
    assert made.json["owner"]["username"] == "bob"
    assert made.json["_links"]["self"] == f"http://127.0.0.1:8080/api/v4/projects/{made.json['id']}"
    assert api.ask("POST", "/projects", user, path="Only.Path").json["name"] == "Only.Path"
    assert api.ask("POST", "/projects", user, name="码头").json == {"message": {"path": ["can't be blank"]}}
    both = api.ask("POST", "/projects", user, name="Web Shop")
    assert (both.status, both.json) == (400, {"message": {"name": TAKEN, "path": TAKEN}})
    neither = api.ask("POST", "/projects", user, description="x")
    assert neither.json == {"error": "name, path are missing, at least one parameter must be provided"}
    simple = api.ask("GET", "/projects/bob%2Fweb-shop", user, simple="true").json
    assert simple == api.ask("GET", "/projects/bob%2Fweb-shop").json
    assert "container_registry_access_level" not in simple


@pytest.mark.parametrize(
    ("body", "level"),
    [
        ({"container_registry_access_level": "private"}, "private"),
        ({"container_registry_access_level": "disabled"}, "disabled"),
        ({"container_registry_enabled": False}, "disabled"),
        ({"container_registry_enabled": "true"}, "enabled"),
        ({"container_registry_access_level": "private", "container_registry_enabled": False}, "private"),
    ],
)
def test_the_registry_of_a_project(api: Api, tree: Tree, body: dict[str, Any], level: str) -> None:
    user = tree.user()
    made = api.ask("POST", "/projects", user, name="made", **body).json
    project = tree.project(creator=user)
    changed = api.ask("PUT", f"/projects/{project.pk}", user, **body)
    assert changed.status == 200
    for document in (made, changed.json, api.ask("GET", f"/projects/{project.pk}", user).json):
        assert document["container_registry_access_level"] == level
        assert document["container_registry_enabled"] is (level != "disabled")
    wrong = api.ask("PUT", f"/projects/{project.pk}", user, container_registry_access_level="sometimes")
    assert wrong.json == {"error": "container_registry_access_level does not have a valid value"}


def test_archived_projects(api: Api, tree: Tree) -> None:
    user = tree.user()
    project = tree.project(creator=user)
    for verb, archived in (("archive", True), ("archive", True), ("unarchive", False)):
        answer = api.ask("POST", f"/projects/{project.pk}/{verb}", user)
        assert (answer.status, answer.json["archived"]) == (201, archived)


def test_a_project_with_images_keeps_its_path(api: Api, tree: Tree) -> None:
    user = tree.user()
    project = tree.project(creator=user)
    ContainerRepository.objects.create(project=project, name="")
    path = f"/projects/{project.pk}"
    refused = api.ask("PUT", path, user, path="other")
    assert refused.status == 400
    assert "has images in the registry" in refused.json["message"]["path"][0]
    assert api.ask("PUT", path, user, name="Other", path=project.path).status == 200
    assert api.ask("DELETE", path, user).status == 202
    again = api.ask("POST", "/projects", user, path=project.path)
    assert "images of a deleted project" in again.json["message"]["path"][0]


def test_projects_of_a_user_and_of_a_group(api: Api, tree: Tree) -> None:
    admin, user = tree.user(is_admin=True), tree.user("bob")
    made = api.ask("POST", f"/projects/user/{user.pk}", admin, name="gift")
    assert (made.json["path_with_namespace"], made.json["creator_id"]) == ("bob/gift", admin.pk)
    for reference in (user.pk, "bob", "BOB"):
        assert api.ask("GET", f"/users/{reference}/projects", user).ids == [made.json["id"]]
        assert api.ask("GET", f"/users/{reference}/projects", tree.user()).ids == []
    assert api.ask("GET", "/users/nobody/projects", user).json == {"message": "404 User Not Found"}
    group = tree.group(user)
    inner = tree.group(user, parent=group)
    near, far = tree.project(group, user), tree.project(inner, user)
    path = f"/groups/{group.pk}"
    assert api.ask("GET", f"{path}/projects", user).ids == [near.pk]
    assert set(api.ask("GET", f"{path}/projects", user, include_subgroups="true").ids) == {near.pk, far.pk}
    assert [project["id"] for project in api.ask("GET", path, user).json["projects"]] == [near.pk]
    assert api.ask("GET", path, user, with_projects="false").json["projects"] == []


def test_bodies_of_every_form_say_the_same(api: Api, tree: Tree) -> None:
    user = tree.user()
    headers = {"PRIVATE-TOKEN": api.secret(user)}
    values = {"name": "码 x", "path": "a"}
    form = "&".join(f"{name}={quote(value)}" for name, value in values.items()).encode()
    multipart = "".join(
        f'--X\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in values.items()
    )
    bodies = [
        (json.dumps(values).encode(), "application/json", ""),
        (form, "application/x-www-form-urlencoded", ""),
        (f"{multipart}--X--\r\n".encode(), "multipart/form-data; boundary=X", ""),
        (b"", "application/json", f"?{form.decode()}"),
    ]
    for body, media_type, query in bodies:
        made = api.send("POST", f"/projects{query}", headers, body, media_type)
        assert (made.status, made.json["name"], made.json["path"]) == (201, "码 x", "a")
        path = f"/projects/{made.json['id']}"
        assert api.send("PUT", path + query, headers, body, media_type).status == 200
        assert api.send("DELETE", path, headers, body, media_type).status == 202


def test_head_answers_as_get_without_the_body(api: Api, tree: Tree) -> None:
    user = tree.user()
    tree.project(creator=user)
    got, told = (api.ask(method, "/projects", user) for method in ("GET", "HEAD"))
    assert (told.status, told.content) == (200, b"")
    assert told.headers["X-Total"] == got.headers["X-Total"] == "1"
    assert told.headers["Content-Length"] == str(len(got.content))


def test_namespaces(api: Api, tree: Tree) -> None:
    user = tree.user("bob")
    group = tree.group(user, path="taken")
    tree.group(user, parent=group, path="inner")
    guest = tree.group(path="guests")
    tree.member(guest, 10, user)
    paths = [found["full_path"] for found in api.ask("GET", "/namespaces", user).json]
    assert paths == ["bob", "taken", "taken/inner", "guests"]
    owned = api.ask("GET", "/namespaces", user, owned_only="true", top_level_only="true").json
    assert [found["kind"] for found in owned] == ["user", "group"]
    assert [found["path"] for found in api.ask("GET", "/namespaces", user, search="INN").json] == ["inner"]
    assert api.ask("GET", "/namespaces", user, search="taken", full_path_search="true").headers["X-Total"] == "2"
    assert api.ask("GET", "/namespaces/taken%2Finner", user).json["kind"] == "group"
    assert api.ask("GET", "/namespaces/taken/exists", user).json == {"exists": True, "suggests": ["taken1"]}
    assert api.ask("GET", "/namespaces/free/exists", user).json == {"exists": False, "suggests": []}
    assert api.ask("GET", "/namespaces/inner/exists", user).json["exists"] is False
    assert api.ask("GET", "/namespaces/inner/exists", user, parent_id=group.pk).json["exists"] is True
