"""``/oauth/token`` and its kin.

Sources: RFC 6749 sections 4.3, 5 and 6; RFC 7009; GitLab's OAuth 2.0 provider (Doorkeeper), whose texts these are.
"""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.http import JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from matou.portal.accounts.password_line import LineTooLongError
from matou.portal.accounts.sign_in import LockedOutError, sign_in
from matou.portal.client_address import client_address
from matou.portal.tokens.lookup import find_oauth_token, find_refresh_token
from matou.portal.tokens.scopes import DEFAULT_OAUTH_SCOPES
from matou.portal.tokens.services import create_oauth_token, refresh_oauth_token, revoke

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.http import HttpRequest, HttpResponse

    from matou.portal.tokens.models import OAuthToken

log = logging.getLogger(__name__)

_DESCRIPTIONS = {
    "invalid_grant": "The provided authorization grant is invalid, expired, revoked, does not match the redirection "
    "URI used in the authorization request, or was issued to another client.",
    "unsupported_grant_type": "The authorization grant type is not supported by the authorization server.",
    "invalid_scope": "The requested scope is invalid, unknown, or malformed.",
    "invalid_token": "The access token is invalid",
    "slow_down": "Too many attempts to sign in; try again later.",
}


@csrf_exempt  # credentials come in every request, never from a cookie
@never_cache
@require_POST
def token(request: HttpRequest) -> HttpResponse:
    """Exchange a password, or a refresh token, for tokens."""
    form = _form(request)
    if form is None:
        return _error("invalid_request", "The body is neither a form nor a JSON object of strings.")
    grant_type = form.get("grant_type")
    if not grant_type:
        return _missing("grant_type")
    if grant_type == "password":
        return _password_grant(request, form)
    if grant_type == "refresh_token":
        return _refresh_grant(form)
    return _error("unsupported_grant_type")


def _password_grant(request: HttpRequest, form: Mapping[str, str]) -> HttpResponse:
    for name in ("username", "password"):
        if not form.get(name):
            return _missing(name)
    try:
        user = sign_in(form["username"], form["password"], client_address(request))
    except (LockedOutError, LineTooLongError):
        return _error("slow_down", status=HTTPStatus.TOO_MANY_REQUESTS)
    if user is None:
        log.warning("authentication of %r from %s failed", form["username"], client_address(request))
        return _error("invalid_grant")
    try:
        made = create_oauth_token(user, form.get("scope", "").split() or DEFAULT_OAUTH_SCOPES)
    except ValidationError:
        return _error("invalid_scope")
    return _tokens(*made)


def _refresh_grant(form: Mapping[str, str]) -> HttpResponse:
    if not form.get("refresh_token"):
        return _missing("refresh_token")
    made = refresh_oauth_token(form["refresh_token"])
    return _error("invalid_grant") if made is None else _tokens(*made)


@csrf_exempt
@never_cache
@require_POST
def revoke_token(request: HttpRequest) -> HttpResponse:
    """Refuse a token of either kind, with its other half, from now on; unknown ones are as good as that."""
    form = _form(request)
    secret = (form or {}).get("token")
    if not secret:
        return _missing("token")
    found = find_oauth_token(secret, even_if_inactive=True) or find_refresh_token(secret)
    if found is not None and not found.revoked:
        revoke(found)
    return JsonResponse({})


@never_cache
@require_safe
def token_info(request: HttpRequest) -> HttpResponse:
    """Tell whose a Bearer token is, and until when it is good."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    found = find_oauth_token(secret.strip()) if scheme.lower() == "bearer" else None
    if found is None:
        return _error("invalid_token", status=HTTPStatus.UNAUTHORIZED)
    return JsonResponse(
        {
            "resource_owner_id": found.user.pk,
            "scope": found.scopes,
            "expires_in": max(0, int((found.expires_at - timezone.now()).total_seconds())),
            "application": {"uid": None},
            "created_at": int(found.created_at.timestamp()),
        }
    )


def _form(request: HttpRequest) -> dict[str, str] | None:
    """Return the parameters of a form or of a JSON object; None if the body is neither."""
    if request.content_type != "application/json":
        return {name: value for name, value in request.POST.items() if isinstance(value, str)}
    try:
        document: Any = json.loads(request.body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    return {name: value for name, value in document.items() if isinstance(value, str)}


def _tokens(made: OAuthToken, secret: str, refresh_secret: str) -> HttpResponse:
    return JsonResponse(
        {
            "access_token": secret,
            "token_type": "Bearer",
            "expires_in": made.lifetime,
            "refresh_token": refresh_secret,
            "scope": " ".join(made.scopes),
            "created_at": int(made.created_at.timestamp()),
        }
    )


def _missing(name: str) -> HttpResponse:
    return _error("invalid_request", f"Missing required parameter: {name}.")


def _error(code: str, description: str | None = None, *, status: int = HTTPStatus.BAD_REQUEST) -> HttpResponse:
    text = description or _DESCRIPTIONS[code]
    headers = {}
    if code in {"invalid_grant", "invalid_token"}:
        headers["WWW-Authenticate"] = f'Bearer realm="Matou", error="{code}", error_description="{text}"'
    return JsonResponse({"error": code, "error_description": text}, status=status, headers=headers)
