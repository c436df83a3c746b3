from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from matou.portal.accounts.models import User
from matou.portal.accounts.services import block_user
from matou.portal.namespaces.models import Member
from matou.portal.namespaces.roles import project_role
from matou.portal.tokens.lookup import find_access_token, find_deploy_token, find_job_token, find_oauth_token
from matou.portal.tokens.models import AccessToken, DeployToken, JobToken, OAuthToken
from matou.portal.tokens.services import (
    REFRESH_LIFETIME,
    create_access_token,
    create_deploy_token,
    create_job_token,
    create_oauth_token,
    create_resource_token,
    forget_dead_tokens,
    refresh_oauth_token,
    revoke,
    rotate,
)
from tests.unit.portal.things import group, member, project, user

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries

pytestmark = pytest.mark.django_db

DAY = dt.timedelta(days=1)


def today() -> dt.date:
    return timezone.now().date()


def access_token(who: User | None = None, **values: Any) -> tuple[AccessToken, str]:
    defaults = {"name": "laptop", "scopes": ["read_registry"], "expires_at": None}
    return create_access_token(user=who or user("ann"), **(defaults | values))


def test_access_token() -> None:
    token, secret = access_token(scopes=["read_registry", "api", "api"], expires_at=today() + DAY)
    assert re.fullmatch(r"glpat-[A-Za-z0-9_-]{20,}", secret)
    assert token.scopes == ["read_registry", "api"]
    assert find_access_token(secret) == token
    assert secret not in str(AccessToken.objects.values())
    assert find_access_token(secret + "x") is None
    assert find_access_token("glpat-" + "x" * 1000) is None
    assert find_access_token("\ud800") is None


@pytest.mark.parametrize(
    ("values", "field", "problem"),
    [
        ({"scopes": []}, "scopes", "can't be blank"),
        ({"scopes": ["read_everything"]}, "scopes", "can only contain available scopes: not read_everything"),
        ({"scopes": ["sudo"]}, "scopes", "administrators only"),
        ({"name": " "}, "name", "can't be blank"),
        ({"name": "x" * 256}, "name", "too long"),
        ({"description": "x" * 256}, "description", "too long"),
    ],
)
def test_what_an_access_token_cannot_have(values: dict[str, Any], field: str, problem: str) -> None:
    with pytest.raises(ValidationError) as raised:
        access_token(**values)
    assert problem in raised.value.message_dict[field][0]


def test_an_access_token_cannot_have_expired_already() -> None:
    with pytest.raises(ValidationError, match="in the future"):
        access_token(expires_at=today())


def test_administrators_scopes() -> None:
    token, _ = access_token(user("boss", is_admin=True), scopes=["sudo", "admin_mode", "api"])
    assert token.scopes == ["sudo", "admin_mode", "api"]


def test_inactive_access_tokens_are_found_on_demand_only() -> None:
    expired, expired_secret = access_token(user("a1"), expires_at=today() + DAY)
    AccessToken.objects.filter(pk=expired.pk).update(expires_at=today())
    revoked, revoked_secret = access_token(user("a2"))
    revoke(revoked)
    blocked, blocked_secret = access_token(user("a3"))
    block_user(blocked.user)
    for token, secret in ((expired, expired_secret), (revoked, revoked_secret), (blocked, blocked_secret)):
        assert find_access_token(secret) is None
        assert find_access_token(secret, even_if_inactive=True) == token


