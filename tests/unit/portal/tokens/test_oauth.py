from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings
from django.test import Client

from matou.portal.accounts.services import block_user
from matou.portal.tokens.lookup import find_oauth_token
from tests.unit.portal.things import PASSWORD, user

if TYPE_CHECKING:
    from matou.portal.accounts.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann() -> User:
    return user("ann")


def token(**form: str) -> Any:
    return Client().post("/oauth/token", form)


def password_grant(**form: str) -> Any:
    return token(**({"grant_type": "password", "username": "ann", "password": PASSWORD} | form))


def test_password_grant(ann: User) -> None:
    reply = password_grant()
    assert reply.status_code == 200
    body = reply.json()
    found = find_oauth_token(body.pop("access_token"))
    assert found is not None
    assert found.user == ann
    assert len(body.pop("refresh_token")) == 64
    assert body.pop("created_at") == int(found.created_at.timestamp())
    assert body == {"token_type": "Bearer", "expires_in": 7200, "scope": "api"}
    assert "no-store" in reply.headers["Cache-Control"]


def test_password_grant_as_json(ann: User) -> None:
    form = {"grant_type": "password", "username": "ann@example.com", "password": PASSWORD, "scope": "read_user api"}
    reply = Client().post("/oauth/token", form, content_type="application/json")
    assert reply.json()["scope"] == "read_user api"
    found = find_oauth_token(reply.json()["access_token"])
    assert found is not None
    assert found.user == ann


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"password": "wrong"}, "invalid_grant"),
        ({"username": "nobody"}, "invalid_grant"),
        ({"username": ""}, "invalid_request"),
        ({"password": ""}, "invalid_request"),
        ({"grant_type": ""}, "invalid_request"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"scope": "everything"}, "invalid_scope"),
        ({"scope": "sudo"}, "invalid_scope"),
        ({"grant_type": "refresh_token", "refresh_token": "wrong"}, "invalid_grant"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
    ],
)
def test_refusals(ann: User, form: dict[str, str], error: str) -> None:
    del ann
    reply = password_grant(**form)
    assert reply.status_code == 400
    assert reply.json()["error"] == error
    assert reply.json()["error_description"]


@pytest.mark.parametrize("body", ["", "[]", "{", '"x"', "{" * 5000, '{"grant_type": ["password"]}'])
def test_bodies_that_are_no_parameters(body: str) -> None:
    reply = Client().post("/oauth/token", body, content_type="application/json")
    assert reply.status_code == 400
    assert reply.json()["error"] == "invalid_request"


def test_other_methods() -> None:
    for method in ("get", "put", "delete"):
        assert getattr(Client(), method)("/oauth/token").status_code == 405


def test_blocked_users(ann: User) -> None:
    refresh = password_grant().json()["refresh_token"]
    block_user(ann)
    assert password_grant().json()["error"] == "invalid_grant"
    assert token(grant_type="refresh_token", refresh_token=refresh).json()["error"] == "invalid_grant"


def test_locked_out(ann: User) -> None:
    del ann
    for _ in range(settings.AXES_FAILURE_LIMIT):
        password_grant(password="wrong")
    reply = password_grant()
    assert reply.status_code == 429
    assert reply.json()["error"] == "slow_down"


def test_refresh(ann: User) -> None:
    del ann
    old = password_grant(scope="read_user").json()
    new = token(grant_type="refresh_token", refresh_token=old["refresh_token"]).json()
    assert new["scope"] == "read_user"
    assert find_oauth_token(old["access_token"]) is None
    assert find_oauth_token(new["access_token"]) is not None
    again = token(grant_type="refresh_token", refresh_token=old["refresh_token"])
    assert again.json()["error"] == "invalid_grant"


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_revocation(ann: User, kind: str) -> None:
    del ann
    made = password_grant().json()
    for _ in range(2):
        reply = Client().post("/oauth/revoke", {"token": made[kind]})
        assert (reply.status_code, reply.json()) == (200, {})
    assert find_oauth_token(made["access_token"]) is None
    assert token(grant_type="refresh_token", refresh_token=made["refresh_token"]).status_code == 400


def test_revocation_of_nothing() -> None:
    assert Client().post("/oauth/revoke", {"token": "unknown"}).json() == {}
    assert Client().post("/oauth/revoke").json()["error"] == "invalid_request"


def test_info(ann: User) -> None:
    made = password_grant().json()
    reply = Client().get("/oauth/token/info", headers={"Authorization": f"Bearer {made['access_token']}"})
    body = reply.json()
    assert 0 < body.pop("expires_in") <= 7200
    assert body == {
        "resource_owner_id": ann.pk,
        "scope": ["api"],
        "application": {"uid": None},
        "created_at": made["created_at"],
    }


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic " + base64.b64encode(b"a:b").decode()])
def test_info_of_nothing(header: str) -> None:
    reply = Client().get("/oauth/token/info", headers={"Authorization": header})
    assert reply.status_code == 401
    assert reply.json()["error"] == "invalid_token"
    assert 'error="invalid_token"' in reply.headers["WWW-Authenticate"]
