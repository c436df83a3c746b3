"""Users, groups and projects for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matou.portal.accounts.services import create_user
from matou.portal.namespaces.models import Member, Namespace, Project, Route
from matou.portal.namespaces.tree import enroll

if TYPE_CHECKING:
    from matou.portal.accounts.models import User

PASSWORD = "wharf-and-harbour-92"


def user(username: str, **values: Any) -> User:
    defaults = {"name": username.title(), "email": f"{username}@example.com", "password": PASSWORD}
    return create_user(username=username, **(defaults | values))


def group(path: str, *, parent: Namespace | None = None, **values: Any) -> Namespace:
    full_path = f"{parent.full_path}/{path}" if parent else path
    made = Namespace.objects.create(name=path, path=path, full_path=full_path, parent=parent, **values)
    enroll(made)
    return made


def project(namespace: Namespace, path: str, **values: Any) -> Project:
    full_path = f"{namespace.full_path}/{path}"
    made = Project.objects.create(namespace=namespace, name=path, path=path, full_path=full_path, **values)
    Route.objects.create(path=full_path.lower(), project=made)
    return made


def member(who: User, where: Namespace | Project, level: int, **values: Any) -> Member:
    place = {"group": where} if isinstance(where, Namespace) else {"project": where}
    return Member.objects.create(user=who, access_level=level, **place, **values)
