"""``/jwt/auth``: the token service of the registry.

Sources: GitLab ``JwtController``; Docker's "Token Authentication Specification" and "OAuth2 Token Authentication".

GitLab answers POST with 404, and clients that try OAuth2 first (containerd) then fall back to GET. Here POST works: a
client of either kind gets in at its first attempt, and a refusal (401, 400) makes containerd ask with GET as before.
Refresh tokens are given to nobody, in either form: clients would keep them in place of the password.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from matou.config.installation import REGISTRY_SERVICE
from matou.jwt.keyfiles import KeyFileError
from matou.jwt.scope import MAX_SCOPES, render_scopes
from matou.portal.accounts.password_line import LineTooLongError
from matou.portal.accounts.sign_in import LockedOutError
from matou.portal.client_address import client_address
from matou.portal.images.registry_tokens import caller_token
from matou.portal.images.token_service import AccessForbiddenError, TooManyScopesError, authorize
from matou.portal.tokens.callers import ANONYMOUS, BadCredentialsError, basic_credentials, find_caller

if TYPE_CHECKING:
    from django.http import HttpRequest, QueryDict

    from matou.portal.tokens.callers import Caller

METHODS = ("GET", "HEAD", "POST", "OPTIONS")
RETRY_SOON = 5  # seconds

log = logging.getLogger(__name__)


@csrf_exempt  # credentials come in every request, never from a cookie
@never_cache
def jwt_auth(request: HttpRequest) -> HttpResponse:
    """Answer a client's request for a token."""
    if request.method not in METHODS:
        refusal = _refusal(HTTPStatus.METHOD_NOT_ALLOWED, "UNSUPPORTED", "The operation is unsupported.")
        refusal.headers["Allow"] = ", ".join(METHODS)
        return refusal
    if request.method == "OPTIONS":
        return HttpResponse(status=HTTPStatus.NO_CONTENT, headers={"Allow": ", ".join(METHODS)})
    try:
        return _answer(request)
    except Exception as error:
        explained = _refusal_for(error, request)
        if explained is None:
            raise
        return explained


def _answer(request: HttpRequest) -> HttpResponse:
    parameters = request.POST if request.method == "POST" else request.GET
    service = parameters.get("service")
    if service != REGISTRY_SERVICE:
        return HttpResponse(status=HTTPStatus.NOT_FOUND)
    caller = _caller(request)
    grants = authorize(caller, parameters.getlist("scope"))
    reply = caller_token(caller, REGISTRY_SERVICE, grants)
    if request.method == "POST":
        scope = render_scopes((grant.type, grant.name, action) for grant in grants for action in grant.actions)
        reply |= {"token_type": "Bearer", "scope": scope}
    return JsonResponse(reply)


class _UnsupportedGrantError(Exception):
    """The OAuth2 form cannot be used as it is.

    Args:
        code: of RFC 6749 section 5.2.
        reason: for a person.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def _caller(request: HttpRequest) -> Caller:
    """Return who calls: by the form's user name and password, the header's, or anonymously."""
    credentials = _form_credentials(request.POST) if request.method == "POST" else None
    if credentials is None:
        credentials = basic_credentials(request.headers.get("Authorization", ""))
    if credentials is None:
        return ANONYMOUS
    return find_caller(*credentials, client_address(request))


def _form_credentials(form: QueryDict) -> tuple[str, str] | None:
    grant_type, username, password = (str(form.get(name, "")) for name in ("grant_type", "username", "password"))
    if grant_type == "password":
        return (username, password) if username else None
    if grant_type == "refresh_token":
        raise _UnsupportedGrantError(
            "invalid_grant", "refresh tokens are not issued for the registry; log in with a user name and a token"
        )
    if not grant_type:
        raise _UnsupportedGrantError("invalid_request", "Missing required parameter: grant_type.")
    raise _UnsupportedGrantError(
        "unsupported_grant_type", "The authorization grant type is not supported; expected password."
    )


def _refusal_for(error: Exception, request: HttpRequest) -> HttpResponse | None:
    """Return the answer to a request that failed as expected; None if it failed otherwise."""
    answer: HttpResponse | None = None
    match error:
        case BadCredentialsError():
            log.warning("authentication of %r from %s failed", error.username, client_address(request))
            answer = _unauthorized(request)
        case AccessForbiddenError():
            answer = _refusal(HTTPStatus.FORBIDDEN, "DENIED", "access forbidden")
        case LockedOutError():
            minutes = int(settings.AXES_COOLOFF_TIME.total_seconds() // 60)
            reason = f"too many wrong passwords for this user from this address; try again in {minutes} minutes, or"
            answer = _come_back_later(f"{reason} use an access token, which is not throttled", minutes * 60)
        case LineTooLongError():
            reason = "too many sign-ins with a password at the same time; try again in some seconds, or"
            answer = _come_back_later(f"{reason} use an access token", RETRY_SOON)
        case KeyFileError():
            log.error("no token can be signed: %s", error)
            reason = "the portal cannot read its signing key; its log says why"
            answer = _refusal(HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE", reason)
        case DatabaseError():
            log.error("the database failed: %s", error)
            reason = (
                "the portal's database cannot be read or written, perhaps because the disk is full; its log says why"
            )
            answer = _refusal(HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE", reason)
        case TooManyScopesError():
            reason = f"more than {MAX_SCOPES} scopes in one request; ask in several requests"
            answer = _refusal(HTTPStatus.BAD_REQUEST, "DENIED", reason, oauth_error="invalid_scope")
        case _UnsupportedGrantError():
            answer = _refusal(HTTPStatus.BAD_REQUEST, "UNSUPPORTED", str(error), oauth_error=error.code)
    return answer


def _unauthorized(request: HttpRequest) -> HttpResponse:
    answer = _refusal(
        HTTPStatus.UNAUTHORIZED,
        "UNAUTHORIZED",
        "HTTP Basic: Access denied. The provided password or token is incorrect or your account has 2FA enabled and "
        "you must use a personal access token instead of a password. See "
        f"{settings.INSTALLATION.portal_url}/help/authentication",
        oauth_error="invalid_grant" if request.method == "POST" else None,
    )
    answer.headers["WWW-Authenticate"] = 'Basic realm="Matou", charset="UTF-8"'
    return answer


def _come_back_later(reason: str, seconds: int) -> HttpResponse:
    answer = _refusal(HTTPStatus.TOO_MANY_REQUESTS, "TOOMANYREQUESTS", reason)
    answer.headers["Retry-After"] = str(seconds)
    return answer


def _refusal(status: HTTPStatus, code: str, message: str, *, oauth_error: str | None = None) -> HttpResponse:
    """Return an error in the registry's form, and for OAuth2 clients in theirs as well."""
    body: dict[str, Any] = {"errors": [{"code": code, "message": message}]}
    if oauth_error is not None:
        body |= {"error": oauth_error, "error_description": message}
    return JsonResponse(body, status=status)
