"""Django's registration of the domain."""

from __future__ import annotations

from django.apps import AppConfig


class TokensConfig(AppConfig):
    """The ``tokens`` domain."""

    name = "matou.portal.tokens"
    label = "tokens"
