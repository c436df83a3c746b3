"""Full paths as ids: ``/projects/group%2Fproject`` names one project.

Servers decode the path before Django sees it, and then ``%2F`` is a slash like any other. This module routes
requests below ``/api/v4/`` by the path as it was sent, so that an encoded slash stays inside its segment, and the
converter ``ref`` decodes each segment once. It also gives routing errors the shape of the API's other errors.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from django.http import HttpResponse, JsonResponse
from django.utils import translation

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest

API_PREFIX = "/api/v4/"
# An HTTP server refuses request lines of this length long before; it bounds what is decoded here.
LONGEST_PATH = 16 * 1024


class ReferenceConverter:
    """A path segment that holds an id or a URL-encoded full path; decoded exactly once."""

    regex = "[^/]+"

    def to_python(self, value: str) -> str:
        """Decodes a segment; refuses what is no UTF-8, or holds a NUL, by not matching the route."""
        try:
            decoded = unquote(value, errors="strict")
        except UnicodeDecodeError as error:
            raise ValueError("the path segment is not UTF-8") from error
        if "\0" in decoded:
            raise ValueError("the path segment holds a NUL character")
        return decoded

    def to_url(self, value: str) -> str:
        """Leaves the segment alone: Django encodes it (``reverse`` is used for fixed paths only)."""
        return str(value)


class IdConverter:
    """A path segment that holds an id, of no more digits than the database has."""

    regex = "[0-9]{1,18}"

    def to_python(self, value: str) -> int:
        """The number."""
        return int(value)

    def to_url(self, value: int) -> str:
        """The number in digits."""
        return str(value)


def path_as_sent(request: HttpRequest) -> str | None:
    """The request's path, still percent-encoded, or None when the server does not tell.

    ASGI servers give it as ``raw_path``; WSGI servers, where they do, as ``REQUEST_URI`` or ``RAW_URI``.
    """
    raw: object = getattr(request, "scope", {}).get("raw_path")
    if isinstance(raw, bytes):
        return raw.decode("latin-1").partition("?")[0]
    target = request.META.get("REQUEST_URI") or request.META.get("RAW_URI")
    if isinstance(target, str):
        # A proxy's absolute form (RFC 9112 section 3.2.2) has scheme and host before the path.
        return target.partition("?")[0] if target.startswith("/") else urlsplit(target).path
    return None


class EncodedPathMiddleware:
    """Routes the API by the path as sent, answers HEAD as GET without its body, and errors in JSON."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Handles one request; those outside the API pass untouched."""
        if not request.path_info.startswith(API_PREFIX):
            return self.get_response(request)
        raw = path_as_sent(request)
        if raw is not None and len(raw) <= LONGEST_PATH:
            script_name = request.META.get("SCRIPT_NAME", "")
            raw = raw.removeprefix(script_name)
            # A prefix that is itself encoded would name another route than the one that the server saw.
            if raw.startswith(API_PREFIX):
                request.path_info = raw
        request.path_info = request.path_info.rstrip("/") or "/"
        head = request.method == "HEAD"
        if head:
            request.method = "GET"
        with translation.override("en"):  # clients parse what errors say
            response = self.get_response(request)
        if response.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
            response = _in_json(response)
        if head:
            request.method = "HEAD"
            length = len(response.content)
            response.content = b""
            response.headers["Content-Length"] = str(length)
        return response


def _in_json(response: HttpResponse) -> HttpResponse:
    """Gives an error of Django's own router the API's shape."""
    if response.headers.get("Content-Type", "").startswith("application/json"):
        return response
    missing = response.status_code == HTTPStatus.NOT_FOUND
    replacement = JsonResponse(
        {"error": "404 Not Found" if missing else "405 Not Allowed"}, status=response.status_code
    )
    if "Allow" in response.headers:
        replacement.headers["Allow"] = response.headers["Allow"]
    return replacement
