"""Users, groups and projects for tests."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings

from matou.jwt.keyfiles import ensure_key_pair
from matou.portal.accounts.models import User
from matou.portal.namespaces import services

if TYPE_CHECKING:
    from matou.portal.namespaces.models import Member, Namespace, Project


@pytest.fixture(scope="session", autouse=True)
def _key_pair() -> None:
    ensure_key_pair(settings.INSTALLATION.token_key, settings.INSTALLATION.token_certificate)


class Tree:
    """Makes things with names of their own, as the services do."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def _unique(self, stem: str) -> str:
        return f"{stem}{next(self._numbers)}"

    def user(self, username: str | None = None, **values: Any) -> User:
        name = username or self._unique("user")
        user = User.objects.create(username=name, name=name.title(), email=f"{name}@example.com", **values)
        services.create_user_namespace(user)
        return user

    def group(self, owner: User | None = None, parent: Namespace | None = None, **values: Any) -> Namespace:
        path = values.pop("path", None) or self._unique("group")
        values.setdefault("name", path)
        return services.create_group(creator=owner or self.user(), path=path, parent=parent, **values)

    def project(self, namespace: Namespace | None = None, creator: User | None = None, **values: Any) -> Project:
        path = values.pop("path", None) or self._unique("project")
        values.setdefault("name", path)
        creator = creator or self.user()
        return services.create_project(creator=creator, namespace=namespace or creator.namespace, path=path, **values)

    def member(self, source: Namespace | Project, access_level: int, user: User | None = None) -> Member:
        return services.add_member(source=source, user=user or self.user(), access_level=access_level, created_by=None)


@pytest.fixture
def tree(db: None) -> Tree:
    del db
    return Tree()
