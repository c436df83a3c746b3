"""Django's registration of the domain."""

from __future__ import annotations

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """The ``accounts`` domain."""

    name = "matou.portal.accounts"
    label = "accounts"