def test_use_is_noted_every_ten_minutes(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    token, secret = access_token()
    find_access_token(secret)
    token.refresh_from_db()
    first = token.last_used_at
    assert first is not None
    with django_assert_num_queries(1):
        find_access_token(secret)
    AccessToken.objects.filter(pk=token.pk).update(last_used_at=first - dt.timedelta(minutes=11))
    find_access_token(secret)
    token.refresh_from_db()
    assert token.last_used_at is not None
    assert token.last_used_at >= first


@pytest.mark.parametrize("kind", ["project", "group"])
def test_resource_token(kind: str) -> None:
    ann, team = user("ann"), group("team")
    place = project(team, "tools") if kind == "project" else team
    member(ann, team, 40)
    token, secret = create_resource_token(
        creator=ann,
        name="<deploy>",
        scopes=["read_registry"],
        access_level=30,
        expires_at=today() + DAY,
        **{kind: place},  # type: ignore[arg-type] # project or group
    )
    assert re.fullmatch(rf"{kind}_{place.pk}_bot_[0-9a-f]{{32}}", token.user.username)
    assert token.user.is_bot
    assert token.user.name == "deploy"
    assert getattr(token, kind) == place
    assert Member.objects.get(user=token.user).expires_at == today() + DAY
    found = find_access_token(secret)
    assert found is not None
    if kind == "project":
        assert token.project is not None
        assert project_role(found.user, token.project) == 30
    revoke(token)
    assert find_access_token(secret) is None
    assert not Member.objects.filter(user=token.user).exists()


def test_a_bot_gets_no_higher_role_than_its_maker_has() -> None:
    ann, team = user("ann"), group("team")
    member(ann, team, 40)
    values: dict[str, Any] = {"creator": ann, "group": team, "name": "x", "scopes": ["api"], "expires_at": None}
    for level in (50, 45, 0):
        with pytest.raises(ValidationError, match="access_level"):
            create_resource_token(access_level=level, **values)
    assert not User.objects.filter(is_bot=True).exists()
    with pytest.raises(ValidationError, match="available scopes"):
        create_resource_token(access_level=40, **(values | {"scopes": ["sudo"]}))
    assert not User.objects.filter(is_bot=True).exists()


def test_rotation() -> None:
    token, secret = access_token(scopes=["api"], description="ci")
    new, new_secret = rotate(token, today() + DAY)
    assert (new.name, new.scopes, new.description, new.user) == (token.name, ["api"], "ci", token.user)
    assert find_access_token(secret) is None
    assert find_access_token(new_secret) == new
    with pytest.raises(ValidationError, match="already revoked"):
        rotate(token, today() + DAY)
    with pytest.raises(ValidationError, match="already revoked"):
        rotate(AccessToken(pk=token.pk, user=token.user, scopes=["api"]), today() + DAY)


def test_a_rotation_that_fails_leaves_the_token_as_it_was() -> None:
    token, secret = access_token()
    with pytest.raises(ValidationError, match="in the future"):
        rotate(token, today())
    assert find_access_token(secret) == token


def test_rotating_a_bots_token_keeps_its_role() -> None:
    boss, team = user("boss", is_admin=True), group("team")
    token, _ = create_resource_token(
        creator=boss, group=team, name="x", scopes=["api"], access_level=30, expires_at=today() + DAY
    )
    new, _ = rotate(token, today() + 9 * DAY)
    assert new.user == token.user
    assert new.group == team
    assert Member.objects.get(user=new.user).expires_at == today() + 9 * DAY


def test_deploy_token() -> None:
    tools = project(group("team"), "tools")
    token, secret = create_deploy_token(creator=None, project=tools, name="k8s", scopes=["read_registry"])
    assert re.fullmatch(r"gldt-[A-Za-z0-9_-]{20,}", secret)
    assert token.username == f"gitlab+deploy-token-{token.pk}"
    assert find_deploy_token(token.username, secret) == token
    assert find_deploy_token("somebody", secret) is None
    assert find_deploy_token(token.username, secret + "x") is None
    revoke(token)
    assert find_deploy_token(token.username, secret) is None


def test_deploy_token_with_its_own_user_name_and_end() -> None:
    team = group("team")
    token, secret = create_deploy_token(
        creator=user("ann"),
        group=team,
        name="k8s",
        scopes=["write_registry"],
        username="k8s+prod",
        expires_at=timezone.now() + DAY,
    )
    assert find_deploy_token("k8s+prod", secret) == token
    assert find_deploy_token("K8s+prod", secret) is None
    DeployToken.objects.filter(pk=token.pk).update(expires_at=timezone.now())
    assert find_deploy_token("k8s+prod", secret) is None


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"scopes": ["api"]}, "scopes"),
        ({"name": ""}, "name"),
        ({"username": "a b"}, "username"),
        ({"username": "a:b"}, "username"),
        ({"expires_at": dt.datetime(2001, 1, 1, tzinfo=dt.UTC)}, "expires_at"),
    ],
)
def test_what_a_deploy_token_cannot_have(values: dict[str, Any], field: str) -> None:
    defaults = {"creator": None, "group": group("team"), "name": "k8s", "scopes": ["read_registry"]}
    with pytest.raises(ValidationError) as raised:
        create_deploy_token(**(defaults | values))
    assert list(raised.value.message_dict) == [field]
    assert not DeployToken.objects.exists()


