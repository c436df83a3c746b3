"""Django's registration of the domain."""

from __future__ import annotations

from django.apps import AppConfig


class NamespacesConfig(AppConfig):
    """The ``namespaces`` domain."""

    name = "matou.portal.namespaces"
    label = "namespaces"
