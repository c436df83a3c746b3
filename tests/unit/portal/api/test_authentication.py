from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from django.utils import timezone

from matou.portal.accounts.services import block_user
from matou.portal.tokens import services as tokens
from matou.portal.tokens.models import AccessToken, JobToken, OAuthToken

if TYPE_CHECKING:
    from tests.unit.portal.api.conftest import Api
    from tests.unit.portal.conftest import Tree

FORM = "application/x-www-form-urlencoded"
UNAUTHORIZED = {"message": "401 Unauthorized"}
REVOKED = {
    "error": "invalid_token",
    "error_description": "Token was revoked. You have to re-authorize from the user.",
}
EXPIRED = {
    "error": "invalid_token",
    "error_description": "Token is expired. You can either do re-authorization or token refresh.",
}


@pytest.mark.parametrize("place", ["header", "bearer", "query", "body", "access_token"])
@pytest.mark.parametrize("kind", ["personal", "oauth"])
def test_where_a_token_may_be(api: Api, tree: Tree, place: str, kind: str) -> None:
    user = tree.user()
    secret = api.secret(user) if kind == "personal" else tokens.create_oauth_token(user)[1]
    headers, target, body = {}, "/user", b""
    if place == "header":
        headers["PRIVATE-TOKEN"] = secret
    elif place == "bearer":
        headers["Authorization"] = f"bearer {secret}"
    elif place == "body":
        body = urlencode({"private_token": secret}).encode()
    else:
        target += f"?{'private_token' if place == 'query' else 'access_token'}={secret}"
    answer = api.send("GET", target, headers, body, FORM)
    assert answer.status == 200
    assert answer.json["id"] == user.pk


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"PRIVATE-TOKEN": "glpat-unknown"},
        {"PRIVATE-TOKEN": "x" * 5000},
        {"PRIVATE-TOKEN": "\udcff\u7801"},
        {"Authorization": "Bearer unknown"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic cm9vdDpyb290"},
        {"JOB-TOKEN": "glcbt-unknown"},
    ],
)
def test_wrong_credentials(api: Api, headers: dict[str, str]) -> None:
    answer = api.send("GET", "/user", headers)
    assert (answer.status, answer.json) == (401, UNAUTHORIZED)


def test_wrong_credentials_do_not_make_a_caller_anonymous(api: Api, tree: Tree) -> None:
    project = tree.project(visibility="public")
    path = f"/projects/{project.pk}"
    assert api.send("GET", path).status == 200
    for headers in ({"PRIVATE-TOKEN": "wrong"}, {"Authorization": "Bearer wrong"}, {"JOB-TOKEN": "wrong"}):
        assert api.send("GET", path, headers).status == 401


@pytest.mark.parametrize(
    ("changes", "status", "document"),
    [
        ({"revoked": True}, 401, REVOKED),
        ({"expires_at": dt.date(2020, 1, 1)}, 401, EXPIRED),
        ({"revoked": True, "expires_at": dt.date(2020, 1, 1)}, 401, REVOKED),
    ],
)
def test_tokens_that_are_over(
    api: Api, tree: Tree, changes: dict[str, Any], status: int, document: dict[str, str]
) -> None:
    secret = api.secret(tree.user())
    AccessToken.objects.update(**changes)
    answer = api.send("GET", "/user", {"PRIVATE-TOKEN": secret})
    assert (answer.status, answer.json) == (status, document)
    assert document["error_description"] in answer.headers["WWW-Authenticate"]


def test_an_oauth_token_that_is_over(api: Api, tree: Tree) -> None:
    _, secret, _ = tokens.create_oauth_token(tree.user())
    OAuthToken.objects.update(created_at=timezone.now() - dt.timedelta(days=1))
    assert api.send("GET", "/user", {"Authorization": f"Bearer {secret}"}).json == EXPIRED


