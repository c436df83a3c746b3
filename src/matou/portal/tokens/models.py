"""Tokens, of which only digests are kept: a copy of the database lets nobody in."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from matou.portal.namespaces.models import Namespace, Project

DIGEST_LENGTH = 64


def digest_of(secret: str) -> str:
    """Return what is kept of a token's secret: SHA-256, as secrets have more than 128 random bits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


class AccessToken(models.Model):
    """A personal access token; with ``project`` or ``group`` the access token of that, whose user is a bot.

    Attributes:
        digest: of the secret.
        scopes: GitLab's names.
        expires_at: the day from which on it is refused (UTC), or None.
        last_used_at: UTC, to ten minutes.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, related_name="access_tokens", on_delete=models.CASCADE)
    project = models.ForeignKey(Project, null=True, related_name="access_tokens", on_delete=models.CASCADE)
    group = models.ForeignKey(Namespace, null=True, related_name="access_tokens", on_delete=models.CASCADE)
    name = models.CharField(max_length=255)
    description = models.CharField(max_length=255, default="", blank=True)
    digest = models.CharField(max_length=DIGEST_LENGTH, unique=True)
    scopes = models.JSONField(default=list)
    revoked = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateField(null=True)
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        """Constraints."""

        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(group=None) | Q(project=None), name="access_token_of_one_thing"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= timezone.now().date()

    @property
    def active(self) -> bool:
        """Whether it is accepted, as far as it depends on the token."""
        return not self.revoked and not self.expired


class DeployToken(models.Model):
    """A token for machines that pull from or push to a project, or to all projects of a group.

    Attributes:
        username: to log in with; unique.
        expires_at: UTC, or None.
    """

    project = models.ForeignKey(Project, null=True, related_name="deploy_tokens", on_delete=models.CASCADE)
    group = models.ForeignKey(Namespace, null=True, related_name="deploy_tokens", on_delete=models.CASCADE)
    creator = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, related_name="+", on_delete=models.SET_NULL)
    name = models.CharField(max_length=255)
    username = models.CharField(max_length=255)
    digest = models.CharField(max_length=DIGEST_LENGTH, unique=True)
    scopes = models.JSONField(default=list)
    revoked = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True)

    class Meta:
        """Constraints."""

        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(group=None) ^ Q(project=None), name="deploy_token_of_one_thing"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= timezone.now()

    @property
    def active(self) -> bool:
        """Whether it is accepted."""
        return not self.revoked and not self.expired


class JobToken(models.Model):
    """The token of one job of an external CI system; acts as ``user`` in ``project``.

    Attributes:
        expires_at: when the job has to be over (UTC).
        revoked: the job has ended.
    """

    project = models.ForeignKey(Project, related_name="job_tokens", on_delete=models.CASCADE)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, related_name="job_tokens", on_delete=models.CASCADE)
    digest = models.CharField(max_length=DIGEST_LENGTH, unique=True)
    revoked = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"job {self.pk} of {self.project}"

    @property
    def active(self) -> bool:
        """Whether the job still runs."""
        return not self.revoked and self.expires_at > timezone.now()


class OAuthToken(models.Model):
    """What ``POST /oauth/token`` gave out.

    Attributes:
        refresh_digest: of the secret that gets another one.
        lifetime: seconds from ``created_at``.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, related_name="oauth_tokens", on_delete=models.CASCADE)
    digest = models.CharField(max_length=DIGEST_LENGTH, unique=True)
    refresh_digest = models.CharField(max_length=DIGEST_LENGTH, unique=True)
    scopes = models.JSONField(default=list)
    revoked = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)
    lifetime = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"OAuth token {self.pk} of {self.user}"

    @property
    def expires_at(self) -> dt.datetime:
        """When its time is over (UTC)."""
        return self.created_at + dt.timedelta(seconds=self.lifetime)

    @property
    def active(self) -> bool:
        """Whether it is accepted, as far as it depends on the token."""
        return not self.revoked and self.expires_at > timezone.now()
