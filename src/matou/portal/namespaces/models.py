"""Namespaces (groups, and the one of each user), projects, routes and members."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from matou.portal.namespaces.paths import FULL_PATH_LENGTH, PATH_LENGTH

if TYPE_CHECKING:
    from matou.portal.accounts.models import User


class AccessLevel(models.IntegerChoices):
    """GitLab's roles."""

    GUEST = 10, _("Guest")
    PLANNER = 15, _("Planner")
    REPORTER = 20, _("Reporter")
    DEVELOPER = 30, _("Developer")
    MAINTAINER = 40, _("Maintainer")
    OWNER = 50, _("Owner")


class Visibility(models.TextChoices):
    """Who may see a group or project: its members, every user, or everybody."""

    PRIVATE = "private", _("Private")
    INTERNAL = "internal", _("Internal")
    PUBLIC = "public", _("Public")


class RegistryAccess(models.TextChoices):
    """The container registry of a project: for whoever sees the project, for members from Reporter up, or off."""

    ENABLED = "enabled", _("Everyone with access")
    PRIVATE = "private", _("Only project members")
    DISABLED = "disabled", _("Disabled")


class Namespace(models.Model):
    """A group, or the namespace of a user.

    Attributes:
        owner: the user whose namespace it is; None for groups.
        parent: the group that a subgroup is in.
        full_path: the paths from the top group down, with slashes between.
        lineage: the ids from the top group down to this one, each followed by a slash: ``1/5/9/``. What is below a
            namespace has a lineage that begins with the namespace's.
        visibility: of groups; user namespaces are public.
    """

    owner = models.OneToOneField(
        settings.AUTH_USER_MODEL, null=True, related_name="namespace", on_delete=models.CASCADE
    )
    parent = models.ForeignKey("self", null=True, related_name="children", on_delete=models.CASCADE)
    name = models.CharField(max_length=255)
    path = models.CharField(max_length=PATH_LENGTH)
    full_path = models.CharField(max_length=FULL_PATH_LENGTH)
    lineage = models.CharField(max_length=1024, db_index=True)
    description = models.TextField(default="", blank=True)
    visibility = models.CharField(max_length=8, choices=Visibility, default=Visibility.PRIVATE)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        """Constraints."""

        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(owner=None) | Q(parent=None), name="namespace_of_user_is_at_the_top"),
            models.UniqueConstraint(fields=["parent", "name"], name="namespace_name_once_a_group"),
        ]

    def __str__(self) -> str:
        return self.full_path

    @property
    def kind(self) -> str:
        """GitLab's word: ``group`` or ``user``."""
        return "group" if self.owner_id is None else "user"

    @property
    def lineage_ids(self) -> list[int]:
        """The ids from the top group down to this namespace."""
        return [int(part) for part in self.lineage.split("/") if part]


class Project(models.Model):
    """A project: where images live.

    Attributes:
        full_path: the namespace's, a slash and the project's path: the name that its images begin with.
        archived: can be pulled from, not pushed to.
        updated_at: of its settings or, later than that, of a push.
    """

    namespace = models.ForeignKey(Namespace, related_name="projects", on_delete=models.CASCADE)
    creator = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, related_name="+", on_delete=models.SET_NULL)
    name = models.CharField(max_length=255)
    path = models.CharField(max_length=PATH_LENGTH)
    full_path = models.CharField(max_length=FULL_PATH_LENGTH)
    description = models.TextField(default="", blank=True)
    visibility = models.CharField(max_length=8, choices=Visibility, default=Visibility.PRIVATE)
    container_registry_access_level = models.CharField(
        max_length=8, choices=RegistryAccess, default=RegistryAccess.ENABLED
    )
    archived = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        """Constraints."""

        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["namespace", "name"], name="project_name_once_a_namespace"),
        ]

    def __str__(self) -> str:
        return self.full_path


class Route(models.Model):
    """Who has a full path. Groups, users and projects share one space of paths, whatever their case.

    Attributes:
        path: the full path in lower case.
    """

    path = models.CharField(max_length=FULL_PATH_LENGTH, unique=True)
    namespace = models.OneToOneField(Namespace, null=True, related_name="route", on_delete=models.CASCADE)
    project = models.OneToOneField(Project, null=True, related_name="route", on_delete=models.CASCADE)

    class Meta:
        """Constraints."""

        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(namespace=None) ^ Q(project=None), name="route_leads_to_one_thing"),
        ]

    def __str__(self) -> str:
        return self.path


class Member(models.Model):
    """A user's role in a group or in a project, and in all that is below a group.

    Attributes:
        expires_at: the day from which on it is void, or None.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, related_name="memberships", on_delete=models.CASCADE)
    group = models.ForeignKey(Namespace, null=True, related_name="members", on_delete=models.CASCADE)
    project = models.ForeignKey(Project, null=True, related_name="members", on_delete=models.CASCADE)
    access_level = models.PositiveSmallIntegerField(choices=AccessLevel)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, related_name="+", on_delete=models.SET_NULL)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateField(null=True)

    if TYPE_CHECKING:
        user: models.ForeignKey[User, User]  # type: ignore[no-redef] # the swappable model's own type

    class Meta:
        """Constraints."""

        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(group=None) ^ Q(project=None), name="member_of_one_thing"),
            models.UniqueConstraint(fields=["user", "group"], name="member_once_a_group"),
            models.UniqueConstraint(fields=["user", "project"], name="member_once_a_project"),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.group or self.project}"

    @property
    def source(self) -> Namespace | Project:
        """The group or project that it is in."""
        source = self.group or self.project
        if source is None:
            raise RuntimeError(f"member {self.pk} belongs nowhere")  # a constraint of the database forbids it
        return source
