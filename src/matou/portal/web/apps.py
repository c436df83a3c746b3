"""Django's registration of the domain."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from django.apps import AppConfig
from django.conf import settings

from matou.portal.web.assets import Assets

if TYPE_CHECKING:
    from matou.portal.web.registry_status import RegistryStatus


class WebConfig(AppConfig):
    """The ``web`` domain."""

    name = "matou.portal.web"
    label = "web"

    @cached_property
    def assets(self) -> Assets:
        """The files that pages load."""
        return Assets.load()

    @cached_property
    def registry_status(self) -> RegistryStatus:
        """What is known of the registry."""
        from matou.portal.web.registry_status import RegistryStatus  # noqa: PLC0415 -- only pages ask

        return RegistryStatus(settings.INSTALLATION.registry_addr)
