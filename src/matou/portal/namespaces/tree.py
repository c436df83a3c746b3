"""Places of groups, users and projects in the tree of full paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import F, Q, Value
from django.db.models.functions import Concat, Length, Lower, Substr

from matou.portal.accounts.models import User
from matou.portal.images import orphans
from matou.portal.namespaces.models import Namespace, Project, Route
from matou.portal.namespaces.paths import problem_of_full_path
from matou.portal.namespaces.rules import Problems, check_without_images, join

if TYPE_CHECKING:
    from django.db.models import QuerySet


def enroll(namespace: Namespace) -> None:
    """Give a new namespace its lineage, which holds its id, and its route."""
    above = "" if namespace.parent is None else namespace.parent.lineage
    namespace.lineage = f"{above}{namespace.pk}/"
    namespace.save(update_fields=["lineage"])
    Route.objects.create(path=namespace.full_path.lower(), namespace=namespace)


def move_namespace(namespace: Namespace, path: str, *, field: str) -> None:
    """Give a namespace another path, and everything below it another full path."""
    groups = Namespace.objects.filter(lineage__startswith=namespace.lineage)
    projects = Project.objects.filter(namespace__lineage__startswith=namespace.lineage)
    full_path = join(namespace.parent, path)
    growth = len(full_path) - len(namespace.full_path)
    problems = Problems()
    check_without_images(problems, field, projects)
    if projects.exists():
        problems.add(field, orphans.problem_of_full_path(full_path))
    for rows in (groups, projects):
        longest = rows.order_by(Length("full_path").desc()).values_list("full_path", flat=True).first()
        if longest is not None and growth > 0:
            problems.add(field, problem_of_full_path(full_path + longest[len(namespace.full_path) :]))
    problems.raise_if_any()
    moved = Concat(Value(full_path), Substr("full_path", len(namespace.full_path) + 1))
    group_ids, project_ids = groups.values("pk"), projects.values("pk")
    Namespace.objects.filter(pk__in=group_ids).update(full_path=moved)
    Project.objects.filter(pk__in=project_ids).update(full_path=moved)
    Route.objects.filter(Q(namespace__in=group_ids) | Q(project__in=project_ids)).update(
        path=Lower(Concat(Value(full_path), Substr(F("path"), len(namespace.full_path) + 1)))
    )
    namespace.path = path
    namespace.full_path = full_path


def delete_namespace(namespace: Namespace) -> None:
    """Delete a namespace with everything below it."""
    groups = Namespace.objects.filter(lineage__startswith=namespace.lineage)
    projects = Project.objects.filter(namespace__in=groups)
    delete_bots(projects, groups)
    orphans.leave_behind(projects)
    namespace.delete()


def delete_bots(projects: QuerySet[Project], groups: QuerySet[Namespace]) -> None:
    """Delete the bots whose tokens go: nobody could use them any more."""
    User.objects.filter(
        Q(access_tokens__project__in=projects) | Q(access_tokens__group__in=groups), is_bot=True
    ).delete()
