"""Who gets what: GitLab's visibility matrix, roles, credentials and archived projects, each cell of them.

Source: GitLab "Container registry visibility permissions", ``project_policy.rb``, "Roles and permissions".
"""

from __future__ import annotations

import datetime as dt
import itertools
from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from matou.portal.accounts.services import block_user
from matou.portal.images.models import ContainerRepository
from matou.portal.namespaces.models import AccessLevel, RegistryAccess, Visibility
from matou.portal.tokens.services import (
    create_access_token,
    create_deploy_token,
    create_job_token,
    create_oauth_token,
    create_resource_token,
    revoke,
)
from tests.unit.portal.images.asking import ask, everything, pull, push
from tests.unit.portal.things import PASSWORD, group, member, project, user

if TYPE_CHECKING:
    from matou.portal.accounts.models import User
    from matou.portal.namespaces.models import Project

pytestmark = pytest.mark.django_db

IMAGE = "team/app"
ROLES = ["none", *(level.name.lower() for level in AccessLevel)]
PULL, PUSH, ALL = ["pull"], ["pull", "push"], ["pull", "push", "delete", "*"]


def app(**values: object) -> Project:
    return project(group("team", visibility=Visibility.PUBLIC), "app", **values)


def login_of(who: User) -> tuple[str, str]:
    """Credentials that cost no hash: a token that may do whatever its user may."""
    return who.username, create_access_token(user=who, name="x", scopes=["api"], expires_at=None)[1]


def with_role(role: str, where: Project) -> User:
    who = user("ann")
    if role != "none":
        member(who, where, AccessLevel[role.upper()])
    return who


def wanted_actions(role: str, visibility: str, setting: str) -> list[str]:
    """What the documents say, written down another way than in the code."""
    if setting == "disabled":
        return []
    if role in ("maintainer", "owner"):
        return ALL
    if role == "developer":
        return PUSH
    if role == "reporter":
        return PULL
    return PULL if (visibility, setting) in {("public", "enabled"), ("internal", "enabled")} else []


@pytest.mark.parametrize(
    ("role", "visibility", "setting"), list(itertools.product(ROLES, Visibility.values, RegistryAccess.values))
)
def test_users(role: str, visibility: str, setting: str) -> None:
    where = app(visibility=visibility, container_registry_access_level=setting)
    answer = ask(everything(IMAGE), login=login_of(with_role(role, where)))
    assert answer.status == 200
    assert answer.access.get(IMAGE, []) == wanted_actions(role, visibility, setting)


@pytest.mark.parametrize(("visibility", "setting"), list(itertools.product(Visibility.values, RegistryAccess.values)))
def test_anonymous_callers(visibility: str, setting: str) -> None:
    app(visibility=visibility, container_registry_access_level=setting)
    answer = ask(everything(IMAGE))
    if (visibility, setting) == ("public", "enabled"):
        assert answer.access == {IMAGE: PULL}
    else:
        assert answer.status == 403
        assert answer.error == ("DENIED", "access forbidden")


@pytest.mark.parametrize("setting", RegistryAccess.values)
def test_administrators(setting: str) -> None:
    app(visibility="private", container_registry_access_level=setting)
    answer = ask(everything(IMAGE), login=login_of(user("boss", is_admin=True)))
    assert answer.access.get(IMAGE, []) == ([] if setting == "disabled" else ALL)


@pytest.mark.parametrize("role", ROLES)
def test_archived_projects_can_be_pulled_from_only(role: str) -> None:
    where = app(visibility="private", archived=True)
    answer = ask(everything(IMAGE), login=login_of(with_role(role, where)))
    readers = {"reporter", "developer", "maintainer", "owner"}
    assert answer.access.get(IMAGE, []) == (PULL if role in readers else [])


def test_roles_come_from_groups_above() -> None:
    team = group("team")
    below = group("below", parent=team)
    project(below, "app")
    ann = user("ann")
    member(ann, team, 30)
    assert ask(push("team/below/app"), login=login_of(ann)).access == {"team/below/app": PUSH}


def test_expired_memberships_are_void() -> None:
    where, ann = app(), user("ann")
    member(ann, where, 50, expires_at=timezone.now().date())
    assert ask(pull(IMAGE), login=login_of(ann)).access == {}


def test_users_own_their_namespace() -> None:
    ann = user("ann")
    project(ann.namespace, "app")
    assert ask(everything("ann/app"), login=login_of(ann)).access == {"ann/app": ALL}


