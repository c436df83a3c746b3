"""What is answered where no view can answer: pages for people, JSON for programs, never a traceback."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from django.http import HttpResponse, JsonResponse
from django.utils.translation import gettext as _

from matou.portal.web.page import page

if TYPE_CHECKING:
    from django.http import HttpRequest

PROGRAMS = ("/api/", "/jwt/", "/oauth/", "/v2/", "/-/")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400: the request breaks a limit or a rule of HTTP."""
    del exception
    return _answer(request, HTTPStatus.BAD_REQUEST, _("The request cannot be understood."))


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403."""
    del exception
    return _answer(request, HTTPStatus.FORBIDDEN, _("You may not see this page."))


def forged(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403: a form without the token that our own pages put into theirs."""
    del reason
    return _answer(request, HTTPStatus.FORBIDDEN, _("This does not come from a page of ours. Load the page again."))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404."""
    del exception
    return _answer(request, HTTPStatus.NOT_FOUND, _("There is no such page."))


def server_error(request: HttpRequest) -> HttpResponse:
    """500; the log has the reason, under the request's id."""
    return _answer(
        request,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        _("Something went wrong on our side. The log says more, under the number of the request."),
    )


def _answer(request: HttpRequest, status: HTTPStatus, message: str) -> HttpResponse:
    if request.path.startswith(PROGRAMS):
        return JsonResponse({"message": f"{status.value} {status.phrase}"}, status=status)
    if status == HTTPStatus.NOT_FOUND and "text/html" not in request.headers.get("Accept", "text/html"):
        return HttpResponse(f"{status.value} {status.phrase}\n", status=status, content_type="text/plain")
    number = request.META.get("portal.request_id", "")
    return page(request, "web/failure.html", status=status, code=status.value, message=message, request_id=number)
