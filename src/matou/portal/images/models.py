"""Container repositories."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from matou.portal.namespaces.models import Project


class ContainerRepository(models.Model):
    """A repository of the registry, known since the first push to it was allowed.

    Attributes:
        name: what follows the project's path in the repository's name; empty for the project's root repository.
    """

    project = models.ForeignKey(Project, related_name="container_repositories", on_delete=models.CASCADE)
    name = models.CharField(max_length=255, default="", blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        """Constraints."""

        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["project", "name"], name="container_repository_once_a_project"),
        ]

    def __str__(self) -> str:
        return self.path

    @property
    def path(self) -> str:
        """The repository's name in the registry."""
        return f"{self.project.full_path}/{self.name}".rstrip("/").lower()


class OrphanedRepository(models.Model):
    """A repository of the registry whose project was deleted while its images were not.

    Its name is given to no other project: whoever had that could read the images.

    Attributes:
        path: the repository's name in the registry.
    """

    path = models.CharField(max_length=255, unique=True)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.path
