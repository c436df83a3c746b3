"""Which role a user has where, and what it may see: computed from memberships each time, never cached.

A role in a group holds in everything below it; the highest role counts. Users own their own namespace. Whether
administrators may do more is for the callers to decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import CharField, Exists, ExpressionWrapper, F, Max, OuterRef, Q
from django.utils import timezone

from matou.portal.namespaces.models import AccessLevel, Member, Namespace, Project, Visibility

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from matou.portal.accounts.models import User


def in_force() -> Q:
    """Return the condition of memberships that have not expired."""
    return Q(expires_at=None) | Q(expires_at__gt=timezone.now().date())


def group_role(user: User | None, namespace: Namespace) -> int:
    """Return a user's role in a namespace; 0 for none and for anonymous callers."""
    if user is None:
        return 0
    if namespace.owner_id is not None:
        return AccessLevel.OWNER if namespace.owner_id == user.pk else 0
    return _highest(Member.objects.filter(user=user, group__in=namespace.lineage_ids))


def project_role(user: User | None, project: Project) -> int:
    """Return a user's role in a project; 0 for none and for anonymous callers."""
    if user is None:
        return 0
    if project.namespace.owner_id == user.pk:
        return AccessLevel.OWNER
    where = Q(project=project) | Q(group__in=project.namespace.lineage_ids)
    return _highest(Member.objects.filter(where, user=user))


def _highest(members: QuerySet[Member]) -> int:
    highest = members.filter(in_force()).aggregate(level=Max("access_level"))["level"]
    return int(highest or 0)


def _memberships_above(user: User, lineage: str, least: int) -> QuerySet[Member]:
    """Return the user's roles in the groups whose lineage begins one of the outer query's."""
    outer = ExpressionWrapper(OuterRef(lineage), output_field=CharField())
    return Member.objects.alias(below=outer).filter(
        in_force(), user=user, access_level__gte=least, below__startswith=F("group__lineage")
    )


def groups_with_role(user: User, least: int) -> QuerySet[Namespace]:
    """Return the groups in which a user has a role from ``least`` up, by membership there or above."""
    return Namespace.objects.filter(Exists(_memberships_above(user, "lineage", least)), owner=None)


def projects_with_role(user: User, least: int) -> QuerySet[Project]:
    """Return the projects in which a user has a role from ``least`` up."""
    direct = Member.objects.filter(in_force(), user=user, access_level__gte=least, project__isnull=False)
    # The groups are looked for once, not once a project: there are fewer of them.
    groups = groups_with_role(user, least)
    return Project.objects.filter(
        Q(namespace__owner=user) | Q(pk__in=direct.values("project")) | Q(namespace__in=groups.values("pk"))
    )


def readable_projects(user: User | None) -> QuerySet[Project]:
    """Return the projects that a caller may see: public ones, internal ones for users, and those with a role."""
    if user is None:
        return Project.objects.filter(visibility=Visibility.PUBLIC)
    if user.is_admin:
        return Project.objects.all()
    seen = Q(visibility__in=(Visibility.PUBLIC, Visibility.INTERNAL))
    return Project.objects.filter(seen | Q(pk__in=projects_with_role(user, AccessLevel.GUEST).values("pk")))


def readable_groups(user: User | None) -> QuerySet[Namespace]:
    """Return the groups that a caller may see; a role in a project below shows its groups, too."""
    groups = Namespace.objects.filter(owner=None)
    if user is None:
        return groups.filter(visibility=Visibility.PUBLIC)
    if user.is_admin:
        return groups
    below = ExpressionWrapper(OuterRef("lineage"), output_field=CharField())
    with_role = Member.objects.alias(above=below).filter(in_force(), user=user)
    inside = with_role.filter(
        Q(project__namespace__lineage__startswith=F("above")) | Q(group__lineage__startswith=F("above"))
    )
    seen = Q(visibility__in=(Visibility.PUBLIC, Visibility.INTERNAL))
    above = _memberships_above(user, "lineage", AccessLevel.GUEST)
    return groups.filter(seen | Exists(above) | Exists(inside))
