"""Django's registration of the domain."""

from __future__ import annotations

from functools import cached_property

from django.apps import AppConfig

from matou.portal.accounts.password_line import PasswordLine


class AccountsConfig(AppConfig):
    """The ``accounts`` domain."""

    name = "matou.portal.accounts"
    label = "accounts"

    @cached_property
    def password_line(self) -> PasswordLine:
        """The process's line of callers with passwords."""
        return PasswordLine()