def test_blocked_users(api: Api, tree: Tree) -> None:
    user = tree.user()
    project = tree.project(creator=user)
    secret = api.secret(user)
    _, job_secret = tokens.create_job_token(project=project, user=user, lifetime=dt.timedelta(hours=1))
    block_user(user)
    answer = api.send("GET", "/projects", {"PRIVATE-TOKEN": secret})
    assert (answer.status, answer.json) == (403, {"message": "403 Forbidden - Your account has been blocked."})
    assert api.send("GET", f"/projects/{project.pk}", {"JOB-TOKEN": job_secret}).status == 401


SCOPES = ["api", "read_api", "read_user", "read_registry", "write_registry", "self_rotate"]


@pytest.mark.parametrize(
    ("method", "path", "able"),
    [
        ("GET", "/projects", {"api", "read_api"}),
        ("GET", "/groups", {"api", "read_api"}),
        ("POST", "/projects", {"api"}),
        ("POST", "/groups", {"api"}),
        ("GET", "/user", {"api", "read_api", "read_user"}),
        ("GET", "/users", {"api", "read_api", "read_user"}),
        ("GET", "/version", {"api", "read_api", "read_user"}),
        ("GET", "/personal_access_tokens", {"api", "read_api"}),
        ("GET", "/personal_access_tokens/self", set(SCOPES)),
        ("POST", "/personal_access_tokens/self/rotate", {"api", "self_rotate"}),
        ("DELETE", "/personal_access_tokens/self", set(SCOPES)),
    ],
)
def test_scopes(api: Api, tree: Tree, method: str, path: str, able: set[str]) -> None:
    user = tree.user()
    found = set()
    for scope in SCOPES:
        answer = api.send(method, path, {"PRIVATE-TOKEN": api.secret(user, [scope])})
        if answer.status == 403:
            assert answer.json["error"] == "insufficient_scope"
            assert set(answer.json["scope"].split()) == able
            assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
        else:
            assert answer.status in {200, 204, 400}
            found.add(scope)
    assert found == able


def test_sudo(api: Api, tree: Tree) -> None:
    admin, user = tree.user(is_admin=True), tree.user("bob")
    secret = api.secret(admin, ["api", "sudo"])
    for reference in ("bob", "BOB", str(user.pk)):
        assert api.send("GET", "/user", {"PRIVATE-TOKEN": secret, "Sudo": reference}).json["id"] == user.pk
        assert api.send("GET", f"/user?sudo={reference}", {"PRIVATE-TOKEN": secret}).json["id"] == user.pk
    assert api.send("GET", "/deploy_tokens?sudo=bob", {"PRIVATE-TOKEN": secret}).status == 403
    absent = api.send("GET", "/user?sudo=nobody", {"PRIVATE-TOKEN": secret})
    assert (absent.status, absent.json) == (
        404,
        {"message": "404 User with ID or username 'nobody' Not Found"},
    )
    without_scope = api.send("GET", "/user?sudo=bob", {"PRIVATE-TOKEN": api.secret(admin)})
    assert (without_scope.status, without_scope.json["scope"]) == (403, "sudo")
    no_admin = api.send("GET", f"/user?sudo={admin.username}", {"PRIVATE-TOKEN": api.secret(user)})
    assert (no_admin.status, no_admin.json) == (403, {"message": "403 Forbidden - Must be admin to use sudo"})
    assert api.send("GET", "/projects?sudo=bob").status == 401
    block_user(user)
    assert api.send("GET", "/user?sudo=bob", {"PRIVATE-TOKEN": secret}).status == 403


def test_jobs_reach_their_own_project_alone(api: Api, tree: Tree) -> None:
    admin = tree.user(is_admin=True)
    project, other, public = (tree.project(creator=admin, visibility=v) for v in ("private", "private", "public"))
    job, secret = tokens.create_job_token(project=project, user=admin, lifetime=dt.timedelta(hours=1))
    headers = {"JOB-TOKEN": secret}
    assert api.send("GET", f"/projects/{project.pk}", headers).json["id"] == project.pk
    assert api.send("GET", f"/projects/{project.pk}?job_token={secret}").status == 200
    for hidden in (other, public):
        assert api.send("GET", f"/projects/{hidden.pk}", headers).status == 404
        assert api.send("DELETE", f"/projects/{hidden.pk}/job_tokens/self", headers).status == 404
    # Elsewhere a job's token is no credential at all.
    for method, path in (
        ("GET", "/user"),
        ("PUT", f"/projects/{project.pk}"),
        ("POST", f"/projects/{project.pk}/job_tokens"),
        ("GET", f"/projects/{project.pk}/access_tokens"),
    ):
        assert api.send(method, path, headers).status == 401
    assert api.send("GET", f"/projects/{project.pk}", headers | {"Sudo": admin.username}).status == 403
    assert api.send("GET", "/user", {"PRIVATE-TOKEN": secret}).status == 401
    assert api.send("DELETE", f"/projects/{project.pk}/job_tokens/self", headers).status == 204
    assert api.send("GET", f"/projects/{project.pk}", headers).status == 401
    assert JobToken.objects.get(pk=job.pk).revoked