def test_job_token() -> None:
    ann, tools = user("ann"), project(group("team"), "tools")
    token, secret = create_job_token(project=tools, user=ann, lifetime=dt.timedelta(hours=1))
    assert re.fullmatch(r"glcbt-[A-Za-z0-9_-]{20,}", secret)
    assert find_job_token(secret) == token
    block_user(ann)
    assert find_job_token(secret) is None
    User.objects.update(is_active=True)
    revoke(token)
    assert find_job_token(secret) is None


def test_a_job_token_ends_with_its_time() -> None:
    ann, tools = user("ann"), project(group("team"), "tools")
    token, secret = create_job_token(project=tools, user=ann, lifetime=dt.timedelta(hours=1))
    JobToken.objects.filter(pk=token.pk).update(expires_at=timezone.now())
    assert find_job_token(secret) is None
    for lifetime in (dt.timedelta(0), dt.timedelta(days=31)):
        with pytest.raises(ValidationError, match="expires_in"):
            create_job_token(project=tools, user=ann, lifetime=lifetime)


def test_oauth_token_and_its_refresh() -> None:
    token, secret, refresh_secret = create_oauth_token(user("ann"))
    assert token.scopes == ["api"]
    assert find_oauth_token(secret) == token
    refreshed = refresh_oauth_token(refresh_secret)
    assert refreshed is not None
    new, new_secret, _ = refreshed
    assert find_oauth_token(new_secret) == new
    assert find_oauth_token(secret) is None
    assert find_oauth_token(secret, even_if_inactive=True) == token
    assert refresh_oauth_token(refresh_secret) is None
    assert refresh_oauth_token("nonsense") is None


def test_oauth_tokens_of_blocked_users_and_old_ones() -> None:
    ann = user("ann")
    token, secret, refresh_secret = create_oauth_token(ann, ["read_user"])
    block_user(ann)
    assert find_oauth_token(secret) is None
    assert refresh_oauth_token(refresh_secret) is None
    User.objects.update(is_active=True)
    OAuthToken.objects.filter(pk=token.pk).update(created_at=timezone.now() - dt.timedelta(hours=3))
    assert find_oauth_token(secret) is None
    OAuthToken.objects.filter(pk=token.pk).update(created_at=timezone.now() - REFRESH_LIFETIME)
    assert refresh_oauth_token(refresh_secret) is None


def test_dead_tokens_are_forgotten() -> None:
    ann, tools = user("ann"), project(group("team"), "tools")
    dead, _, _ = create_oauth_token(ann)
    revoke(dead)
    alive, _, _ = create_oauth_token(ann)
    old, _ = create_job_token(project=tools, user=ann, lifetime=dt.timedelta(hours=1))
    JobToken.objects.filter(pk=old.pk).update(expires_at=timezone.now() - dt.timedelta(days=40))
    create_job_token(project=tools, user=ann, lifetime=dt.timedelta(hours=1))
    assert forget_dead_tokens() == 2
    assert OAuthToken.objects.get() == alive
    assert JobToken.objects.count() == 1
