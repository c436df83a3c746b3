from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.utils import timezone

from matou.portal.namespaces import roles
from matou.portal.namespaces.models import Member

if TYPE_CHECKING:
    from matou.portal.accounts.models import User
    from matou.portal.namespaces.models import Namespace, Project
    from tests.unit.portal.conftest import Tree


class Wharf:
    """Private groups ``a``, ``a/b``, ``a/b/c`` and ``z``, each with a project, and one of the user's own."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        owner = tree.user("owner")
        self.user: User = tree.user("user")
        self.groups: dict[str, Namespace] = {}
        self.projects: dict[str, Project] = {"own": tree.project(creator=self.user)}
        for name, parent in (("a", None), ("b", "a"), ("c", "b"), ("z", None)):
            above = self.groups[parent] if parent else None
            self.groups[name] = tree.group(owner, parent=above, path=name)
            self.projects[name] = tree.project(self.groups[name], owner)

    def join(self, place: str, level: int) -> Member:
        kind, name = place.split(" ")
        source = self.groups[name] if kind == "group" else self.projects[name]
        return self._tree.member(source, level, self.user)

    def names(self, kind: str, found: set[int]) -> str:
        things: dict[str, Namespace] | dict[str, Project] = self.groups if kind == "group" else self.projects
        return " ".join(name for name, thing in things.items() if thing.pk in found)


@pytest.fixture
def wharf(tree: Tree) -> Wharf:
    return Wharf(tree)


@pytest.mark.parametrize(
    ("memberships", "readable_groups", "readable_projects", "developers_projects"),
    [
        ([], "", "own", "own"),
        ([("group a", 30)], "a b c", "own a b c", "own a b c"),
        ([("group b", 30)], "a b c", "own b c", "own b c"),
        ([("group c", 10)], "a b c", "own c", "own"),
        ([("project c", 10)], "a b c", "own c", "own"),
        ([("project a", 30)], "a", "own a", "own a"),
        ([("group a", 10), ("project c", 30)], "a b c", "own a b c", "own c"),
        ([("group a", 10), ("group b", 30)], "a b c", "own a b c", "own b c"),
        ([("group z", 50)], "z", "own z", "own z"),
    ],
)
def test_roles_reach_downwards(
    wharf: Wharf,
    memberships: list[tuple[str, int]],
    readable_groups: str,
    readable_projects: str,
    developers_projects: str,
) -> None:
    for place, level in memberships:
        wharf.join(place, level)
    user = wharf.user
    for kind, rows, expected in (
        ("group", roles.readable_groups(user), readable_groups),
        ("project", roles.readable_projects(user), readable_projects),
        ("project", roles.projects_with_role(user, 30), developers_projects),
    ):
        found = list(rows.values_list("pk", flat=True))
        assert wharf.names(kind, set(found)) == expected
        assert len(found) == len(set(found))
    # The sets and the single answers never differ.
    for least in (10, 20, 30, 40, 50):
        in_projects = set(roles.projects_with_role(user, least).values_list("pk", flat=True))
        in_groups = set(roles.groups_with_role(user, least).values_list("pk", flat=True))
        for project in wharf.projects.values():
            assert (project.pk in in_projects) == (roles.project_role(user, project) >= least)
        for group in wharf.groups.values():
            assert (group.pk in in_groups) == (roles.group_role(user, group) >= least)


def test_the_highest_role_counts(wharf: Wharf) -> None:
    wharf.join("group a", 20)
    wharf.join("project c", 40)
    wharf.join("group c", 30)
    assert roles.project_role(wharf.user, wharf.projects["c"]) == 40
    assert roles.project_role(wharf.user, wharf.projects["b"]) == 20
    assert roles.group_role(wharf.user, wharf.groups["c"]) == 30
    assert roles.project_role(wharf.user, wharf.projects["own"]) == 50
    assert roles.group_role(wharf.user, wharf.user.namespace) == 50
    assert roles.project_role(None, wharf.projects["own"]) == 0


def test_expired_memberships_are_none(wharf: Wharf) -> None:
    wharf.join("group a", 50)
    wharf.join("project z", 50)
    Member.objects.filter(user=wharf.user).exclude(project=wharf.projects["own"]).update(
        expires_at=timezone.now().date()
    )
    assert roles.group_role(wharf.user, wharf.groups["a"]) == 0
    assert roles.project_role(wharf.user, wharf.projects["z"]) == 0
    assert list(roles.readable_groups(wharf.user)) == []
    assert list(roles.readable_projects(wharf.user)) == [wharf.projects["own"]]


def test_lineages_are_no_mere_prefixes(tree: Tree) -> None:
    user = tree.user()
    groups = [tree.group() for _ in range(12)]  # ids 1 and 10, 11, 12 among them, wherever counting begins
    tree.member(groups[0], 50, user)
    assert list(roles.groups_with_role(user, 10)) == [groups[0]]