def test_a_job_is_over_when_its_time_is(api: Api, tree: Tree) -> None:
    user = tree.user()
    project = tree.project(creator=user)
    made = api.ask("POST", f"/projects/{project.pk}/job_tokens", user, expires_in=60)
    assert (made.status, made.json["username"]) == (201, "gitlab-ci-token")
    headers = {"JOB-TOKEN": made.json["token"]}
    assert api.send("GET", f"/projects/{project.pk}", headers).status == 200
    listed = api.ask("GET", f"/projects/{project.pk}/job_tokens", user)
    assert (listed.ids, "token" in listed.json[0]) == ([made.json["id"]], False)
    JobToken.objects.update(expires_at=timezone.now())
    assert api.send("GET", f"/projects/{project.pk}", headers).status == 401
    assert api.ask("GET", f"/projects/{project.pk}/job_tokens", user).ids == []
    for lifetime in (0, -1, 30 * 24 * 3600 + 1):
        answer = api.ask("POST", f"/projects/{project.pk}/job_tokens", user, expires_in=lifetime)
        assert (answer.status, answer.json) == (400, {"error": "expires_in does not have a valid value"})


def test_bots_make_no_tokens_but_replace_their_own(api: Api, tree: Tree) -> None:
    owner = tree.user()
    project = tree.project(creator=owner)
    path = f"/projects/{project.pk}/access_tokens"
    made = api.ask("POST", path, owner, name="bot", scopes=["api"], access_level=50).json
    headers = {"PRIVATE-TOKEN": made["token"]}
    refused = api.send("POST", path, headers, b'{"name": "x", "scopes": ["api"]}')
    assert refused.status == 403
    assert "cannot be used to create other access tokens" in refused.json["message"]
    no_home = api.send("POST", "/projects", headers, b'{"name": "x"}')
    assert (no_home.status, no_home.json["message"].keys()) == (400, {"namespace"})
    rotated = api.send("POST", f"{path}/self/rotate", headers)
    assert (rotated.status, rotated.json["access_level"]) == (200, 50)
    assert api.send("GET", "/user", headers).json == REVOKED
    headers = {"PRIVATE-TOKEN": rotated.json["token"]}
    assert api.send("GET", "/user", headers).json["bot"] is True
    other = tree.project(creator=owner)
    assert api.send("POST", f"/projects/{other.pk}/access_tokens/self/rotate", headers).status == 404
    assert api.ask("DELETE", f"{path}/{rotated.json['id']}", owner).status == 204
    assert api.send("GET", "/user", headers).status == 401
    assert [token["active"] for token in api.ask("GET", path, owner).json] == [False, False]
    assert api.ask("GET", path, owner, state="active").json == []


def test_a_token_about_itself(api: Api, tree: Tree) -> None:
    user = tree.user()
    secret = api.secret(user, ["read_registry"])
    headers = {"PRIVATE-TOKEN": secret}
    told = api.send("GET", "/personal_access_tokens/self", headers).json
    assert (told["scopes"], told["user_id"], "token" in told) == (["read_registry"], user.pk, False)
    assert told["last_used_at"] is not None
    _, oauth_secret, _ = tokens.create_oauth_token(user)
    oauth = api.send("GET", "/personal_access_tokens/self", {"Authorization": f"Bearer {oauth_secret}"})
    assert (oauth.status, oauth.json) == (404, {"message": "404 Not Found"})
    assert api.send("DELETE", "/personal_access_tokens/self", headers).status == 204
    assert api.send("GET", "/personal_access_tokens/self", headers).json == REVOKED


