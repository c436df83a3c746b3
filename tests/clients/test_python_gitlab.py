"""The library that GitLab's users script with, against a portal that listens on a port."""

from __future__ import annotations

import datetime as dt
import itertools
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import gitlab
import httpx
import pytest
from gitlab.const import AccessLevel

from tests.servers.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOT_PASSWORD = "correct horse battery staple"
START_TIMEOUT = 60.0
SERVE = """
from matou.config.installation import Installation
from matou.portal.server import serve
from matou.portal.setup import prepare

installation = Installation.from_environ()
prepare(installation)
raise SystemExit(serve(installation))
"""
numbers = itertools.count(1)


def unique(stem: str) -> str:
    return f"{stem}{next(numbers)}"


def soon() -> str:
    return (dt.datetime.now(dt.UTC).date() + dt.timedelta(days=30)).isoformat()


def wait_until_ready(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=START_TIMEOUT)
    while dt.datetime.now(dt.UTC) < deadline:
        if server.poll() is not None:
            pytest.fail(f"the portal ended with {server.returncode}:\n{log.read_text()}")
        try:
            if httpx.get(f"{url}/-/readiness", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        try:
            server.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
    pytest.fail(f"the portal was not ready in {START_TIMEOUT} s:\n{log.read_text()}")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("home")
    address = f"127.0.0.1:{free_port()}"
    environ = os.environ | {
        "MATOU_HOME": str(home),
        "MATOU_PORTAL_ADDR": address,
        "MATOU_ROOT_PASSWORD": ROOT_PASSWORD,
    }
    log = home / "portal.log"
    with log.open("wb") as output:
        server = subprocess.Popen([sys.executable, "-c", SERVE], env=environ, stdout=output, stderr=output)
    try:
        wait_until_ready(f"http://{address}", server, log)
        yield f"http://{address}"
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@pytest.fixture(scope="module")
def root(url: str) -> gitlab.Gitlab:
    """The administrator, by a personal access token that it makes with a token of the password grant."""
    grant = httpx.post(
        f"{url}/oauth/token", data={"grant_type": "password", "username": "root", "password": ROOT_PASSWORD}
    )
    assert grant.status_code == 200, grant.text
    with gitlab.Gitlab(url, oauth_token=grant.json()["access_token"]) as client:
        client.auth()
        assert client.user is not None
        user = client.users.get(client.user.id)
        token = user.personal_access_tokens.create({"name": "root", "scopes": ["api"], "expires_at": soon()})
    return gitlab.Gitlab(url, private_token=token.token)


def sign_up(root: gitlab.Gitlab, **attributes: Any) -> tuple[Any, gitlab.Gitlab]:
    """A new user and its client."""
    name = unique("user")
    user = root.users.create(
        {"username": name, "name": name.title(), "email": f"{name}@example.com", "password": "a long Password 1"}
        | attributes
    )
    token = user.personal_access_tokens.create({"name": "api", "scopes": ["api"], "expires_at": soon()})
    return user, gitlab.Gitlab(root.url, private_token=token.token)


def test_authentication(root: gitlab.Gitlab, url: str) -> None:
    root.auth()
    assert root.user is not None
    assert root.user.username == "root"
    assert root.user.is_admin is True
    with pytest.raises(gitlab.GitlabAuthenticationError, match="401 Unauthorized"):
        gitlab.Gitlab(url, private_token="glpat-wrong").auth()
    with pytest.raises(gitlab.GitlabAuthenticationError, match="401 Unauthorized"):
        gitlab.Gitlab(url).auth()


def test_version(root: gitlab.Gitlab) -> None:
    version, revision = root.version()
    assert version.split(".")[0].isdigit()
    assert revision


def test_users(root: gitlab.Gitlab) -> None:
    user, own = sign_up(root)
    own.auth()
    assert own.user is not None
    assert own.user.id == user.id
    assert [found.id for found in root.users.list(username=user.username)] == [user.id]
    assert [found.id for found in root.users.list(search=user.email)] == [user.id]
    user.name = "Another Name"
    user.save()
    assert root.users.get(user.id).name == "Another Name"
    user.block()
    assert root.users.get(user.id).state == "blocked"
    with pytest.raises(gitlab.GitlabListError) as refusal:
        own.projects.list()
    assert refusal.value.response_code == 403
    assert "Your account has been blocked." in str(refusal.value)
    user.unblock()
    own.projects.list()
    with pytest.raises(gitlab.GitlabCreateError, match="has already been taken") as taken:
        root.users.create(
            {"username": user.username, "name": "x", "email": f"{unique('x')}@example.com", "password": "a long Pass 1"}
        )
    assert taken.value.response_code == 409
    with pytest.raises(gitlab.GitlabCreateError) as denied:
        own.users.create({"username": "mallory", "name": "M", "email": "m@example.com", "password": "a long Pass 1"})
    assert denied.value.response_code == 403
    user.delete(hard_delete=True)
    with pytest.raises(gitlab.GitlabGetError, match="404 User Not Found"):
        root.users.get(user.id)


def test_nested_groups_and_projects_by_path(root: gitlab.Gitlab) -> None:
    top = root.groups.create({"name": "Top", "path": unique("top"), "visibility": "public"})
    inner = root.groups.create({"name": "Inner", "path": "inner", "parent_id": top.id, "visibility": "internal"})
    project = root.projects.create({"name": "Web shop", "path": "shop", "namespace_id": inner.id})
    full_path = f"{top.path}/inner/shop"
    assert project.path_with_namespace == full_path
    assert root.projects.get(full_path).id == project.id
    assert root.groups.get(f"{top.path}/inner").id == inner.id
    assert [group.id for group in top.subgroups.list()] == [inner.id]
    assert [group.id for group in top.descendant_groups.list()] == [inner.id]
    assert [found.id for found in inner.projects.list()] == [project.id]
    assert top.projects.list() == []
    assert [found.id for found in top.projects.list(include_subgroups=True)] == [project.id]
    assert root.groups.list(search=top.path, top_level_only=True)[0].id == top.id
    with pytest.raises(gitlab.GitlabGetError, match="404 Project Not Found"):
        root.projects.get(f"{top.path}/absent")
    with pytest.raises(gitlab.GitlabGetError, match="404 Group Not Found"):
        root.groups.get(f"{top.path}/absent")
    with pytest.raises(gitlab.GitlabCreateError, match="has already been taken"):
        root.projects.create({"name": "Web shop", "path": "shop", "namespace_id": inner.id})
    inner.name = "Renamed"
    inner.save()
    assert root.groups.get(inner.id).name == "Renamed"
    project.delete()
    with pytest.raises(gitlab.GitlabGetError, match="404 Project Not Found"):
        root.projects.get(full_path)
    top.delete()
    with pytest.raises(gitlab.GitlabGetError, match="404 Group Not Found"):
        root.groups.get(inner.id)


def test_projects(root: gitlab.Gitlab) -> None:
    user, own = sign_up(root)
    project = own.projects.create({"name": unique("own")})
    assert project.visibility == "private"
    assert project.owner["id"] == user.id
    assert project.path_with_namespace == f"{user.username}/{project.path}"
    assert project.container_registry_image_prefix.endswith(f"/{project.path_with_namespace}")
    assert [found.id for found in own.projects.list(owned=True)] == [project.id]
    assert [found.id for found in own.projects.list(membership=True, simple=True)] == [project.id]
    assert [found.id for found in user.projects.list()] == [project.id]
    project.container_registry_access_level = "disabled"
    project.description = "说明"
    project.save()
    again = own.projects.get(project.id)
    assert again.container_registry_enabled is False
    assert again.description == "说明"
    project.archive()
    assert own.projects.get(project.id).archived is True
    project.unarchive()
    assert own.projects.get(project.id).archived is False
    other = root.users.get(user.id).projects.create({"name": unique("made")})
    assert other.owner["id"] == user.id
    assert other.creator_id != user.id
    with pytest.raises(gitlab.GitlabCreateError, match="name, path are missing"):
        own.projects.create({"visibility": "private"})
    with pytest.raises(gitlab.GitlabCreateError, match="visibility does not have a valid value"):
        own.projects.create({"name": "x", "visibility": "secret"})
    _, stranger = sign_up(root)
    with pytest.raises(gitlab.GitlabGetError, match="404 Project Not Found"):
        stranger.projects.get(project.id)


def test_members(root: gitlab.Gitlab) -> None:
    _, owner = sign_up(root)
    user, own = sign_up(root)
    group = owner.groups.create({"name": "Members", "path": unique("members")})
    project = owner.projects.create({"name": "p", "namespace_id": group.id})
    member = project.members.create({"user_id": user.id, "access_level": AccessLevel.DEVELOPER, "expires_at": soon()})
    assert member.access_level == 30
    assert member.expires_at == soon()
    assert own.projects.get(project.id).permissions["project_access"]["access_level"] == 30
    with pytest.raises(gitlab.GitlabCreateError, match="Member already exists") as exists:
        project.members.create({"user_id": user.id, "access_level": AccessLevel.DEVELOPER})
    assert exists.value.response_code == 409
    member.access_level = AccessLevel.REPORTER
    member.save()
    assert project.members.get(user.id).access_level == 20
    assert [found.id for found in project.members.list(query=user.username)] == [user.id]
    assert len(project.members_all.list(get_all=True)) == 2
    assert project.members_all.get(user.id).access_level == 20
    project.members.delete(user.id)
    with pytest.raises(gitlab.GitlabGetError, match="404"):
        project.members.get(user.id)
    group.members.create({"user_id": user.id, "access_level": AccessLevel.MAINTAINER})
    assert project.members_all.get(user.id).access_level == 40
    assert own.projects.get(project.id).permissions["group_access"]["access_level"] == 40
    with pytest.raises(gitlab.GitlabCreateError, match="access_level"):
        group.members.create({"user_id": user.id, "access_level": 7})


def test_personal_access_tokens(root: gitlab.Gitlab, url: str) -> None:
    user, own = sign_up(root)
    made = user.personal_access_tokens.create({"name": "ci", "scopes": ["read_api", "read_registry"]})
    reader = gitlab.Gitlab(url, private_token=made.token)
    reader.projects.list()
    with pytest.raises(gitlab.GitlabCreateError, match="insufficient_scope") as refusal:
        reader.projects.create({"name": "x"})
    assert refusal.value.response_code == 403
    assert reader.personal_access_tokens.get("self").id == made.id
    assert {token.id for token in own.personal_access_tokens.list()} >= {made.id}
    assert own.personal_access_tokens.get(made.id).scopes == ["read_api", "read_registry"]
    token = own.personal_access_tokens.get(made.id)
    rotated = token.rotate()
    with pytest.raises(gitlab.GitlabAuthenticationError):
        reader.projects.list()
    successor = gitlab.Gitlab(url, private_token=rotated["token"])
    successor.projects.list()
    own.personal_access_tokens.delete(rotated["id"])
    with pytest.raises(gitlab.GitlabAuthenticationError):
        successor.projects.list()
    with pytest.raises(gitlab.GitlabCreateError, match="scopes"):
        user.personal_access_tokens.create({"name": "x", "scopes": ["fly"]})


@pytest.mark.parametrize("kind", ["project", "group"])
def test_resource_access_tokens(root: gitlab.Gitlab, url: str, kind: str) -> None:
    group = root.groups.create({"name": "Bots", "path": unique("bots")})
    project = root.projects.create({"name": "p", "namespace_id": group.id})
    resource: Any = project if kind == "project" else group
    attributes = {"name": "bot", "scopes": ["api"], "access_level": 30, "expires_at": soon()}
    token = resource.access_tokens.create(attributes)
    assert token.access_level == 30
    bot = gitlab.Gitlab(url, private_token=token.token)
    assert bot.projects.get(project.id).id == project.id
    bot.auth()
    assert bot.user is not None
    assert bot.user.bot is True
    assert [found.id for found in resource.access_tokens.list()] == [token.id]
    assert resource.access_tokens.get(token.id).active is True
    rotated = resource.access_tokens.get(token.id).rotate()
    successor = gitlab.Gitlab(url, private_token=rotated["token"])
    assert successor.projects.get(project.id).id == project.id
    resource.access_tokens.delete(rotated["id"])
    with pytest.raises(gitlab.GitlabAuthenticationError):
        successor.projects.get(project.id)
    with pytest.raises(gitlab.GitlabCreateError):
        resource.access_tokens.create(attributes | {"access_level": 99})


@pytest.mark.parametrize("kind", ["project", "group"])
def test_deploy_tokens(root: gitlab.Gitlab, kind: str) -> None:
    group = root.groups.create({"name": "Deploy", "path": unique("deploy")})
    project = root.projects.create({"name": "p", "namespace_id": group.id})
    resource: Any = project if kind == "project" else group
    token = resource.deploytokens.create({"name": "pull", "scopes": ["read_registry"], "username": unique("puller")})
    assert token.token
    assert token.username.startswith("puller")
    assert [found.id for found in resource.deploytokens.list()] == [token.id]
    assert not hasattr(resource.deploytokens.get(token.id), "token")
    assert token.id in {found.id for found in root.deploytokens.list(iterator=True)}
    named = resource.deploytokens.create({"name": "push", "scopes": ["read_registry", "write_registry"]})
    assert named.username.startswith("gitlab+deploy-token-")
    with pytest.raises(gitlab.GitlabCreateError, match="scopes"):
        resource.deploytokens.create({"name": "x", "scopes": ["api"]})
    token.delete()
    assert [found.id for found in resource.deploytokens.list(active=True)] == [named.id]


def test_job_tokens(root: gitlab.Gitlab) -> None:
    project = root.projects.create({"name": unique("jobs")})
    path = f"/projects/{project.id}/job_tokens"
    made = root.http_post(path, post_data={"expires_in": 600})
    assert isinstance(made, dict)
    assert made["username"] == "gitlab-ci-token"
    job = gitlab.Gitlab(root.url, job_token=made["token"])
    assert job.projects.get(project.id).id == project.id
    with pytest.raises(gitlab.GitlabGetError, match="404 Project Not Found"):
        job.projects.get(root.projects.create({"name": unique("other"), "visibility": "public"}).id)
    root.http_delete(f"{path}/{made['id']}")
    with pytest.raises(gitlab.GitlabAuthenticationError):
        job.projects.get(project.id)
    with pytest.raises(gitlab.GitlabHttpError) as refusal:
        root.http_delete(f"{path}/{made['id']}")
    assert refusal.value.response_code == 404
    _, stranger = sign_up(root)
    with pytest.raises(gitlab.GitlabHttpError, match="404 Project Not Found"):
        stranger.http_post(path)


def test_pages(root: gitlab.Gitlab) -> None:
    _, own = sign_up(root)
    group = own.groups.create({"name": "Pages", "path": unique("pages")})
    made = {own.projects.create({"name": f"p{number:02}", "namespace_id": group.id}).id for number in range(7)}
    first = group.projects.list(iterator=True, per_page=3)
    assert isinstance(first, gitlab.base.RESTObjectList)
    assert (first.total, first.total_pages, first.per_page) == (7, 3, 3)
    assert {project.id for project in first} == made
    assert {project.id for project in group.projects.list(get_all=True, per_page=2)} == made
    assert len(group.projects.list(page=3, per_page=3)) == 1
    keyset = own.projects.list(owned=True, pagination="keyset", order_by="id", sort="asc", per_page=2, iterator=True)
    assert [project.id for project in keyset] == sorted(made)
    ordered = own.projects.list(owned=True, order_by="name", sort="desc", get_all=True)
    assert [project.name for project in ordered] == [f"p{number:02}" for number in reversed(range(7))]


def test_sudo(root: gitlab.Gitlab) -> None:
    root.auth()
    assert root.user is not None
    user, own = sign_up(root)
    admin = root.users.get(root.user.id)
    token = admin.personal_access_tokens.create({"name": "sudo", "scopes": ["api", "sudo"]})
    able = gitlab.Gitlab(root.url, private_token=token.token)
    answer = able.http_get("/user", sudo=user.username)
    assert isinstance(answer, dict)
    assert answer["id"] == user.id
    with pytest.raises(gitlab.GitlabHttpError, match="Must be admin to use sudo"):
        own.http_get("/user", sudo="root")


def test_namespaces(root: gitlab.Gitlab) -> None:
    user, own = sign_up(root)
    group = own.groups.create({"name": "Places", "path": unique("places")})
    inner = own.groups.create({"name": "Inner", "path": "inner", "parent_id": group.id})
    places = {namespace.full_path: namespace for namespace in own.namespaces.list(iterator=True)}
    assert places.keys() == {user.username, group.path, f"{group.path}/inner"}
    assert places[user.username].kind == "user"
    assert own.namespaces.get(f"{group.path}/inner").id == inner.id
    assert own.namespaces.exists(group.path).exists is True
    assert own.namespaces.exists(unique("absent")).exists is False
    project = own.projects.create({"name": "p", "namespace_id": inner.id})
    assert project.namespace["full_path"] == f"{group.path}/inner"
    assert project.name_with_namespace == "Places / Inner / p"


def test_many_at_once(root: gitlab.Gitlab, url: str) -> None:
    _, own = sign_up(root)
    assert own.private_token is not None
    headers = {"PRIVATE-TOKEN": own.private_token}
    path = unique("contested")

    def create(number: int) -> int:
        values = {"name": "Contested", "path": path} if number % 2 else {"name": "Own", "path": f"{path}-{number}"}
        return httpx.post(f"{url}/api/v4/groups", headers=headers, json=values, timeout=60).status_code

    with ThreadPoolExecutor(16) as threads:
        statuses = list(threads.map(create, range(48)))
    assert statuses[::2] == [201] * 24
    assert sorted(statuses[1::2]) == [201] + [400] * 23
    assert len(own.groups.list(owned=True, get_all=True)) == 25
