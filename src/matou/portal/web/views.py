"""The front page, the help page on signing in, and what both load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import Http404, HttpResponse
from django.utils.cache import patch_cache_control
from django.views.decorators.http import require_safe

from matou.portal.web.page import page, web
from matou.portal.web.registry_status import State

if TYPE_CHECKING:
    from django.http import HttpRequest

KEEP = 365 * 24 * 3600  # seconds


@require_safe
def front_page(request: HttpRequest) -> HttpResponse:
    """Tell what is running and how to log in."""
    state = web().registry_status.get()
    return page(request, "web/front_page.html", running=state is State.RUNNING, distrustful=state is State.DISTRUSTFUL)


@require_safe
def authentication_help(request: HttpRequest) -> HttpResponse:
    """Tell with which credentials one gets in."""
    return page(request, "web/authentication_help.html")


@require_safe
def asset(request: HttpRequest, name: str) -> HttpResponse:
    """Return a file that pages load; browsers may keep it where they ask for the version that there is."""
    found = web().assets.find(name)
    if found is None:
        raise Http404
    response = HttpResponse(found.content, content_type=found.media_type)
    if request.GET.get("v") == found.version:
        patch_cache_control(response, public=True, max_age=KEEP, immutable=True)
    else:
        patch_cache_control(response, no_cache=True)
    return response