def test_rotation(api: Api, tree: Tree) -> None:
    user = tree.user()
    token, _ = tokens.create_access_token(user=user, name="x", scopes=["api"], expires_at=None, description="nightly")
    path = f"/personal_access_tokens/{token.pk}/rotate"
    tomorrow = timezone.now().date() + dt.timedelta(days=1)
    rotated = api.ask("POST", path, user, expires_at=tomorrow.isoformat())
    assert rotated.status == 200
    expected = {"name": "x", "description": "nightly", "scopes": ["api"], "expires_at": tomorrow.isoformat()}
    assert {name: rotated.json[name] for name in expected} == expected
    again = api.ask("POST", path, user)
    assert (again.status, again.json) == (400, {"message": "400 Bad request - Token already revoked"})
    yesterday = timezone.now().date() - dt.timedelta(days=1)
    past = api.ask("POST", f"/personal_access_tokens/{rotated.json['id']}/rotate", user, expires_at=str(yesterday))
    assert (past.status, past.json["message"].keys()) == (400, {"expires_at"})


def test_administrators_make_tokens_for_users_but_not_for_bots(api: Api, tree: Tree) -> None:
    admin, user = tree.user(is_admin=True), tree.user()
    made = api.ask("POST", f"/users/{user.pk}/personal_access_tokens", admin, name="t", scopes="api,read_user")
    assert (made.status, made.json["scopes"]) == (201, ["api", "read_user"])
    days = dt.date.fromisoformat(made.json["expires_at"]) - timezone.now().date()
    assert dt.timedelta(days=364) <= days <= dt.timedelta(days=365)
    assert api.send("GET", "/user", {"PRIVATE-TOKEN": made.json["token"]}).json["id"] == user.pk
    project = tree.project(creator=admin)
    bot = api.ask("POST", f"/projects/{project.pk}/access_tokens", admin, name="b", scopes=["api"]).json
    asked = {"name": "t", "scopes": ["api"]}
    assert api.ask("POST", f"/users/{bot['user_id']}/personal_access_tokens", admin, **asked).status == 400
    sudo = api.ask("POST", f"/users/{user.pk}/personal_access_tokens", admin, name="t", scopes=["sudo"])
    assert (sudo.status, sudo.json["message"].keys()) == (400, {"scopes"})


@pytest.mark.parametrize(
    ("path", "takes", "refuses"),
    [
        ("/users/{user}/personal_access_tokens", ["api", "read_user", "read_registry", "sudo"], ["fly", "API"]),
        ("/projects/{project}/access_tokens", ["api", "write_registry"], ["read_user", "sudo"]),
        ("/groups/{group}/access_tokens", ["api", "read_api"], ["admin_mode", "read_user"]),
        ("/projects/{project}/deploy_tokens", ["read_registry", "write_registry"], ["api"]),
        ("/groups/{group}/deploy_tokens", ["read_registry"], ["read_api"]),
    ],
)
def test_which_token_may_have_which_scopes(
    api: Api, tree: Tree, path: str, takes: list[str], refuses: list[str]
) -> None:
    root = tree.user(is_admin=True)
    group = tree.group(root)
    path = path.format(user=root.pk, project=tree.project(group, root).pk, group=group.pk)
    for scopes in (takes, ",".join(takes), takes * 2):
        made = api.ask("POST", path, root, name="t", scopes=scopes)
        assert (made.status, made.json["scopes"]) == (201, takes)
    for scope in refuses:
        refused = api.ask("POST", path, root, name="t", scopes=[*takes, scope])
        assert refused.status == 400
        assert refused.json["error"].startswith("scopes does not have a valid value; expected some of ")
    assert api.ask("POST", path, root, name="t", scopes=[]).json == {"error": "scopes is empty"}
    assert api.ask("POST", path, root, name="t").json == {"error": "scopes is missing"}
