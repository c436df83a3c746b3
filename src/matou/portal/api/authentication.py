"""Who calls, and what the caller's token allows.

Each operation names one of the classes below as its ``auth``; django-ninja calls it before it reads arguments. It
leaves a Caller on the request, as ``request.auth``.

Source: GitLab's "REST API authentication", "Sudo" and "CI/CD job token".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

from django.db.models.functions import Lower
from django.http import HttpRequest
from ninja.security.base import AuthBase

from matou.portal.accounts.models import User
from matou.portal.api.arguments import LARGEST_ID, gather
from matou.portal.api.errors import forbidden, insufficient_scope, invalid_token, not_found, unauthorized
from matou.portal.namespaces.paths import PATH_LENGTH
from matou.portal.tokens.lookup import find_access_token, find_job_token, find_oauth_token
from matou.portal.tokens.models import AccessToken, JobToken, OAuthToken
from matou.portal.tokens.scopes import API, READ_API, READ_USER, SUDO

BLOCKED = "Your account has been blocked."


@dataclass(frozen=True)
class Caller:
    """Who calls.

    Attributes:
        user: The user, or None for an anonymous caller.
        arguments: What the request asks for (arguments.gather).
        token: The access token that authenticated the caller, if one did.
        job: The job token that did.
        scopes: What the token allows; empty for anonymous callers and jobs.
    """

    user: User | None
    arguments: dict[str, Any]
    token: AccessToken | None = None
    job: JobToken | None = None
    scopes: frozenset[str] = frozenset()

    @property
    def is_admin(self) -> bool:
        """Whether an administrator calls; a job is none, whoever started it."""
        return self.job is None and self.user is not None and self.user.is_admin

    @property
    def signed_in(self) -> User:
        """The user of an operation that anonymous callers cannot reach.

        Raises:
            ApiError: An anonymous caller reached it (401).
        """
        if self.user is None:
            raise unauthorized()
        return self.user


def caller_of(request: HttpRequest) -> Caller:
    """The caller of an operation."""
    return cast("Caller", request.auth)  # type: ignore[attr-defined] # set by django-ninja


def _secret(request: HttpRequest, arguments: dict[str, Any]) -> str | None:
    """The access token that the request carries, or None. The header wins, as in GitLab."""
    header = request.headers.get("Private-Token")
    if header:
        return header
    parameter = arguments.get("private_token")
    if isinstance(parameter, str) and parameter:
        return parameter
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials.strip():
        return credentials.strip()
    parameter = arguments.get("access_token")
    return parameter if isinstance(parameter, str) and parameter else None


def _job_secret(request: HttpRequest, arguments: dict[str, Any]) -> str | None:
    header = request.headers.get("Job-Token")
    if header:
        return header
    parameter = arguments.get("job_token")
    return parameter if isinstance(parameter, str) and parameter else None


def _caller_by_token(secret: str, arguments: dict[str, Any]) -> Caller:
    token: AccessToken | OAuthToken | None = find_access_token(secret, even_if_inactive=True)
    if token is None:
        token = find_oauth_token(secret, even_if_inactive=True)
    if token is None:
        raise unauthorized()
    if token.revoked:
        raise invalid_token("Token was revoked. You have to re-authorize from the user.")
    if not token.active:
        raise invalid_token("Token is expired. You can either do re-authorization or token refresh.")
    if not token.user.is_active:
        raise forbidden(BLOCKED)
    access_token = token if isinstance(token, AccessToken) else None
    return Caller(token.user, arguments, token=access_token, scopes=frozenset(token.scopes))


def _caller_by_job(secret: str, arguments: dict[str, Any]) -> Caller:
    job = find_job_token(secret)
    if job is None:
        raise unauthorized()
    return Caller(job.user, arguments, job=job)


def _as_other_user(request: HttpRequest, caller: Caller) -> Caller:
    """Follow ``sudo``: an administrator acts as another user."""
    wanted = request.headers.get("Sudo") or caller.arguments.get("sudo")
    if not isinstance(wanted, str | int) or wanted == "":
        return caller
    if caller.user is None:
        raise unauthorized()
    if not caller.is_admin:
        raise forbidden("Must be admin to use sudo")
    if SUDO not in caller.scopes:
        raise insufficient_scope(SUDO)
    other = user_named(str(wanted))
    if other is None:
        raise not_found(f"User with ID or username '{str(wanted)[:PATH_LENGTH]}'")
    if not other.is_active:
        raise forbidden(BLOCKED)
    return replace(caller, user=other)


def user_named(reference: str) -> User | None:
    """Return the user of an id or user name, or None."""
    if len(reference) > PATH_LENGTH:
        return None
    if reference.isascii() and reference.isdigit():
        return User.objects.filter(pk=int(reference)).first() if len(reference) < len(str(LARGEST_ID)) else None
    return User.objects.alias(key=Lower("username")).filter(key=reference.lower()).first()


class Authentication(AuthBase):
    """What an operation demands of its caller.

    Attributes:
        scopes: Of which a token must have one; empty: whatever its scopes.
        anonymous: Whether callers without credentials may come.
        job: Whether CI jobs may.
    """

    openapi_type: ClassVar[str] = "apiKey"
    scopes: ClassVar[tuple[str, ...]] = (API,)
    anonymous: ClassVar[bool] = False
    job: ClassVar[bool] = False

    def __call__(self, request: HttpRequest) -> Caller:
        """Return the caller.

        Raises:
            ApiError: No, wrong or insufficient credentials, or arguments that cannot be read.
        """
        arguments = gather(request)
        secret = _secret(request, arguments)
        job_secret = _job_secret(request, arguments) if self.job else None
        if secret is not None:
            caller = _caller_by_token(secret, arguments)
            if self.scopes and caller.scopes.isdisjoint(self.scopes):
                raise insufficient_scope(*self.scopes)
        elif job_secret is not None:
            caller = _caller_by_job(job_secret, arguments)
        elif self.anonymous:
            caller = Caller(None, arguments)
        else:
            raise unauthorized()
        return _as_other_user(request, caller)


class Read(Authentication):
    """Reads."""

    scopes = (API, READ_API)


class ReadOrAnonymous(Read):
    """Reads what may be public."""

    anonymous = True


class JobReadOrAnonymous(ReadOrAnonymous):
    """As ReadOrAnonymous, for jobs too."""

    job = True


class ReadUser(Authentication):
    """Reads users."""

    scopes = (API, READ_API, READ_USER)


class ReadUserOrAnonymous(ReadUser):
    """Reads what anybody may know of users."""

    anonymous = True


class Write(Authentication):
    """Changes something."""


class JobWrite(Write):
    """As Write, for jobs too."""

    job = True


class AnyScope(Authentication):
    """Asks a token about itself, or ends it."""

    scopes = ()


class SelfRotate(Authentication):
    """Replaces the token that is used."""

    scopes = (API, "self_rotate")
