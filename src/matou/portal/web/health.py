"""``/-/liveness``, ``/-/readiness`` and ``/-/health``: for supervisors and load balancers.

Source: GitLab "Health check"; the bodies are GitLab's.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

from django.db import DatabaseError, connection
from django.http import HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

if TYPE_CHECKING:
    from django.http import HttpRequest

log = logging.getLogger(__name__)


@never_cache
@require_safe
def liveness(_request: HttpRequest) -> HttpResponse:
    """Tell that requests are answered."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readiness(_request: HttpRequest) -> HttpResponse:
    """Tell whether the database can be read: 200, or 503."""
    if _database_answers():
        return JsonResponse({"status": "ok", "master_check": [{"status": "ok"}]})
    return JsonResponse(
        {"status": "failed", "master_check": [{"status": "failed", "message": "the database cannot be read"}]},
        status=HTTPStatus.SERVICE_UNAVAILABLE,
    )


@never_cache
@require_safe
def health(_request: HttpRequest) -> HttpResponse:
    """Tell the same in a word."""
    if _database_answers():
        return HttpResponse("Matou OK", content_type="text/plain; charset=utf-8")
    return HttpResponse("Matou is not ready", status=HTTPStatus.SERVICE_UNAVAILABLE, content_type="text/plain")


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM django_migrations")
            return bool(cursor.fetchone())
    except DatabaseError as error:
        log.error("the database cannot be read: %s", error)  # noqa: TRY400 -- asked every second: one line is enough
        return False