def test_passwords_may_what_their_user_may() -> None:
    where, ann = app(), user("ann")
    member(ann, where, 40)
    for name in ("ann", "ANN", "ann@example.com"):
        assert ask(everything(IMAGE), login=(name, PASSWORD)).access == {IMAGE: ALL}


@pytest.mark.parametrize(
    ("scopes", "wanted"),
    [
        (["api"], ALL),
        (["read_api"], PULL),
        (["read_registry"], PULL),
        (["write_registry"], ["push"]),
        (["read_registry", "write_registry"], PUSH),
        (["read_api", "write_registry"], PUSH),
        (["read_user", "read_registry"], PULL),
    ],
)
@pytest.mark.parametrize("username", ["ann", "whatever", ""])
def test_scopes_of_access_tokens(scopes: list[str], wanted: list[str], username: str) -> None:
    where, ann = app(), user("ann")
    member(ann, where, 50)
    secret = create_access_token(user=ann, name="x", scopes=scopes, expires_at=None)[1]
    answer = ask(everything(IMAGE), login=(username, secret))
    assert answer.access == {IMAGE: wanted}
    assert answer.claims["auth_type"] == "personal_access_token"
    assert answer.claims["sub"] == "ann"


@pytest.mark.parametrize("scopes", [["read_user"], ["read_repository", "write_repository"], ["k8s_proxy"]])
def test_tokens_without_a_scope_for_registries(scopes: list[str]) -> None:
    where, ann = app(visibility="public"), user("ann")
    member(ann, where, 50)
    secret = create_access_token(user=ann, name="x", scopes=scopes, expires_at=None)[1]
    answer = ask(pull(IMAGE), login=("ann", secret))
    assert answer.status == 403
    assert answer.error == ("DENIED", "access forbidden")


@pytest.mark.parametrize("level", [10, 20, 30, 40])
@pytest.mark.parametrize("kind", ["project", "group"])
def test_resource_tokens_have_their_bots_role(kind: str, level: int) -> None:
    boss, where = user("boss", is_admin=True), app()
    place = where if kind == "project" else where.namespace
    secret = create_resource_token(
        creator=boss,
        name="x",
        scopes=["read_registry", "write_registry"],
        access_level=level,
        expires_at=None,
        **{kind: place},  # type: ignore[arg-type] # project or group
    )[1]
    other = project(group("other"), "app")
    answer = ask(everything(IMAGE), pull(other.full_path), login=("x", secret))
    assert answer.access.get(IMAGE, []) == {10: [], 20: PULL, 30: PUSH, 40: PUSH}[level]
    assert other.full_path not in answer.access


@pytest.mark.parametrize(
    ("scopes", "wanted"),
    [
        (["read_registry"], PULL),
        (["write_registry"], ["push"]),
        (["read_registry", "write_registry"], PUSH),
    ],
)
@pytest.mark.parametrize("kind", ["project", "group", "group above"])
def test_deploy_tokens(kind: str, scopes: list[str], wanted: list[str]) -> None:
    team = group("team")
    where = project(group("below", parent=team), "app")
    place = {"project": where} if kind == "project" else {"group": team if kind == "group above" else where.namespace}
    token, secret = create_deploy_token(creator=None, name="x", scopes=scopes, **place)
    answer = ask(everything("team/below/app"), login=(token.username, secret))
    assert answer.access == {"team/below/app": wanted}
    assert answer.claims["auth_type"] == "deploy_token"
    assert "sub" not in answer.claims


def test_deploy_tokens_are_for_their_project_alone() -> None:
    where = app()
    token, secret = create_deploy_token(
        creator=None, project=where, name="x", scopes=["read_registry", "write_registry"]
    )
    login = (token.username, secret)
    project(where.namespace, "beside")
    project(group("open"), "app", visibility="public")
    project(group("inner"), "app", visibility="internal")
    answer = ask(*(everything(f"{name}") for name in ("team/beside", "open/app", "inner/app")), login=login)
    assert answer.access == {"open/app": PULL}


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"container_registry_access_level": "private"}, PUSH),
        ({"container_registry_access_level": "disabled"}, []),
        ({"archived": True}, PULL),
    ],
)
def test_deploy_tokens_in_such_projects(values: dict[str, object], wanted: list[str]) -> None:
    token, secret = create_deploy_token(
        creator=None, project=app(**values), name="x", scopes=["read_registry", "write_registry"]
    )
    answer = ask(everything(IMAGE), login=(token.username, secret))
    assert answer.status == 200
    assert answer.access.get(IMAGE, []) == wanted


