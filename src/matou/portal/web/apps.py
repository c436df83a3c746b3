"""Django's registration of the domain."""

from __future__ import annotations

from django.apps import AppConfig


class WebConfig(AppConfig):
    """The ``web`` domain."""

    name = "matou.portal.web"
    label = "web"
