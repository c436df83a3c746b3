"""Memberships: who is added, changed and removed, and who is a member by a group above.

Source: GitLab's ``Member`` model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F, OuterRef, Q, Subquery
from django.utils import timezone

from matou.portal.namespaces.models import AccessLevel, Member, Namespace, Project
from matou.portal.namespaces.roles import in_force

if TYPE_CHECKING:
    import datetime as dt

    from django.db.models import QuerySet

    from matou.portal.accounts.models import User


class MemberExistsError(Exception):
    """The user is a direct member already."""


class LastOwnerError(Exception):
    """Nobody would own the group or personal project any more."""


def direct_members(source: Namespace | Project) -> QuerySet[Member]:
    """Return the memberships in a group or project itself that have not expired, with their users."""
    return Member.objects.filter(_at(source), in_force()).select_related("user", "created_by").order_by("user_id")


def all_members(source: Namespace | Project) -> QuerySet[Member]:
    """Return the members of a group or project and of the groups above: of each user the highest membership.

    Of equal ones the nearest counts.
    """
    where = Q(group__in=_lineage(source))
    if isinstance(source, Project):
        where |= Q(project=source)
    candidates = Member.objects.filter(where, in_force())
    nearest = F("group__lineage").desc(nulls_first=True)
    best = candidates.filter(user=OuterRef("user")).order_by("-access_level", nearest, "pk").values("pk")[:1]
    return (
        candidates.filter(pk=Subquery(best))
        .select_related("user", "created_by", "group", "project")
        .order_by("user_id")
    )


@transaction.atomic
def add_member(
    *,
    source: Namespace | Project,
    user: User,
    access_level: int,
    created_by: User | None,
    expires_at: dt.date | None = None,
) -> Member:
    """Give a user a role in a group or project. A membership that has expired is replaced.

    Raises:
        MemberExistsError: the user is a direct member.
        ValidationError: the role is none, is below one from a group above, or the day is over.
    """
    present = Member.objects.filter(_at(source), user=user).first()
    if present is not None:
        if present.expires_at is None or present.expires_at > timezone.now().date():
            raise MemberExistsError
        present.delete()
    _check(source, user, access_level, expires_at)
    where = {"project": source} if isinstance(source, Project) else {"group": source}
    return Member.objects.create(
        user=user, access_level=access_level, created_by=created_by, expires_at=expires_at, **where
    )


@transaction.atomic
def update_member(member: Member, *, access_level: int, expires_at: dt.date | None) -> Member:
    """Change a role, and until when it holds.

    Raises:
        LastOwnerError: nobody would be left who owns the group, or the user owns the namespace of the project.
        ValidationError: as for add_member.
    """
    if access_level != AccessLevel.OWNER or expires_at is not None:
        _check_another_owner(member)
    _check(member.source, member.user, access_level, expires_at)
    member.access_level = access_level
    member.expires_at = expires_at
    member.save(update_fields=["access_level", "expires_at"])
    return member


@transaction.atomic
def remove_member(member: Member, *, below: bool = True) -> None:
    """End a membership.

    Args:
        member: the membership.
        below: in a group, also the user's memberships in the groups and projects below.

    Raises:
        LastOwnerError: as for update_member.
    """
    _check_another_owner(member)
    if below and member.group is not None:
        lineage = member.group.lineage
        Member.objects.filter(
            Q(group__lineage__startswith=lineage) | Q(project__namespace__lineage__startswith=lineage),
            user=member.user,
        ).delete()
    else:
        member.delete()


def _at(source: Namespace | Project) -> Q:
    return Q(project=source) if isinstance(source, Project) else Q(group=source)


def _lineage(source: Namespace | Project) -> list[int]:
    namespace = source.namespace if isinstance(source, Project) else source
    return namespace.lineage_ids if namespace.owner_id is None else []


def _check(source: Namespace | Project, user: User, access_level: int, expires_at: dt.date | None) -> None:
    if access_level not in AccessLevel.values:
        raise ValidationError({"access_level": ["is not included in the list"]})
    if expires_at is not None and expires_at <= timezone.now().date():
        raise ValidationError({"expires_at": ["cannot be a date in the past"]})
    above = _lineage(source) if isinstance(source, Project) else _lineage(source)[:-1]
    inherited = (
        Member.objects.filter(in_force(), user=user, group__in=above)
        .select_related("group")
        .order_by("-access_level")
        .first()
    )
    if inherited is not None and inherited.group is not None and inherited.access_level > access_level:
        role = AccessLevel(inherited.access_level).label
        raise ValidationError(
            {
                "access_level": [
                    f"should be greater than or equal to {role} inherited membership from group {inherited.group.name}"
                ]
            }
        )


def _check_another_owner(member: Member) -> None:
    if member.access_level != AccessLevel.OWNER:
        return
    if member.project is not None:
        if member.project.namespace.owner_id == member.user_id:
            raise LastOwnerError
        return
    source = member.source
    owners = Member.objects.filter(
        in_force(), group__in=_lineage(source), access_level=AccessLevel.OWNER, user__is_active=True, user__is_bot=False
    )
    if not owners.exclude(pk=member.pk).exists():
        raise LastOwnerError
