"""Every path of the portal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.urls import path

from matou.portal.api.documentation import api_documentation
from matou.portal.api.routes import api

if TYPE_CHECKING:
    from django.urls import URLPattern, URLResolver

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v4/", api.urls),
    path("help/api", api_documentation, name="api-documentation"),
]
