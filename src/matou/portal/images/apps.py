"""Django's registration of the domain."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from django.apps import AppConfig
from django.conf import settings

if TYPE_CHECKING:
    from matou.portal.images.signing_key import SigningKey


class ImagesConfig(AppConfig):
    """The ``images`` domain."""

    name = "matou.portal.images"
    label = "images"

    @cached_property
    def signing_key(self) -> SigningKey:
        """The installation's key of registry tokens."""
        from matou.portal.images.signing_key import SigningKey  # noqa: PLC0415 -- most commands sign nothing

        return SigningKey(settings.INSTALLATION.token_key)
