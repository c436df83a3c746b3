"""Django's registration of the domain."""

from __future__ import annotations

from django.apps import AppConfig


class ImagesConfig(AppConfig):
    """The ``images`` domain."""

    name = "matou.portal.images"
    label = "images"
