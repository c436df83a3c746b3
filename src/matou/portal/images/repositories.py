"""Which project a repository of the registry belongs to.

Source: GitLab ``ContainerRegistry::Path``.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from django.db import IntegrityError

from matou.portal.images.models import ContainerRepository
from matou.portal.namespaces.models import Route

if TYPE_CHECKING:
    from matou.portal.namespaces.models import Project

EXTRA_LEVELS = 2  # components that a repository's name may have after its project's path
LONGEST_NAME = 255

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})+")


def find_project(name: str) -> tuple[Project, str] | None:
    """Return the project of a repository, with what follows the project's path in the name.

    The project's path is the name itself, or the name less one or two components; the longest counts.

    Args:
        name: of the repository, in lower case.

    Returns:
        None if the name cannot be a repository's, or there is no such project.
    """
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        return None
    components = name.split("/")
    shortest = max(2, len(components) - EXTRA_LEVELS)
    candidates = ["/".join(components[:count]) for count in range(len(components), shortest - 1, -1)]
    routes = Route.objects.filter(path__in=candidates, project__isnull=False).select_related("project__namespace")
    longest = max(routes, key=lambda route: len(route.path), default=None)
    if longest is None or longest.project is None:
        return None
    return longest.project, name[len(longest.path) :].lstrip("/")


def ensure_repository(project: Project, name: str) -> None:
    """Note that a project has a repository, unless that is known.

    Args:
        project: of the repository.
        name: what follows the project's path.
    """
    with contextlib.suppress(IntegrityError):  # the project was deleted meanwhile: the token will be of no use
        ContainerRepository.objects.get_or_create(project=project, name=name)
