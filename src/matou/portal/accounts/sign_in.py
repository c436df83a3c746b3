"""Signing in with a password, throttled by django-axes: user and address together are locked out for a while.

Whoever has a valid token is never asked for a password, and so is never locked out.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

from axes.handlers.proxy import AxesProxyHandler
from django.apps import apps
from django.contrib.auth import authenticate
from django.http import HttpRequest

from matou.portal.accounts.services import LONGEST_PASSWORD, find_user_by_login

if TYPE_CHECKING:
    from matou.portal.accounts.apps import AccountsConfig
    from matou.portal.accounts.models import User

LONGEST_LOGIN = 255

log = logging.getLogger(__name__)


class LockedOutError(Exception):
    """There were too many wrong passwords for this user from this address."""


def sign_in(login: str, password: str, address: str) -> User | None:
    """Return the user with a name or e-mail address and a password; None if there is none, or it is blocked or a bot.

    It takes as long whether the user exists or not.

    Args:
        login: as the caller sent it.
        password: as the caller sent it.
        address: of the caller, for throttling.

    Raises:
        LockedOutError: whatever the password.
        LineTooLongError: too many others sign in at the same time.
    """
    if not 0 < len(login) <= LONGEST_LOGIN or not 0 < len(password) <= LONGEST_PASSWORD or "\0" in login:
        return None
    known = find_user_by_login(login)
    name = (login if known is None else known.username).lower()  # one count, however a user is called
    attempt = _attempt(address)
    if not AxesProxyHandler.is_allowed(attempt, {"username": name}):
        log.warning("sign-in of %r from %s refused: locked out after too many wrong passwords", name, address)
        raise LockedOutError
    accounts = cast("AccountsConfig", apps.get_app_config("accounts"))
    with accounts.password_line.place():
        user = authenticate(attempt, username=name, password=password)
    if user is None or user.is_bot:
        return None
    if AxesProxyHandler.get_failures(attempt, {"username": name}):
        AxesProxyHandler.reset_attempts(username=name, ip_address=address)
    return user


def _attempt(address: str) -> HttpRequest:
    """Return a request for django-axes with the caller's address alone: what else it keeps could hold secrets."""
    request = HttpRequest()
    request.method = "POST"
    request.META["REMOTE_ADDR"] = address
    return request
