"""Finding tokens by their secrets.

The lookup is by SHA-256 digest, on an index: how long it takes tells nothing about the secrets of others.
"""

from __future__ import annotations

import datetime as dt
import hmac
import logging

from django.db import OperationalError, transaction
from django.db.models import Q
from django.utils import timezone

from matou.portal.tokens.models import AccessToken, DeployToken, JobToken, OAuthToken, digest_of

USE_RESOLUTION = dt.timedelta(minutes=10)
LONGEST_SECRET = 512  # characters; a longer one is no token of ours and is not even hashed

log = logging.getLogger(__name__)


def find_access_token(secret: str, *, even_if_inactive: bool = False) -> AccessToken | None:
    """Return the access token of a secret, with its user, and note that it was used.

    Args:
        secret: as the caller sent it.
        even_if_inactive: also return tokens that are revoked or expired, or whose user is blocked, to tell the caller
            why it is refused.
    """
    if len(secret) > LONGEST_SECRET:
        return None
    token = AccessToken.objects.filter(digest=digest_of(secret)).select_related("user").first()
    if token is None:
        return None
    if not (token.active and token.user.is_active):
        return token if even_if_inactive else None
    _note_use(token)
    return token


def find_deploy_token(username: str, secret: str) -> DeployToken | None:
    """Return the active deploy token of a secret, if the user name is its own."""
    if len(secret) > LONGEST_SECRET:
        return None
    token = DeployToken.objects.filter(digest=digest_of(secret)).select_related("project__namespace", "group").first()
    if token is None or not token.active:
        return None
    return token if hmac.compare_digest(_bytes(token.username), _bytes(username)) else None


def find_job_token(secret: str) -> JobToken | None:
    """Return the token of a job that still runs, with its user and project; None when the user is blocked."""
    if len(secret) > LONGEST_SECRET:
        return None
    token = (
        JobToken.objects.filter(digest=digest_of(secret), user__is_active=True)
        .select_related("user", "project__namespace")
        .first()
    )
    return token if token is not None and token.active else None


def find_oauth_token(secret: str, *, even_if_inactive: bool = False) -> OAuthToken | None:
    """Return the OAuth token of an access token's secret, with its user; arguments as in ``find_access_token``."""
    if len(secret) > LONGEST_SECRET:
        return None
    token = OAuthToken.objects.filter(digest=digest_of(secret)).select_related("user").first()
    if token is None or even_if_inactive:
        return token
    return token if token.active and token.user.is_active else None


def find_refresh_token(secret: str) -> OAuthToken | None:
    """Return the OAuth token, whatever its state, of a refresh token's secret."""
    if len(secret) > LONGEST_SECRET:
        return None
    return OAuthToken.objects.filter(refresh_digest=digest_of(secret)).select_related("user").first()


def _note_use(token: AccessToken) -> None:
    now = timezone.now()
    if token.last_used_at is not None and now - token.last_used_at < USE_RESOLUTION:
        return
    stale = Q(last_used_at=None) | Q(last_used_at__lte=now - USE_RESOLUTION)
    try:
        with transaction.atomic():
            AccessToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)
    except OperationalError as error:  # a full disk must not keep anybody from pulling
        log.warning("the use of an access token could not be noted: %s", error)
        return
    token.last_used_at = now


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