def test_deploy_tokens_without_a_scope_for_registries() -> None:
    token, secret = create_deploy_token(creator=None, project=app(), name="x", scopes=["read_repository"])
    assert ask(pull(IMAGE), login=(token.username, secret)).error == ("DENIED", "access forbidden")


@pytest.mark.parametrize(
    ("role", "wanted"),
    [("none", []), ("guest", []), ("reporter", PULL), ("developer", ["pull", "push", "delete"])],
)
def test_jobs_in_their_project(role: str, wanted: list[str]) -> None:
    where = app()
    secret = create_job_token(project=where, user=with_role(role, where), lifetime=dt.timedelta(hours=1))[1]
    answer = ask(everything(IMAGE), login=("gitlab-ci-token", secret))
    assert answer.access.get(IMAGE, []) == wanted
    assert answer.claims["auth_type"] == "build"


def test_jobs_elsewhere_pull_what_their_user_pulls() -> None:
    where, ann = app(), user("ann")
    member(ann, where, 30)
    member(ann, project(group("mine"), "app"), 50)
    project(group("foreign"), "app")
    project(group("open"), "app", visibility="public")
    secret = create_job_token(project=where, user=ann, lifetime=dt.timedelta(hours=1))[1]
    names = ("mine/app", "foreign/app", "open/app")
    answer = ask(*(everything(name) for name in names), "registry:catalog:*", login=("gitlab-ci-token", secret))
    assert answer.access == {"mine/app": PULL, "open/app": PULL}


def test_jobs_of_administrators_are_no_administrators() -> None:
    where, boss = app(), user("boss", is_admin=True)
    secret = create_job_token(project=where, user=boss, lifetime=dt.timedelta(hours=1))[1]
    answer = ask(everything(IMAGE), "registry:catalog:*", login=("gitlab-ci-token", secret))
    assert answer.access == {IMAGE: ["pull", "push", "delete"]}


def test_a_job_that_has_ended_gets_nothing() -> None:
    where, ann = app(visibility="public"), user("ann")
    token, secret = create_job_token(project=where, user=ann, lifetime=dt.timedelta(hours=1))
    revoke(token)
    assert ask(pull(IMAGE), login=("gitlab-ci-token", secret)).status == 401


def test_job_tokens_need_their_user_name() -> None:
    where, ann = app(visibility="public"), user("ann")
    secret = create_job_token(project=where, user=ann, lifetime=dt.timedelta(hours=1))[1]
    assert ask(pull(IMAGE), login=("ann", secret)).status == 401


@pytest.mark.parametrize(
    ("username", "scopes", "status"),
    [("oauth2", ["api"], 200), ("ann", ["api"], 401), ("oauth2", ["read_user"], 401)],
)
def test_oauth_tokens(username: str, scopes: list[str], status: int) -> None:
    where, ann = app(), user("ann")
    member(ann, where, 40)
    secret = create_oauth_token(ann, scopes)[1]
    answer = ask(everything(IMAGE), login=(username, secret))
    assert answer.status == status
    if status == 200:
        assert answer.access == {IMAGE: ALL}
        assert answer.claims["auth_type"] == "oauth"


def test_blocked_users_are_refused_with_whatever_credentials() -> None:
    where, ann = app(visibility="public"), user("ann")
    member(ann, where, 50)
    job = create_job_token(project=where, user=ann, lifetime=dt.timedelta(hours=1))[1]
    logins = [
        login_of(ann), ("ann", PASSWORD), ("gitlab-ci-token", job), ("oauth2", create_oauth_token(ann)[1])
    ]  # fmt: skip
    for login in logins:
        assert ask(pull(IMAGE), login=login).status == 200
    block_user(ann)
    for login in logins:
        assert ask(pull(IMAGE), login=login).status == 401


def test_a_push_makes_the_repository_known() -> None:
    where, ann = app(), user("ann")
    member(ann, where, 30)
    login = login_of(ann)
    ask(pull(IMAGE), pull(f"{IMAGE}/cache"), login=login)
    assert not ContainerRepository.objects.exists()
    for _ in range(2):
        ask(push(IMAGE), push(f"{IMAGE}/cache/debug"), login=login)
    assert sorted(item.path for item in ContainerRepository.objects.all()) == [IMAGE, f"{IMAGE}/cache/debug"]


def test_a_denied_push_makes_nothing_known() -> None:
    where, ann = app(), user("ann")
    member(ann, where, 20)
    ask(push(IMAGE), login=login_of(ann))
    assert not ContainerRepository.objects.exists()
