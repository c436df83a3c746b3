"""Every path of the portal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.urls import path

from matou.portal.api.documentation import api_documentation
from matou.portal.api.routes import api
from matou.portal.images.views import jwt_auth
from matou.portal.tokens.views import revoke_token, token, token_info
from matou.portal.web import health
from matou.portal.web.views import asset, authentication_help, front_page

if TYPE_CHECKING:
    from django.urls import URLPattern, URLResolver

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v4/", api.urls),
    path("help/api", api_documentation, name="api-documentation"),
    path("", front_page, name="front-page"),
    path("help/authentication", authentication_help, name="authentication-help"),
    path("assets/<str:name>", asset, name="asset"),
    path("-/liveness", health.liveness),
    path("-/readiness", health.readiness),
    path("-/health", health.health),
    path("jwt/auth", jwt_auth, name="jwt-auth"),
    path("v2/token", jwt_auth),
    path("oauth/token", token),
    path("oauth/token/info", token_info),
    path("oauth/revoke", revoke_token),
]

handler400 = "matou.portal.web.failures.bad_request"
handler403 = "matou.portal.web.failures.forbidden"
handler404 = "matou.portal.web.failures.not_found"
handler500 = "matou.portal.web.failures.server_error"
