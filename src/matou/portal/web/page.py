"""What every page is given."""

from __future__ import annotations

from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING, cast

from django.apps import apps
from django.conf import settings
from django.shortcuts import render

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from matou.portal.web.apps import WebConfig


def web() -> WebConfig:
    """Return the domain's parts."""
    return cast("WebConfig", apps.get_app_config("web"))


def page(request: HttpRequest, template: str, *, status: HTTPStatus = HTTPStatus.OK, **context: object) -> HttpResponse:
    """Return a page.

    Args:
        request: that it answers; links never come from its Host header.
        template: its path.
        status: of the answer.
        context: what the template needs besides what all have.
    """
    installation = settings.INSTALLATION
    scheme, _, host = installation.registry_url.partition("://")
    common = {
        "portal_url": installation.portal_url,
        "registry_url": installation.registry_url,
        "registry_host": host,
        "is_plain": scheme == "http",
        "version": version("matou"),
        "style": web().assets.address("style.css"),
        "icon": web().assets.address("icon.svg"),
    }
    return render(request, template, common | context, status=status)
