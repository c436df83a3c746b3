"""Who may do what: every operation, asked in every role."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from django.db import transaction

from matou.portal.api.routes import api as routes
from matou.portal.namespaces import services as namespaces
from matou.portal.namespaces.models import AccessLevel
from matou.portal.tokens import services as tokens

if TYPE_CHECKING:
    from matou.portal.accounts.models import User
    from tests.unit.portal.api.conftest import Api
    from tests.unit.portal.conftest import Tree

GUEST, REPORTER, DEVELOPER, MAINTAINER, OWNER = 10, 20, 30, 40, 50
STRANGER, ADMIN = 0, 60


@dataclass(frozen=True)
class Operation:
    """An operation on private things.

    Attributes:
        least: role from which on it is allowed; STRANGER for every user, ADMIN for administrators alone.
        status: when it is allowed.
        anonymous: status for callers without credentials.
        stranger: status for users without a role.
        refused: status for users with a lower role.
        body: arguments.
    """

    method: str
    path: str
    least: int
    status: int = 200
    anonymous: int = 401
    stranger: int = 404
    refused: int = 403
    body: dict[str, Any] = field(default_factory=dict)

    def expected(self, role: int) -> int:
        if role >= self.least:
            return self.status
        return self.stranger if role == STRANGER else self.refused


def of_everybody(method: str, path: str, status: int = 200, anonymous: int = 401, /, **body: Any) -> Operation:
    return Operation(method, path, STRANGER, status, anonymous, body=body)


def of_administrators(method: str, path: str, status: int, stranger: int = 403, /, **body: Any) -> Operation:
    return Operation(method, path, ADMIN, status, stranger=stranger, refused=stranger, body=body)


def of_members(method: str, path: str, least: int, status: int = 200, /, **body: Any) -> Operation:
    anonymous = 404 if method == "GET" and "tokens" not in path else 401
    return Operation(method, path, least, status, anonymous, body=body)


OPERATIONS = [
    of_everybody("GET", "/version"),
    of_everybody("GET", "/metadata"),
    of_everybody("GET", "/user"),
    of_everybody("GET", "/users", 200, 403),
    of_everybody("GET", "/users/{user_id}"),
    of_everybody("GET", "/users/{user_reference}/projects", 200, 200),
    of_everybody("GET", "/namespaces"),
    Operation("GET", "/namespaces/{namespace_id}", GUEST),
    of_everybody("GET", "/namespaces/{namespace_path}/exists"),
    of_administrators("GET", "/users/{user_id}/memberships", 200),
    of_administrators("POST", "/users", 201, username="new", name="New", email="n@example.com", password="wharf-92-x"),
    of_administrators("PUT", "/users/{user_id}", 200, name="Other"),
    of_administrators("DELETE", "/users/{user_id}", 204),
    of_administrators("POST", "/users/{user_id}/block", 201),
    of_administrators("POST", "/users/{user_id}/unblock", 201),
    of_administrators("POST", "/users/{user_id}/personal_access_tokens", 201, name="x", scopes=["api"]),
    of_everybody("GET", "/personal_access_tokens"),
    of_everybody("GET", "/personal_access_tokens/self"),
    of_everybody("DELETE", "/personal_access_tokens/self", 204),
    of_everybody("POST", "/personal_access_tokens/self/rotate"),
    of_administrators("GET", "/personal_access_tokens/{token_id}", 200, 401),
    of_administrators("DELETE", "/personal_access_tokens/{token_id}", 204, 404),
    of_administrators("POST", "/personal_access_tokens/{token_id}/rotate", 200, 401),
    of_everybody("GET", "/groups", 200, 200),
    of_everybody("POST", "/groups", 201, name="x", path="x"),
    of_members("GET", "/groups/{group_id}", GUEST),
    of_members("PUT", "/groups/{group_id}", OWNER, name="y"),
    of_members("DELETE", "/groups/{group_id}", OWNER, 202),
    of_members("GET", "/groups/{group_id}/subgroups", GUEST),
    of_members("GET", "/groups/{group_id}/descendant_groups", GUEST),
    of_members("GET", "/groups/{group_id}/projects", GUEST),
    of_everybody("GET", "/projects", 200, 200),
    of_everybody("POST", "/projects", 201, name="x"),
    of_administrators("POST", "/projects/user/{user_id}", 201, name="x"),
    of_members("GET", "/projects/{project_id}", GUEST),
    of_members("PUT", "/projects/{project_id}", MAINTAINER, container_registry_access_level="disabled"),
    of_members("DELETE", "/projects/{project_id}", OWNER, 202),
    of_members("POST", "/projects/{project_id}/archive", OWNER, 201),
    of_members("POST", "/projects/{project_id}/unarchive", OWNER, 201),
    of_administrators("GET", "/deploy_tokens", 200),
    of_members("GET", "/groups/{source_id}/deploy_tokens", MAINTAINER),
    of_members("GET", "/groups/{source_id}/deploy_tokens/{token_id}", MAINTAINER),
    of_members("POST", "/groups/{source_id}/deploy_tokens", OWNER, 201, name="d", scopes=["read_registry"]),
    of_members("DELETE", "/groups/{source_id}/deploy_tokens/{token_id}", OWNER, 204),
    of_members("GET", "/projects/{source_id}/deploy_tokens", MAINTAINER),
    of_members("GET", "/projects/{source_id}/deploy_tokens/{token_id}", MAINTAINER),
    of_members("POST", "/projects/{source_id}/deploy_tokens", MAINTAINER, 201, name="d", scopes=["read_registry"]),
    of_members("DELETE", "/projects/{source_id}/deploy_tokens/{token_id}", MAINTAINER, 204),
    of_members("GET", "/projects/{project_id}/job_tokens", MAINTAINER),
    of_members("POST", "/projects/{project_id}/job_tokens", DEVELOPER, 201),
    of_members("DELETE", "/projects/{project_id}/job_tokens/{token_id}", MAINTAINER, 204),
    # Nobody's job without its token: test_job_tokens.py shows that it works with it.
    of_everybody("DELETE", "/projects/{project_id}/job_tokens/self", 404),
    *(
        operation
        for kind, manager in (("groups", OWNER), ("projects", MAINTAINER))
        for operation in (
            of_members("GET", f"/{kind}/{{source_id}}/members", GUEST),
            of_members("GET", f"/{kind}/{{source_id}}/members/all", GUEST),
            of_members("GET", f"/{kind}/{{source_id}}/members/all/{{user_id}}", GUEST),
            of_members("GET", f"/{kind}/{{source_id}}/members/{{user_id}}", GUEST),
            of_members("POST", f"/{kind}/{{source_id}}/members", manager, 201, user_id="{newcomer}", access_level=10),
            of_members("PUT", f"/{kind}/{{source_id}}/members/{{user_id}}", manager, access_level=20),
            of_members("DELETE", f"/{kind}/{{source_id}}/members/{{user_id}}", manager, 204),
            of_members("GET", f"/{kind}/{{source_id}}/access_tokens", manager),
            of_members(
                "POST",
                f"/{kind}/{{source_id}}/access_tokens",
                manager,
                201,
                name="t",
                scopes=["api"],
                access_level=30,
            ),
            of_members("GET", f"/{kind}/{{source_id}}/access_tokens/{{token_id}}", manager),
            of_members("DELETE", f"/{kind}/{{source_id}}/access_tokens/{{token_id}}", manager, 204),
            of_members("POST", f"/{kind}/{{source_id}}/access_tokens/{{token_id}}/rotate", manager),
            # Nobody's but the token's own: test_tokens.py shows that it works.
            of_members("POST", f"/{kind}/{{source_id}}/access_tokens/self/rotate", GUEST, 404),
        )
    ),
]


class Scene:
    """A private group with a private project, one user in each role, and something of everything."""

    def __init__(self, tree: Tree) -> None:
        self.owner = tree.user("owner")
        self.group = tree.group(self.owner, path="quay")
        tree.group(self.owner, parent=self.group)
        self.project = tree.project(self.group, self.owner, path="shop")
        self.user = tree.user()
        self.newcomer = tree.user()
        self.member = tree.member(self.group, GUEST, self.user)
        tree.member(self.project, GUEST, self.user)
        self.callers: dict[int, User] = {STRANGER: tree.user(), ADMIN: tree.user(is_admin=True), OWNER: self.owner}
        for level in (GUEST, REPORTER, DEVELOPER, MAINTAINER):
            self.callers[level] = tree.member(self.group, level).user
        scopes = ["read_registry"]
        access: dict[str, Any] = {"name": "t", "scopes": ["api"], "expires_at": None}
        self.tokens = {
            "personal": tokens.create_access_token(user=self.user, **access)[0],
            "job": tokens.create_job_token(project=self.project, user=self.owner, lifetime=dt.timedelta(hours=1))[0],
        }
        places: dict[str, dict[str, Any]] = {"projects": {"project": self.project}, "groups": {"group": self.group}}
        for kind, place in places.items():
            self.tokens[f"{kind}/deploy"] = tokens.create_deploy_token(
                creator=self.owner, name="d", scopes=scopes, **place
            )[0]
            self.tokens[f"{kind}/access"] = tokens.create_resource_token(
                creator=self.owner, access_level=AccessLevel.DEVELOPER, **place, **access
            )[0]

    def fill(self, path: str) -> str:
        kind = path.split("/")[1]
        sort = "deploy" if "deploy_tokens" in path else "access"
        token = self.tokens.get("job" if "job_tokens" in path else f"{kind}/{sort}", self.tokens["personal"])
        source = self.project if kind == "projects" else self.group
        return path.format(
            user_id=self.user.pk,
            user_reference=self.user.username,
            group_id=self.group.pk,
            namespace_id=self.group.pk,
            namespace_path="quay",
            project_id="quay%2Fshop",
            source_id=source.pk,
            token_id=token.pk,
        )


@pytest.fixture
def scene(tree: Tree) -> Scene:
    return Scene(tree)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: f"{operation.method} {operation.path}")
def test_roles(api: Api, scene: Scene, operation: Operation) -> None:
    body = {name: str(scene.newcomer.pk) if value == "{newcomer}" else value for name, value in operation.body.items()}
    path = scene.fill(operation.path)
    found = {}
    expected = {}
    for role, caller in [(None, None), *sorted(scene.callers.items())]:
        with transaction.atomic():
            answer = api.ask(operation.method, path, caller, **body)
            transaction.set_rollback(True)
        api.forget()
        found[role] = answer.status
        expected[role] = operation.anonymous if role is None else operation.expected(role)
        assert b"glpat-" not in answer.content or answer.status in {200, 201}
    assert found == expected


def test_every_operation_is_in_the_table() -> None:
    paths = routes.get_openapi_schema(path_prefix="")["paths"]
    documented = {(method.upper(), path) for path, operations in paths.items() for method in operations}
    assert {(operation.method, operation.path) for operation in OPERATIONS} == documented


def test_things_of_others_and_absent_things_look_the_same(api: Api, scene: Scene) -> None:
    stranger = scene.callers[STRANGER]
    for kind, pk, path in (
        ("projects", scene.project.pk, "quay%2Fshop"),
        ("groups", scene.group.pk, "quay"),
        ("namespaces", scene.group.pk, "quay"),
    ):
        hidden = [api.ask("GET", f"/{kind}/{reference}", stranger) for reference in (pk, path)]
        absent = [api.ask("GET", f"/{kind}/{reference}", stranger) for reference in (pk + 1000, "absent", 2**70)]
        assert {(answer.status, answer.content) for answer in hidden + absent} == {(404, hidden[0].content)}
    namespaces_refused = [
        api.ask("POST", "/projects", stranger, name="x", namespace_id=pk)
        for pk in (scene.group.pk, scene.group.pk + 1000, scene.owner.namespace.pk)
    ]
    assert {(answer.status, answer.content) for answer in namespaces_refused} == {
        (400, b'{"message": {"namespace": ["is not valid"]}}')
    }
    tokens_refused = [api.ask("GET", f"/personal_access_tokens/{pk}", stranger) for pk in (1, 100_000)]
    assert {answer.status for answer in tokens_refused} == {401}
    for path in ("/projects", "/groups", f"/users/{scene.owner.pk}/projects", "/personal_access_tokens"):
        assert [item for item in api.ask("GET", path, stranger).json if item["name"] != "test"] == []


@pytest.mark.parametrize("visibility", ["internal", "public"])
def test_what_may_be_seen_may_not_be_changed(api: Api, tree: Tree, visibility: str) -> None:
    owner, stranger = tree.user(), tree.user()
    group = tree.group(owner, visibility=visibility)
    project = tree.project(group, owner, visibility=visibility)
    assert api.ask("GET", "/projects", stranger).ids == [project.pk]
    assert api.ask("GET", f"/groups/{group.pk}/projects", stranger).ids == [project.pk]
    for path in (f"/projects/{project.pk}", f"/groups/{group.pk}"):
        assert api.ask("GET", path, stranger).status == 200
        assert api.ask("GET", path).status == (200 if visibility == "public" else 404)
        for method, below in (
            ("PUT", ""),
            ("DELETE", ""),
            ("POST", "/members"),
            ("GET", "/access_tokens"),
            ("GET", "/deploy_tokens"),
        ):
            bodies: dict[str, dict[str, Any]] = {
                "PUT": {"name": "x"},
                "POST": {"user_id": stranger.pk, "access_level": 50},
            }
            answer = api.ask(method, path + below, stranger, **bodies.get(method, {}))
            assert (answer.status, answer.json) == (403, {"message": "403 Forbidden"}), (method, below)
    assert namespaces.find_project_by_path(project.full_path) == project


def test_nobody_gives_a_higher_role_than_the_own(api: Api, scene: Scene) -> None:
    maintainer = scene.callers[MAINTAINER]
    members = f"/projects/{scene.project.pk}/members"
    assert api.ask("POST", members, maintainer, user_id=scene.newcomer.pk, access_level=50).status == 403
    assert api.ask("POST", members, maintainer, user_id=scene.newcomer.pk, access_level=40).status == 201
    assert api.ask("PUT", f"{members}/{scene.newcomer.pk}", maintainer, access_level=50).status == 403
    owner = api.ask("POST", members, scene.owner, user_id=scene.callers[STRANGER].pk, access_level=50)
    assert owner.status == 201
    for method, body in (("PUT", {"access_level": 10}), ("DELETE", {})):
        assert api.ask(method, f"{members}/{scene.callers[STRANGER].pk}", maintainer, **body).status == 403
    tokens_path = f"/projects/{scene.project.pk}/access_tokens"
    asked = {"name": "t", "scopes": ["api"], "access_level": 50}
    assert api.ask("POST", tokens_path, maintainer, **asked).status == 400
    owners = api.ask("POST", tokens_path, scene.owner, **asked).json
    assert api.ask("POST", f"{tokens_path}/{owners['id']}/rotate", maintainer).status == 403


def test_only_owners_show_a_project_to_others(api: Api, scene: Scene) -> None:
    namespaces.update_group(scene.group, visibility="public")
    path = f"/projects/{scene.project.pk}"
    changes: list[dict[str, Any]] = [{"visibility": "public"}, {"path": "other"}]
    for body in changes:
        assert api.ask("PUT", path, scene.callers[MAINTAINER], **body).status == 403
        assert api.ask("PUT", path, scene.owner, **body).status == 200
    assert api.ask("PUT", path, scene.callers[MAINTAINER], visibility="public", path="other").status == 200
