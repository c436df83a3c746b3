"""Making, changing, blocking and deleting users.

Passwords are hashed before a transaction begins: that takes tens of milliseconds, in which nobody else could write.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import Q

from matou.portal.accounts.models import User
from matou.portal.namespaces.models import AccessLevel, Member
from matou.portal.namespaces.roles import in_force
from matou.portal.namespaces.rules import TAKEN, Problems, check_path
from matou.portal.namespaces.services import create_user_namespace, delete_user_namespace, rename_user_namespace

if TYPE_CHECKING:
    from django.db.models import QuerySet

LONGEST_NAME = 255
LONGEST_PASSWORD = 128  # characters, as in GitLab; bounds the work of hashing one


def create_user(
    *,
    username: str,
    name: str,
    email: str,
    password: str | None = None,
    is_admin: bool = False,
    is_bot: bool = False,
    can_create_group: bool = True,
) -> User:
    """Make a user, with its own namespace unless it is a bot.

    Args:
        username: a path that nobody has, in GitLab's form.
        name: to show.
        email: that nobody has.
        password: None for a user who cannot sign in with one.
        is_admin: may do everything.
        is_bot: stands for an access token of a project or group.
        can_create_group: may make top-level groups.

    Raises:
        ValidationError: by field; code ``unique`` where another has the value.
    """
    user = User(
        username=username,
        name=name.strip(),
        email=email.strip(),
        is_admin=is_admin,
        is_bot=is_bot,
        can_create_group=can_create_group and not is_bot,
    )
    problems = Problems()
    check_path(problems, "username", username, None)
    _check_username(problems, user)
    problems.add("name", _problem_of_name(user.name))
    problems.add("email", _problem_of_email(user))
    if password is not None:
        _check_password(problems, password, user)
    problems.raise_if_any()
    user.password = make_password(password)
    try:
        with transaction.atomic():
            user.save()
            if not is_bot:
                create_user_namespace(user)
    except IntegrityError as error:  # somebody else was quicker
        raise ValidationError({"username": [TAKEN]}) from error
    return user


def update_user(
    user: User,
    *,
    username: str | None = None,
    name: str | None = None,
    email: str | None = None,
    is_admin: bool | None = None,
    can_create_group: bool | None = None,
) -> User:
    """Change a user; None leaves a value as it is. Passwords have ``set_password``.

    Raises:
        ValidationError: by field; nothing is changed then.
    """
    problems = Problems()
    wanted = User(
        pk=user.pk,
        username=user.username if username is None else username,
        name=user.name if name is None else name.strip(),
        email=user.email if email is None else email.strip(),
        is_bot=user.is_bot,
    )
    if wanted.username != user.username:
        check_path(problems, "username", wanted.username, None, namespace=None if user.is_bot else user.namespace)
        _check_username(problems, wanted)
    if name is not None:
        problems.add("name", _problem_of_name(wanted.name))
    if email is not None:
        problems.add("email", _problem_of_email(wanted))
    if is_admin is False and _is_last_administrator(user):
        problems.add("admin", "cannot be taken from the last administrator")
    problems.raise_if_any()
    try:
        with transaction.atomic():
            user.username, user.name, user.email = wanted.username, wanted.name, wanted.email
            user.is_admin = user.is_admin if is_admin is None else is_admin
            user.can_create_group = user.can_create_group if can_create_group is None else can_create_group
            user.save(update_fields=["username", "name", "email", "is_admin", "can_create_group"])
            if not user.is_bot:
                rename_user_namespace(user)
    except IntegrityError as error:
        raise ValidationError({"username": [TAKEN]}) from error
    except ValidationError:
        user.refresh_from_db()
        raise
    return user


def set_password(user: User, password: str) -> None:
    """Give a user another password: sessions and OAuth tokens that the old one opened end; access tokens stay.

    Raises:
        ValidationError: it is too weak or too long (``password``), or the user is a bot.
    """
    if user.is_bot:
        raise ValidationError({"password": ["cannot be set: bots sign in with their token"]})
    problems = Problems()
    _check_password(problems, password, user)
    problems.raise_if_any()
    user.set_password(password)  # the hash is part of every session, so theirs end
    with transaction.atomic():
        user.save(update_fields=["password"])
        user.oauth_tokens.filter(revoked=False).update(revoked=True)


def block_user(user: User) -> None:
    """Let a user do nothing any more; its tokens are refused, and work again when it is unblocked.

    Raises:
        ValidationError: it is the last administrator.
    """
    _check_not_last_administrator(user, "blocked")
    user.is_active = False
    user.save(update_fields=["is_active"])


def unblock_user(user: User) -> None:
    """Let a blocked user in again."""
    user.is_active = True
    user.save(update_fields=["is_active"])


def delete_user(user: User) -> None:
    """Delete a user with its namespace, tokens and memberships; images of its projects are kept from others.

    Raises:
        ValidationError: it is the last administrator, or the only owner of a group.
    """
    _check_not_last_administrator(user, "deleted")
    alone = sole_groups(user)
    if alone:
        raise ValidationError(
            f"User cannot be removed: it is the only owner of {', '.join(alone)}. Give these groups another owner, or "
            "delete them, first.",
            code="sole_owner",
        )
    with transaction.atomic():
        if not user.is_bot:
            delete_user_namespace(user)
        user.delete()


def sole_groups(user: User) -> list[str]:
    """Return the full paths of the groups whose only owner a user is."""
    owned = Member.objects.filter(in_force(), user=user, access_level=AccessLevel.OWNER, group__isnull=False)
    return [
        member.group.full_path
        for member in owned.select_related("group")
        if member.group is not None
        and not Member.objects.filter(
            in_force(), group__in=member.group.lineage_ids, access_level=AccessLevel.OWNER, user__is_active=True
        )
        .exclude(user=user)
        .exists()
    ]


def find_user_by_login(login: str) -> User | None:
    """Return the user with a user name or e-mail address, whatever its case; blocked ones and bots, too."""
    return User.objects.filter(Q(username__iexact=login) | Q(email__iexact=login)).first()


def _check_password(problems: Problems, password: str, user: User) -> None:
    if len(password) > LONGEST_PASSWORD:
        problems.add("password", f"is too long (maximum is {LONGEST_PASSWORD} characters)")
        return
    try:
        validate_password(password, user)
    except ValidationError as error:
        for message in error.messages:
            problems.add("password", message)


def _problem_of_name(name: str) -> str | None:
    if not name:
        return "can't be blank"
    if len(name) > LONGEST_NAME:
        return f"is too long (maximum is {LONGEST_NAME} characters)"
    if any(character in "<>" or unicodedata.category(character) in {"Cc", "Cs"} for character in name):
        return "cannot contain < or > or control characters"
    return None


def _problem_of_email(user: User) -> str | None:
    if not user.email:
        return "can't be blank"
    if len(user.email) > LONGEST_NAME:
        return f"is too long (maximum is {LONGEST_NAME} characters)"
    try:
        validate_email(user.email)
    except ValidationError:
        return "is invalid"
    return TAKEN if _others(user).filter(email__iexact=user.email).exists() else None


def _check_username(problems: Problems, user: User) -> None:
    """Refuse a bot's name, which has no route; those of others are seen there."""
    if _others(user).filter(username__iexact=user.username, is_bot=True).exists():
        problems.add("username", TAKEN)


def _others(user: User) -> QuerySet[User]:
    return User.objects.exclude(pk=user.pk) if user.pk else User.objects.all()


def _is_last_administrator(user: User) -> bool:
    others = User.objects.filter(is_admin=True, is_active=True, is_bot=False).exclude(pk=user.pk)
    return user.is_admin and user.is_active and not others.exists()


def _check_not_last_administrator(user: User, what: str) -> None:
    if _is_last_administrator(user):
        raise ValidationError(f"The last administrator cannot be {what}.", code="last_administrator")
