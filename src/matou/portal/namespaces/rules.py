"""What changes to groups and projects are refused, in GitLab's words.

Each check notes its problem under the field that it is about, so that a caller learns of all at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError

from matou.portal.namespaces.models import Namespace, Project, Route, Visibility
from matou.portal.namespaces.paths import problem_of_full_path, problem_of_path

if TYPE_CHECKING:
    from django.db.models import QuerySet

TAKEN = "has already been taken"
_OPENNESS = {Visibility.PRIVATE: 0, Visibility.INTERNAL: 10, Visibility.PUBLIC: 20}


class Problems:
    """What is wrong, by field, told all at once."""

    def __init__(self) -> None:
        self._by_field: dict[str, list[str]] = {}

    def add(self, field: str, problem: str | None) -> None:
        """Note a problem; None is none."""
        if problem is not None:
            self._by_field.setdefault(field, []).append(problem)

    def raise_if_any(self) -> None:
        """Raise ValidationError when something is wrong."""
        if self._by_field:
            raise ValidationError(dict[str, Any](self._by_field))


def join(parent: Namespace | None, path: str) -> str:
    """Return the full path of something in a namespace, or at the top."""
    return path if parent is None else f"{parent.full_path}/{path}"


def check_path(
    problems: Problems,
    field: str,
    path: str,
    parent: Namespace | None,
    *,
    namespace: Namespace | None = None,
    project: Project | None = None,
) -> None:
    """Note what is wrong with a path in a parent, for a new thing, or for the one that is given."""
    full_path = join(parent, path)
    problem = problem_of_path(path, at_top=parent is None) or problem_of_full_path(full_path)
    if problem is None:
        others = Route.objects.filter(path=full_path.lower())
        if namespace is not None:
            others = others.exclude(namespace=namespace)
        if project is not None:
            others = others.exclude(project=project)
        problem = TAKEN if others.exists() else None
    problems.add(field, problem)


def check_group_name_is_free(problems: Problems, name: str, parent: Namespace | None) -> None:
    """Refuse the name of another group beside; at the top names may repeat."""
    if parent is not None and Namespace.objects.filter(parent=parent, name=name).exists():
        problems.add("name", TAKEN)


def check_project_name_is_free(problems: Problems, name: str, namespace: Namespace) -> None:
    """Refuse the name of another project in the namespace."""
    if Project.objects.filter(namespace=namespace, name=name).exists():
        problems.add("name", TAKEN)


def _more_open_than(visibility: Visibility) -> list[Visibility]:
    return [other for other in Visibility if _OPENNESS[other] > _OPENNESS[visibility]]


def check_group_visibility(
    problems: Problems, visibility: Visibility, parent: Namespace | None, group: Namespace | None = None
) -> None:
    """Refuse a group that is more open than what it is in, or less open than what is in it."""
    more_open = _more_open_than(visibility)
    if parent is not None and visibility in _more_open_than(Visibility(parent.visibility)):
        problems.add(
            "visibility_level",
            f"{visibility} is not allowed since the parent group has a {parent.visibility} visibility.",
        )
    if group is not None and Project.objects.filter(namespace=group, visibility__in=more_open).exists():
        problems.add(
            "visibility_level",
            f"{visibility} is not allowed since this group contains projects with higher visibility.",
        )
    if group is not None and Namespace.objects.filter(parent=group, visibility__in=more_open).exists():
        problems.add(
            "visibility_level", f"{visibility} is not allowed since there are sub-groups with higher visibility."
        )


def check_project_visibility(problems: Problems, visibility: Visibility, namespace: Namespace) -> None:
    """Refuse a project that is more open than its group."""
    if namespace.owner_id is None and visibility in _more_open_than(Visibility(namespace.visibility)):
        problems.add("visibility_level", f"{visibility} is not allowed in a {namespace.visibility} group.")


def check_without_images(problems: Problems, field: str, projects: QuerySet[Project]) -> None:
    """Refuse what would change the names of images: the registry would go on serving them by the old ones."""
    with_images = projects.filter(container_repositories__isnull=False).order_by("full_path").first()
    if with_images is not None:
        problems.add(
            field,
            f"cannot change: {with_images.full_path} has images in the registry, whose names would change."
            " Delete its container repositories first, or copy them elsewhere.",
        )
