"""Repositories that outlive their project: their images stay in the registry, and nobody inherits them by chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Q

from matou.portal.images.models import ContainerRepository, OrphanedRepository

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from matou.portal.namespaces.models import Project


def leave_behind(projects: QuerySet[Project]) -> None:
    """Note the repositories of projects that are about to be deleted; in the transaction that deletes them."""
    repositories = ContainerRepository.objects.filter(project__in=projects).select_related("project")
    OrphanedRepository.objects.bulk_create(
        [OrphanedRepository(path=repository.path) for repository in repositories], ignore_conflicts=True
    )


def problem_of_full_path(full_path: str) -> str | None:
    """Return why a project may not have a full path, or nothing below it: images of a deleted project; or None."""
    orphan = OrphanedRepository.objects.filter(_below(full_path)).order_by("path").first()
    if orphan is None:
        return None
    return (
        f"is kept for the images of a deleted project, which are still in the registry ({orphan.path})."
        " Choose another path, or let an administrator make a project of this path, which gets the images."
    )


def adopt(project: Project) -> None:
    """Give a new project the repositories that a deleted one of its path has left."""
    orphans = OrphanedRepository.objects.filter(_below(project.full_path))
    start = len(project.full_path) + 1
    ContainerRepository.objects.bulk_create(
        [ContainerRepository(project=project, name=orphan.path[start:]) for orphan in orphans]
    )
    orphans.delete()


def _below(full_path: str) -> Q:
    return Q(path=full_path.lower()) | Q(path__startswith=f"{full_path.lower()}/")
