"""Users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

if TYPE_CHECKING:
    from matou.portal.namespaces.models import Namespace


class UserManager(BaseUserManager["User"]):
    """Finds users as people name them."""

    def get_by_natural_key(self, username: str | None) -> User:
        """Return the user of a name, whatever its case; Django's password backend asks this.

        Raises:
            User.DoesNotExist: there is none.
        """
        return self.get(username__iexact=username)


class User(AbstractBaseUser):
    """Somebody, or a bot that stands for an access token of a project or group.

    Attributes:
        username: to sign in with; unique whatever its case, and the path of the user's own namespace.
        name: to show.
        email: unique whatever its case; bots have one that nobody reads.
        is_admin: may do everything.
        is_active: False for blocked users, who may do nothing.
        is_bot: stands for a project's or group's access token and cannot sign in with a password.
        can_create_group: may make top-level groups.
        created_at: UTC.
    """

    username = models.CharField(max_length=255)
    name = models.CharField(max_length=255)
    email = models.EmailField(max_length=255)
    is_admin = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    is_bot = models.BooleanField(default=False)
    can_create_group = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects: ClassVar[UserManager] = UserManager()

    if TYPE_CHECKING:
        namespace: Namespace  # the reverse of Namespace.owner; every user who is no bot has one

    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name", "email"]

    class Meta:
        """Constraints."""

        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                Lower("username"), name="user_username", violation_error_message="has already been taken"
            ),
            models.UniqueConstraint(
                Lower("email"), name="user_email", violation_error_message="has already been taken"
            ),
        ]

    def __str__(self) -> str:
        return self.username

    @property
    def state(self) -> str:
        """GitLab's word: ``active`` or ``blocked``."""
        return "active" if self.is_active else "blocked"

    def has_perm(self, _permission: str, _thing: Any = None) -> bool:
        """Tell Django's own applications whether they may be used: by administrators alone."""
        return self.is_active and self.is_admin
