from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from matou.portal.accounts.models import User
from matou.portal.accounts.services import (
    block_user,
    create_user,
    delete_user,
    find_user_by_login,
    set_password,
    unblock_user,
    update_user,
)
from matou.portal.images.models import ContainerRepository
from matou.portal.namespaces.models import Namespace, Project, Route
from matou.portal.namespaces.services import create_project, find_project_by_path
from matou.portal.tokens.services import create_oauth_token
from tests.unit.portal.things import PASSWORD, group, member, project, user

pytestmark = pytest.mark.django_db


def new(**values: Any) -> User:
    return create_user(
        **({"username": "ann", "name": "Ann", "email": "ann@example.com", "password": PASSWORD} | values)
    )


def test_a_user_has_a_namespace_and_a_route() -> None:
    ann = new(username="Ann.B")
    assert ann.check_password(PASSWORD)
    assert (ann.namespace.full_path, ann.namespace.kind) == ("Ann.B", "user")
    assert ann.namespace.lineage_ids == [ann.namespace.pk]
    assert Route.objects.get(path="ann.b").namespace == ann.namespace


def test_a_bot_has_no_namespace_and_no_password() -> None:
    bot = new(is_bot=True, password=None)
    assert not bot.has_usable_password()
    assert not Namespace.objects.filter(owner=bot).exists()
    assert not Route.objects.exists()
    with pytest.raises(ValidationError, match="bots sign in"):
        set_password(bot, PASSWORD)


@pytest.mark.parametrize(
    ("values", "field", "problem"),
    [
        ({"username": ""}, "username", "can't be blank"),
        ({"username": "a" * 256}, "username", "too long"),
        ({"username": "a b"}, "username", "can only include"),
        ({"username": "-a"}, "username", "can only include"),
        ({"username": "a.git"}, "username", "can only include"),
        ({"username": "a.ATOM"}, "username", "can only include"),
        ({"username": "a."}, "username", "can only include"),
        ({"username": "_a"}, "username", "can only include"),
        ({"username": "a-"}, "username", "can only include"),
        ({"username": "a..b"}, "username", "can only include"),
        ({"username": "a___b"}, "username", "can only include"),
        ({"username": "码头"}, "username", "can only include"),
        ({"username": "a\n"}, "username", "can only include"),
        ({"username": "a/b"}, "username", "can only include"),
        ({"username": "API"}, "username", "reserved name"),
        ({"username": "jwt"}, "username", "reserved name"),
        ({"username": "TAKEN"}, "username", "already been taken"),
        ({"username": "Some-Group"}, "username", "already been taken"),
        ({"name": "  "}, "name", "can't be blank"),
        ({"name": "x" * 256}, "name", "too long"),
        ({"name": "<b>"}, "name", "cannot contain"),
        ({"name": "a\x00"}, "name", "cannot contain"),
        ({"email": ""}, "email", "can't be blank"),
        ({"email": "nobody"}, "email", "is invalid"),
        ({"email": "Taken@Example.com"}, "email", "already been taken"),
        ({"password": "short1!"}, "password", "too short"),
        ({"password": "password123"}, "password", "too common"),
        ({"password": "ann@example.com"}, "password", "too similar"),
        ({"password": "x7" * 65}, "password", "too long"),
    ],
)
def test_what_a_user_cannot_have(values: dict[str, str], field: str, problem: str) -> None:
    user("taken")
    group("some-group")
    with pytest.raises(ValidationError) as raised:
        new(**values)
    assert list(raised.value.message_dict) == [field]
    assert problem in raised.value.message_dict[field][0]
    assert not User.objects.filter(email="ann@example.com").exists()


def test_several_problems_are_told_together() -> None:
    with pytest.raises(ValidationError) as raised:
        new(username="-", email="x", password="1")
    assert set(raised.value.message_dict) == {"username", "email", "password"}


@pytest.mark.parametrize("login", ["ann", "ANN", "ann@example.com", "Ann@Example.COM"])
def test_users_are_found_by_name_and_email(login: str) -> None:
    ann = new()
    assert find_user_by_login(login) == ann
    assert find_user_by_login(login + "x") is None


def test_renaming_takes_the_projects_along() -> None:
    ann, other = new(), user("annabel")
    project(ann.namespace, "Tools")
    project(other.namespace, "tools")
    update_user(ann, username="Bob", name="Bob")
    assert find_project_by_path("bob/tools") is not None
    assert find_project_by_path("ann/tools") is None
    moved = Project.objects.get(path="Tools")
    assert moved.full_path == "Bob/Tools"
    assert Namespace.objects.get(owner=ann).full_path == "Bob"
    assert Namespace.objects.get(owner=ann).name == "Bob"
    assert find_project_by_path("annabel/tools") is not None


def test_a_name_may_change_its_case() -> None:
    ann = new()
    update_user(ann, username="ANN", email="ANN@example.com")
    assert User.objects.get(pk=ann.pk).username == "ANN"
    assert Route.objects.get(path="ann").namespace == ann.namespace


def test_images_keep_a_user_from_being_renamed() -> None:
    ann = new()
    ContainerRepository.objects.create(project=project(ann.namespace, "tools"))
    with pytest.raises(ValidationError, match="has images in the registry"):
        update_user(ann, username="bob")
    assert User.objects.get(pk=ann.pk).username == "ann"


def test_images_of_a_deleted_user_are_not_those_of_the_next_with_the_name() -> None:
    ann = new()
    ContainerRepository.objects.create(project=project(ann.namespace, "tools"))
    delete_user(ann)
    again = new()
    with pytest.raises(ValidationError, match="kept for the images of a deleted project"):
        create_project(creator=again, namespace=again.namespace, name="tools", path="tools")


def test_the_last_administrator_stays() -> None:
    ann = new(is_admin=True)
    blocked = user("blocked", is_admin=True)
    block_user(blocked)
    for deed in (block_user, delete_user, lambda one: update_user(one, is_admin=False)):
        with pytest.raises(ValidationError, match="last administrator"):
            deed(ann)
    unblock_user(blocked)
    block_user(ann)
    assert not User.objects.get(pk=ann.pk).is_active


def test_the_only_owner_of_a_group_stays() -> None:
    ann, bob = new(), user("bob")
    team = group("team")
    below = group("below", parent=team)
    member(ann, team, 50)
    member(ann, below, 50)
    with pytest.raises(ValidationError, match="only owner of team, team/below"):
        delete_user(ann)
    member(bob, team, 50)
    delete_user(ann)
    assert not User.objects.filter(username="ann").exists()
    assert not Route.objects.filter(path="ann").exists()


def test_an_expired_owner_does_not_count() -> None:
    ann, bob = new(), user("bob")
    team = group("team")
    member(ann, team, 50)
    member(bob, team, 50, expires_at=timezone.now().date())
    with pytest.raises(ValidationError, match="only owner"):
        delete_user(ann)


def test_another_password_ends_oauth_tokens_and_sessions() -> None:
    ann = new()
    token, _, _ = create_oauth_token(ann)
    session = ann.get_session_auth_hash()
    set_password(ann, "another-wharf-31")
    token.refresh_from_db()
    assert token.revoked
    assert User.objects.get(pk=ann.pk).check_password("another-wharf-31")
    assert ann.get_session_auth_hash() != session


def test_a_weak_password_changes_nothing() -> None:
    ann = new()
    with pytest.raises(ValidationError) as raised:
        set_password(ann, "1234")
    assert "password" in raised.value.message_dict
    assert User.objects.get(pk=ann.pk).check_password(PASSWORD)
