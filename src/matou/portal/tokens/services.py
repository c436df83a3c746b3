"""Making, rotating and revoking tokens of every kind.

A secret is told once, by the function that makes it; the database has its digest only.
"""

from __future__ import annotations

import datetime as dt
import re
import secrets
from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, Q
from django.utils import timezone

from matou.portal.accounts.services import create_user
from matou.portal.namespaces.models import AccessLevel, Member, Namespace, Project
from matou.portal.namespaces.roles import group_role, project_role
from matou.portal.tokens.models import AccessToken, DeployToken, JobToken, OAuthToken, digest_of
from matou.portal.tokens.scopes import (
    ADMINISTRATORS_SCOPES,
    DEFAULT_OAUTH_SCOPES,
    DEPLOY_SCOPES,
    OAUTH_SCOPES,
    PERSONAL_SCOPES,
    RESOURCE_SCOPES,
    check_scopes,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matou.portal.accounts.models import User

ACCESS_PREFIX = "glpat-"
DEPLOY_PREFIX = "gldt-"
JOB_PREFIX = "glcbt-"
RANDOM_BYTES = 20  # 160 bits: 27 characters
LONGEST_NAME = 255
OAUTH_LIFETIME = dt.timedelta(hours=2)
REFRESH_LIFETIME = dt.timedelta(days=90)  # a refresh token that was not used for so long is refused
LONGEST_JOB = dt.timedelta(days=30)

_DEPLOY_USERNAME = re.compile(r"[a-zA-Z0-9_+.@-]+")


def create_access_token(
    *,
    user: User,
    name: str,
    scopes: Iterable[str],
    expires_at: dt.date | None,
    description: str = "",
    project: Project | None = None,
    group: Namespace | None = None,
) -> tuple[AccessToken, str]:
    """Make a personal access token, or one more of a project's or group's bot.

    Args:
        user: as whom it acts.
        name: to tell tokens apart.
        scopes: GitLab's names.
        expires_at: the day (UTC) from which on it is refused; None for never.
        description: what it is for.
        project: whose access token it is.
        group: as ``project``.

    Returns:
        The token and its secret.

    Raises:
        ValidationError: by field.
    """
    known = PERSONAL_SCOPES if project is None and group is None else RESOURCE_SCOPES
    checked = check_scopes(scopes, known, is_admin=user.is_admin)
    _check_name(name)
    _check_text(description, "description")
    if expires_at is not None and expires_at <= timezone.now().date():
        raise ValidationError({"expires_at": ["must be a date in the future"]})
    secret = _secret(ACCESS_PREFIX)
    token = AccessToken.objects.create(
        user=user,
        project=project,
        group=group,
        name=name,
        description=description,
        digest=digest_of(secret),
        scopes=checked,
        expires_at=expires_at,
    )
    return token, secret


def create_resource_token(
    *,
    creator: User,
    project: Project | None = None,
    group: Namespace | None = None,
    name: str,
    scopes: Iterable[str],
    access_level: int,
    expires_at: dt.date | None,
    description: str = "",
) -> tuple[AccessToken, str]:
    """Make an access token of a project or group, with the bot that it acts as.

    Args:
        creator: may give the bot no higher role than its own.
        project: either this or ``group``.
        group: either this or ``project``.
        name: of the token and of its bot.
        scopes: GitLab's names.
        access_level: the bot's role.
        expires_at: as in ``create_access_token``; the bot's membership ends with it.
        description: what it is for.

    Raises:
        ValidationError: by field.
    """
    kind, owner_id, role = _resource(creator, project, group)
    if access_level not in AccessLevel.values:
        raise ValidationError({"access_level": ["is not included in the list"]})
    if access_level > role and not creator.is_admin:
        raise ValidationError({"access_level": [f"cannot be higher than your own role ({role})"]})
    with transaction.atomic():
        username = f"{kind}_{owner_id}_bot_{secrets.token_hex(16)}"
        _check_name(name)
        bot = create_user(
            username=username,
            name=re.sub(r"[<>]", "", name).strip() or username,
            email=f"{username}@noreply.invalid",  # a name that nobody can ever have: RFC 2606
            is_bot=True,
        )
        Member.objects.create(
            user=bot,
            project=project,
            group=group,
            access_level=access_level,
            created_by=creator,
            expires_at=expires_at,
        )
        return create_access_token(
            user=bot,
            name=name,
            scopes=scopes,
            expires_at=expires_at,
            description=description,
            project=project,
            group=group,
        )


def create_deploy_token(
    *,
    creator: User | None,
    project: Project | None = None,
    group: Namespace | None = None,
    name: str,
    scopes: Iterable[str],
    username: str | None = None,
    expires_at: dt.datetime | None = None,
) -> tuple[DeployToken, str]:
    """Make a deploy token of a project or group.

    Args:
        creator: who made it.
        project: either this or ``group``.
        group: either this or ``project``.
        name: to tell tokens apart.
        scopes: GitLab's names.
        username: to log in with; ``gitlab+deploy-token-<id>`` unless given.
        expires_at: UTC; None for never.

    Raises:
        ValidationError: by field.
    """
    if (project is None) == (group is None):
        raise ValueError("a deploy token is of a project or of a group")
    checked = check_scopes(scopes, DEPLOY_SCOPES, is_admin=False)
    _check_name(name)
    if username and (len(username) > LONGEST_NAME or not _DEPLOY_USERNAME.fullmatch(username)):
        raise ValidationError(
            {"username": ["can contain only letters, digits, '_', '-', '+', '@' and '.'; at most 255 of them"]}
        )
    if expires_at is not None and expires_at <= timezone.now():
        raise ValidationError({"expires_at": ["must be in the future"]})
    secret = _secret(DEPLOY_PREFIX)
    with transaction.atomic():
        token = DeployToken.objects.create(
            project=project,
            group=group,
            creator=creator,
            name=name,
            username=username or "",
            digest=digest_of(secret),
            scopes=checked,
            expires_at=expires_at,
        )
        if not username:
            token.username = f"gitlab+deploy-token-{token.pk}"
            token.save(update_fields=["username"])
    return token, secret


def create_job_token(*, project: Project, user: User, lifetime: dt.timedelta) -> tuple[JobToken, str]:
    """Make the token of a job that is about to begin.

    Args:
        project: whose images the job may push.
        user: as whom it acts.
        lifetime: after which the job is taken to be over.

    Raises:
        ValidationError: the lifetime is not positive, or longer than thirty days.
    """
    if not dt.timedelta(0) < lifetime <= LONGEST_JOB:
        raise ValidationError({"expires_in": [f"must be between 1 and {int(LONGEST_JOB.total_seconds())} seconds"]})
    secret = _secret(JOB_PREFIX)
    token = JobToken.objects.create(
        project=project, user=user, digest=digest_of(secret), expires_at=timezone.now() + lifetime
    )
    return token, secret


def create_oauth_token(user: User, scopes: Iterable[str] = DEFAULT_OAUTH_SCOPES) -> tuple[OAuthToken, str, str]:
    """Make an OAuth access token with its refresh token.

    Returns:
        The token, its secret, and the secret of its refresh token.

    Raises:
        ValidationError: field ``scopes``.
    """
    checked = check_scopes(scopes, OAUTH_SCOPES, is_admin=user.is_admin)
    secret, refresh_secret = secrets.token_hex(32), secrets.token_hex(32)  # hexadecimal, as GitLab's are
    token = OAuthToken.objects.create(
        user=user,
        digest=digest_of(secret),
        refresh_digest=digest_of(refresh_secret),
        scopes=checked,
        lifetime=int(OAUTH_LIFETIME.total_seconds()),
    )
    return token, secret, refresh_secret


def refresh_oauth_token(refresh_secret: str) -> tuple[OAuthToken, str, str] | None:
    """Exchange a refresh token, once, for another pair; the old access token ends.

    Returns:
        As ``create_oauth_token``; None when the refresh token is unknown, used, too old, or its user blocked.
    """
    usable = Q(
        refresh_digest=digest_of(refresh_secret),
        revoked=False,
        user__is_active=True,
        created_at__gt=timezone.now() - REFRESH_LIFETIME,
    )
    with transaction.atomic():
        old = OAuthToken.objects.filter(usable).select_related("user").first()
        # Whoever revokes it is the one who may exchange it: two at once get one pair.
        if old is None or not OAuthToken.objects.filter(pk=old.pk, revoked=False).update(revoked=True):
            return None
        scopes = [scope for scope in old.scopes if old.user.is_admin or scope not in ADMINISTRATORS_SCOPES]
        return create_oauth_token(old.user, scopes or DEFAULT_OAUTH_SCOPES)


def revoke(token: AccessToken | DeployToken | JobToken | OAuthToken) -> None:
    """Refuse a token from now on; with the last access token of a bot its membership ends, too."""
    with transaction.atomic():
        token.revoked = True
        token.save(update_fields=["revoked"])
        if isinstance(token, AccessToken) and token.user.is_bot:
            others = AccessToken.objects.filter(user=token.user, revoked=False)
            Member.objects.filter(~Exists(others), user=token.user).delete()


def rotate(token: AccessToken, expires_at: dt.date | None) -> tuple[AccessToken, str]:
    """Replace an access token by one like it with another secret; the old one is refused from now on.

    Args:
        token: personal, or of a project or group; active.
        expires_at: of the new one; the membership of a bot is prolonged.

    Returns:
        The new token and its secret.

    Raises:
        ValidationError: the token is revoked or expired, or the date is not in the future.
    """
    if not token.active:
        raise ValidationError("Token already revoked" if token.revoked else "Token already expired")
    with transaction.atomic():
        if not AccessToken.objects.filter(pk=token.pk, revoked=False).update(revoked=True):
            raise ValidationError("Token already revoked")
        new, secret = create_access_token(
            user=token.user,
            name=token.name,
            scopes=token.scopes,
            expires_at=expires_at,
            description=token.description,
            project=token.project,
            group=token.group,
        )
        if token.user.is_bot:
            Member.objects.filter(user=token.user).update(expires_at=expires_at)
    token.revoked = True
    return new, secret


def forget_dead_tokens() -> int:
    """Delete OAuth and job tokens that can never be used again; return how many."""
    now = timezone.now()
    oauth, _ = OAuthToken.objects.filter(Q(revoked=True) | Q(created_at__lte=now - REFRESH_LIFETIME)).delete()
    jobs, _ = JobToken.objects.filter(expires_at__lte=now - LONGEST_JOB).delete()
    return oauth + jobs


def _resource(creator: User, project: Project | None, group: Namespace | None) -> tuple[str, int, int]:
    """Return the kind and id of what a token is for, and the creator's role there."""
    if project is not None and group is None:
        return "project", project.pk, project_role(creator, project)
    if group is not None and project is None and group.owner_id is None:
        return "group", group.pk, group_role(creator, group)
    raise ValueError("an access token of this kind is of a project or of a group")


def _secret(prefix: str) -> str:
    return prefix + secrets.token_urlsafe(RANDOM_BYTES)


def _check_name(name: str) -> None:
    if not name.strip():
        raise ValidationError({"name": ["can't be blank"]})
    _check_text(name, "name")


def _check_text(text: str, field: str) -> None:
    if len(text) > LONGEST_NAME:
        raise ValidationError({field: [f"is too long (maximum is {LONGEST_NAME} characters)"]})
