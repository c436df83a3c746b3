"""Who calls: the credentials of HTTP Basic authentication, as GitLab tells them apart.

Source: GitLab ``Gitlab::Auth.find_for_git_client`` (lib/gitlab/auth.rb). Tokens cost a lookup, passwords a slow hash:
tokens are tried first, and what can only be a token is never tried as a password.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from matou.portal.accounts.sign_in import sign_in
from matou.portal.tokens import scopes
from matou.portal.tokens.lookup import find_access_token, find_deploy_token, find_job_token, find_oauth_token
from matou.portal.tokens.services import ACCESS_PREFIX, DEPLOY_PREFIX, JOB_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matou.portal.accounts.models import User
    from matou.portal.tokens.models import DeployToken, JobToken

JOB_USERNAME = "gitlab-ci-token"
OAUTH_USERNAME = "oauth2"


class Ability(StrEnum):
    """What credentials may do with container images, where their user may, too."""

    READ = "read_container_image"
    CREATE = "create_container_image"
    ADMIN = "admin_container_image"
    BUILD_READ = "build_read_container_image"
    BUILD_CREATE = "build_create_container_image"
    BUILD_DESTROY = "build_destroy_container_image"


FULL = frozenset({Ability.READ, Ability.CREATE, Ability.ADMIN})
BUILD = frozenset({Ability.BUILD_READ, Ability.BUILD_CREATE, Ability.BUILD_DESTROY})
_BY_SCOPE = {
    scopes.API: FULL,
    scopes.READ_API: frozenset({Ability.READ}),
    scopes.READ_REGISTRY: frozenset({Ability.READ}),
    scopes.WRITE_REGISTRY: frozenset({Ability.CREATE}),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever asks for a registry token.

    Attributes:
        auth_type: GitLab's name for the kind of credentials.
        abilities: of the credentials.
        user: as whom the caller acts; None for deploy tokens and anonymous callers.
        deploy_token: if it is one.
        job: the CI job, if it is one.
    """

    auth_type: str
    abilities: frozenset[Ability]
    user: User | None = None
    deploy_token: DeployToken | None = None
    job: JobToken | None = None

    def __str__(self) -> str:
        if self.deploy_token is not None:
            return f"deploy token {self.deploy_token.username}"
        if self.job is not None:
            return f"{self.job} as {self.user}"
        return "anonymous" if self.user is None else self.user.username


ANONYMOUS = Caller("none", frozenset({Ability.READ}))


class BadCredentialsError(Exception):
    """They are malformed, or nobody's.

    Args:
        username: as the caller sent it, for the log; empty where there is none.
    """

    def __init__(self, username: str = "") -> None:
        super().__init__(username)
        self.username = username


def basic_credentials(header: str) -> tuple[str, str] | None:
    """Return user name and password of an ``Authorization`` header; None if it has another scheme.

    Raises:
        BadCredentialsError: they are no base64, no UTF-8, or have no colon.

    Source: RFC 7617.
    """
    scheme, _, encoded = header.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        username, colon, password = base64.b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise BadCredentialsError from error
    if not colon:
        raise BadCredentialsError
    return username, password


def find_caller(username: str, password: str, address: str) -> Caller:
    """Return the caller with credentials.

    Args:
        username: as sent.
        password: the password, or the token's secret.
        address: of the caller, for throttling passwords.

    Raises:
        BadCredentialsError: they are nobody's, or of somebody who is blocked.
        LockedOutError: too many wrong passwords.
        LineTooLongError: too many passwords are checked already.
    """
    if not password:
        raise BadCredentialsError(username)
    caller = _by_token(username, password)
    if caller is not None:
        return caller
    if username == JOB_USERNAME or password.startswith((ACCESS_PREFIX, DEPLOY_PREFIX, JOB_PREFIX)):
        raise BadCredentialsError(username)
    user = sign_in(username, password, address)
    if user is None:
        raise BadCredentialsError(username)
    return Caller("gitlab_or_ldap", FULL, user)


def _by_token(username: str, secret: str) -> Caller | None:
    if username == JOB_USERNAME:
        job = find_job_token(secret)
        if job is not None:
            return Caller("build", BUILD, job.user, job=job)
    if username == OAUTH_USERNAME:
        oauth = find_oauth_token(secret)
        if oauth is not None and scopes.API in oauth.scopes:
            return Caller("oauth", FULL, oauth.user)
    access = find_access_token(secret)
    if access is not None:
        return Caller("personal_access_token", _abilities(access.scopes), access.user)
    deploy = find_deploy_token(username, secret)
    if deploy is not None:
        return Caller("deploy_token", _abilities(deploy.scopes), deploy_token=deploy)
    return None


def _abilities(names: Iterable[str]) -> frozenset[Ability]:
    return frozenset[Ability]().union(*(_BY_SCOPE.get(name, frozenset()) for name in names))
