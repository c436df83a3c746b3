"""``/jwt/auth`` as a protocol: parameters, bodies, claims, refusals."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings
from django.db import OperationalError
from django.db.models import QuerySet
from django.test import Client
from django.utils import timezone

from matou.portal.accounts.password_line import LineTooLongError, PasswordLine
from matou.portal.images.registry_tokens import internal_token
from matou.portal.tokens.services import create_access_token, create_deploy_token
from tests.unit.portal.images.asking import SERVICE, ask, basic, pull, push, read
from tests.unit.portal.things import PASSWORD, group, member, project, user

if TYPE_CHECKING:
    from pytest_django import DjangoAssertNumQueries

    from matou.portal.accounts.models import User

pytestmark = pytest.mark.django_db

REFUSED = (
    "HTTP Basic: Access denied. The provided password or token is incorrect or your account has 2FA enabled and you "
    "must use a personal access token instead of a password. See http://127.0.0.1:8080/help/authentication"
)


@pytest.fixture
def ann() -> User:
    ann = user("ann")
    member(ann, project(group("team"), "app"), 30)
    return ann


def token_of(who: User, *scopes: str) -> str:
    return create_access_token(user=who, name="x", scopes=scopes or ["api"], expires_at=None)[1]


def test_claims(ann: User) -> None:
    before = int(timezone.now().timestamp())
    answer = ask(push("team/app"), login=("ann", token_of(ann)))
    after = int(timezone.now().timestamp())
    claims = answer.claims
    nested = read(claims.pop("user"))
    for found in (claims, nested):
        issued = found.pop("iat")
        assert before <= issued <= after
        assert found.pop("nbf") == issued - 5
        assert found.pop("exp") == issued + 300
        assert len(found.pop("jti")) == 36
        assert found.pop("iss") == "gitlab-issuer"
    where = ann.memberships.get().project
    assert where is not None
    assert claims == {
        "aud": "container_registry",
        "sub": "ann",
        "auth_type": "personal_access_token",
        "access": [
            {
                "type": "repository",
                "name": "team/app",
                "actions": ["pull", "push"],
                "meta": {
                    "project_path": "team/app",
                    "project_id": where.pk,
                    "root_namespace_id": where.namespace_id,
                },
            }
        ],
    }
    assert nested == {"user_info": {"token_type": "personal_access_token", "username": "ann", "user_id": ann.pk}}
    assert answer.body["access_token"] == answer.body["token"]
    assert answer.body["expires_in"] == 300
    assert set(answer.body) == {"token", "access_token", "expires_in", "issued_at"}
    assert "no-store" in answer.headers["Cache-Control"]


def test_claims_of_deploy_tokens(ann: User) -> None:
    del ann
    where = project(group("other"), "App", visibility="private")
    token, secret = create_deploy_token(creator=None, project=where, name="x", scopes=["read_registry"])
    claims = ask(pull("other/app"), login=(token.username, secret)).claims
    assert "sub" not in claims
    assert claims["access"][0]["meta"]["project_path"] == "other/app"
    assert read(claims["user"])["user_info"] == {
        "token_type": "deploy_token", "username": token.username, "deploy_token_id": token.pk
    }  # fmt: skip


def test_claims_of_anonymous_callers() -> None:
    project(group("open", visibility="public"), "app", visibility="public")
    claims = ask(pull("open/app")).claims
    assert claims["auth_type"] == "none"
    assert {"sub", "user"}.isdisjoint(claims)


@pytest.mark.parametrize("path", ["/jwt/auth", "/v2/token"])
def test_logging_in_without_a_scope(ann: User, path: str) -> None:
    answer = ask(login=("ann", token_of(ann)), path=path, account="ann", client_id="docker", offline_token="true")
    assert answer.status == 200
    assert answer.claims["access"] == []
    assert "refresh_token" not in answer.body


def test_anonymous_callers_without_a_scope() -> None:
    answer = ask()
    assert answer.status == 403
    assert answer.error == ("DENIED", "access forbidden")


@pytest.mark.parametrize("service", ["", "dependency_proxy", "Container_Registry"])
def test_unknown_services(service: str) -> None:
    answer = ask(service=service)
    assert answer.status == 404
    assert answer.body == b""


def test_a_missing_service() -> None:
    assert Client().get("/jwt/auth").status_code == 404


@pytest.mark.parametrize(
    "scopes",
    [
        ("repository:team/app:pull", "repository:team/app:push"),
        ("repository:team/app:pull repository:team/app:push",),
        ("repository:team/app:push,pull", "repository:TEAM/App:pull"),
    ],
)
def test_scopes_on_one_repository_are_joined(ann: User, scopes: tuple[str, ...]) -> None:
    answer = ask(*scopes, login=("ann", token_of(ann)))
    assert {name: sorted(actions) for name, actions in answer.access.items()} == {"team/app": ["pull", "push"]}


@pytest.mark.parametrize(
    "scope",
    [
        "nonsense",
        "repository",
        "repository:team/app",
        "repository:team/app:",
        "repository::pull",
        "repository:app:pull",
        "repository:team:pull",
        "repository:team/none:pull",
        "repository:team/app/a/b/c:pull",
        "repository:team//app:pull",
        "repository:/team/app:pull",
        "repository:../team/app:pull",
        "repository:team/app%2f:pull",
        "repository:host:5000/team/app:pull",
        "repository:team/app_:pull",
        "repository:" + "team/app/" + "a" * 300 + ":pull",
        "repository(plugin):team/app:pull",
        "plugin:team/app:pull",
        "repository:team/app:admin",
        "repository:team/app:PULL",
        "registry:catalog:*",
        "registry:catalog:pull",
    ],
)
def test_scopes_that_give_nothing(ann: User, scope: str) -> None:
    answer = ask(scope, login=("ann", token_of(ann)))
    assert answer.status == 200
    assert answer.claims["access"] == []


def test_a_bad_scope_spoils_no_other(ann: User) -> None:
    answer = ask("nonsense repository:team/app:pull", "repository:x:y:z", login=("ann", token_of(ann)))
    assert answer.access == {"team/app": ["pull"]}


def test_unknown_actions_are_left_out(ann: User) -> None:
    assert ask("repository:team/app:pull,fly", login=("ann", token_of(ann))).access == {"team/app": ["pull"]}


@pytest.mark.parametrize(
    ("image", "found"),
    [
        ("team/app", True),
        ("team/app/a", True),
        ("team/app/a/b", True),
        ("team/app/a/b/c", False),
        ("team/app-2", False),
        ("team", False),
    ],
)
def test_images_have_at_most_two_more_levels_than_their_project(ann: User, image: str, *, found: bool) -> None:
    assert bool(ask(pull(image), login=("ann", token_of(ann))).access) is found


def test_more_scopes_than_one_request_may_have(ann: User) -> None:
    answer = ask(*[f"repository:team/app{number}:pull" for number in range(201)], login=("ann", token_of(ann)))
    assert answer.status == 400
    assert "more than 200 scopes" in answer.error[1]


@pytest.mark.parametrize(("is_admin", "scopes", "wanted"), [
    (True, ["api"], {"catalog": ["*"]}),
    (True, ["read_registry"], {}),
    (False, ["api"], {}),
])  # fmt: skip
def test_the_catalogue_is_for_administrators(
    scopes: list[str], wanted: dict[str, list[str]], *, is_admin: bool
) -> None:
    secret = token_of(user("boss", is_admin=is_admin), *scopes)
    assert ask("registry:catalog:*", login=("boss", secret)).access == wanted


@pytest.mark.parametrize("scope", ["registry:catalog:*,pull", "registry:catalog:pull", "registry:other:*"])
def test_other_scopes_of_the_registry_are_nobodys(scope: str) -> None:
    assert ask(scope, login=("boss", token_of(user("boss", is_admin=True)))).access == {}


@pytest.mark.parametrize(
    "header",
    [
        basic("ann", "wrong"),
        basic("ann", ""),
        basic("nobody", PASSWORD),
        basic("", PASSWORD),
        basic("ann", "glpat-" + "x" * 27),
        basic("ann", "x" * 200),
        basic("ann\0", PASSWORD),
        basic("a" * 300, PASSWORD),
        basic("gitlab-ci-token", PASSWORD),
        basic("oauth2", PASSWORD),
        basic("码头", "密码"),
        "Basic",
        "Basic ====",
        "Basic YW5u",  # no colon
        "Basic /////w==",  # no UTF-8
        "basic " + basic("ann", "wrong").partition(" ")[2],
    ],
)
def test_bad_credentials(ann: User, header: str) -> None:
    del ann
    response = Client().get(f"/jwt/auth?service={SERVICE}", headers={"Authorization": header})
    assert response.status_code == 401
    assert response.json() == {"errors": [{"code": "UNAUTHORIZED", "message": REFUSED}]}
    assert response.headers["WWW-Authenticate"].startswith("Basic ")


def test_other_schemes_are_anonymous() -> None:
    project(group("open", visibility="public"), "app", visibility="public")
    response = Client().get(
        "/jwt/auth", {"service": SERVICE, "scope": pull("open/app")}, headers={"Authorization": "Bearer x"}
    )
    assert response.status_code == 200


def test_denials_are_logged_without_secrets(ann: User, caplog: pytest.LogCaptureFixture) -> None:
    secret = token_of(ann)
    with caplog.at_level(logging.INFO):
        ask("repository:team/app:pull,delete", login=("ann", secret))
        ask(login=("ann", "glpat-wrong"))
    assert "Denied container registry permissions: delete to team/app for ann" in caplog.text
    assert "authentication of 'ann' from 127.0.0.1 failed" in caplog.text
    assert secret not in caplog.text
    assert "glpat-wrong" not in caplog.text


def test_a_token_costs_few_queries(ann: User, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    login = ("ann", token_of(ann))
    ask(push("team/app"), login=login)
    with django_assert_max_num_queries(4):
        ask(push("team/app"), login=login)


def post(**form: Any) -> Any:
    return Client().post("/jwt/auth", {"service": SERVICE} | form)


def test_oauth2_form(ann: User) -> None:
    reply = post(
        grant_type="password", username="ann", password=token_of(ann), scope=push("team/app"), client_id="containerd"
    )
    assert reply.status_code == 200
    body = reply.json()
    assert read(body["access_token"])["sub"] == "ann"
    assert body["scope"] == "repository:team/app:pull,push"
    assert body["token_type"] == "Bearer"
    assert "refresh_token" not in body


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"grant_type": "password", "username": "ann", "password": "wrong"}, 401, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, 400, "invalid_grant"),
        ({"grant_type": "authorization_code", "code": "x"}, 400, "unsupported_grant_type"),
        ({"username": "ann", "password": "x"}, 400, "invalid_request"),
    ],
)
def test_oauth2_form_refused(ann: User, form: dict[str, str], status: int, error: str) -> None:
    del ann
    reply = post(**form)
    assert reply.status_code == status
    assert reply.json()["error"] == error
    assert reply.json()["error_description"] == reply.json()["errors"][0]["message"]


def test_oauth2_form_with_credentials_in_the_header(ann: User) -> None:
    headers = {"Authorization": basic("ann", token_of(ann))}
    reply = Client().post("/jwt/auth", {"service": SERVICE, "grant_type": "password"}, headers=headers)
    assert reply.status_code == 200


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_other_methods(method: str) -> None:
    reply = getattr(Client(), method)("/jwt/auth")
    assert reply.status_code == 405
    assert reply.headers["Allow"] == "GET, HEAD, POST, OPTIONS"
    assert reply.json()["errors"][0]["code"] == "UNSUPPORTED"


def test_options_and_head(ann: User) -> None:
    assert Client().options("/jwt/auth").status_code == 204
    headers = {"Authorization": basic("ann", token_of(ann))}
    assert Client().head("/jwt/auth", {"service": SERVICE}, headers=headers).status_code == 200


def test_wrong_passwords_lock_user_and_address_out(ann: User) -> None:
    secret = token_of(ann)
    for _ in range(settings.AXES_FAILURE_LIMIT):
        assert ask(login=("ann", "wrong")).status in (401, 429)
    for name in ("ann", "ANN", "ann@example.com"):
        answer = ask(login=(name, PASSWORD))
        assert answer.status == 429
        assert answer.error[0] == "TOOMANYREQUESTS"
        assert "try again in 10 minutes" in answer.error[1]
        assert answer.headers["Retry-After"] == "600"
    # Tokens, other users, and other addresses go on.
    assert ask(login=("ann", secret)).status == 200
    user("bob")
    assert ask(login=("bob", PASSWORD)).status == 200
    elsewhere = {"Authorization": basic("ann", PASSWORD)}
    reply = Client(REMOTE_ADDR="192.0.2.7").get("/jwt/auth", {"service": SERVICE}, headers=elsewhere)
    assert reply.status_code == 200


def test_a_right_password_forgets_the_wrong_ones(ann: User) -> None:
    del ann
    for _ in range(3):
        for _ in range(settings.AXES_FAILURE_LIMIT - 2):
            assert ask(login=("ann", "wrong")).status == 401
        assert ask(login=("ann", PASSWORD)).status == 200


def test_wrong_tokens_lock_nobody_out(ann: User) -> None:
    del ann
    for _ in range(settings.AXES_FAILURE_LIMIT + 1):
        for login in (("ann", "glpat-wrong"), ("gitlab-ci-token", "wrong"), ("gitlab+deploy-token-1", "gldt-wrong")):
            assert ask(login=login).status == 401
    assert ask(login=("ann", PASSWORD)).status == 200


def test_unknown_users_are_locked_out_as_well() -> None:
    statuses = {ask(login=("nobody", "wrong")).status for _ in range(settings.AXES_FAILURE_LIMIT)}
    assert statuses <= {401, 429}
    assert ask(login=("nobody", "wrong")).status == 429


def test_the_line_of_passwords_is_limited() -> None:
    line = PasswordLine(places=1, waiting=1, patience=30.0)
    inside, leave, finished = threading.Event(), threading.Event(), []

    def hold() -> None:
        with line.place():
            inside.set()
            leave.wait()

    def wait() -> None:
        with line.place():
            finished.append(True)

    holder, waiter = threading.Thread(target=hold), threading.Thread(target=wait)
    holder.start()
    assert inside.wait(10)
    waiter.start()
    while line._line._value:  # until the second one stands in line
        pass
    with pytest.raises(LineTooLongError), line.place():
        pass
    leave.set()
    holder.join()
    waiter.join()
    assert finished == [True]
    with line.place():
        pass


def test_nobody_waits_for_ever_for_a_password() -> None:
    line = PasswordLine(places=1, waiting=1, patience=0.01)
    with line.place(), pytest.raises(LineTooLongError), line.place():
        pass


def test_a_line_that_is_too_long_is_told(ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PasswordLine, "place", _full)
    answer = ask(login=("ann", PASSWORD))
    assert answer.status == 429
    assert "too many sign-ins" in answer.error[1]
    assert ask(login=("ann", token_of(ann))).status == 200


def _full(_line: PasswordLine) -> None:
    raise LineTooLongError


def test_a_full_disk_stops_no_pull(ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_values: object) -> None:
        raise OperationalError("database or disk is full")

    secret = token_of(ann)
    monkeypatch.setattr(QuerySet, "update", fail)
    monkeypatch.setattr(QuerySet, "create", fail)
    assert ask(pull("team/app"), login=("ann", secret)).access == {"team/app": ["pull"]}
    answer = ask(push("team/app"), login=("ann", secret))
    assert answer.status == 503
    assert answer.error[0] == "UNAVAILABLE"
    assert "disk is full" in answer.error[1]


def test_internal_tokens() -> None:
    claims = read(internal_token({"team/app": ["pull", "delete"], "team/app/*": ["pull"]}, catalog=True))
    assert claims["exp"] - claims["iat"] == 600
    assert claims["aud"] == SERVICE
    assert "sub" not in claims
    assert claims["access"] == [
        {"type": "repository", "name": "team/app", "actions": ["pull", "delete"]},
        {"type": "repository", "name": "team/app/*", "actions": ["pull"]},
        {"type": "registry", "name": "catalog", "actions": ["*"]},
    ]
