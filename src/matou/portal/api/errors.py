"""Errors of the REST API, in the shapes that GitLab's clients parse.

GitLab answers in three shapes: ``{"message": "404 Project Not Found"}`` for what its helpers raise,
``{"message": {"name": ["has already been taken"]}}`` for a model that does not validate, and
``{"error": "name is missing"}`` for parameters that Grape, its API framework, refuses.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from django.core.exceptions import NON_FIELD_ERRORS, RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.core.exceptions import ValidationError as ModelValidationError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from ninja.errors import HttpError
from ninja.errors import ValidationError as ArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ninja import NinjaAPI

log = logging.getLogger(__name__)


class ApiError(Exception):
    """An answer that ends the request.

    Args:
        status: The HTTP status.
        body: The JSON document of the answer.
        headers: Headers to add.
    """

    def __init__(self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = dict(body)
        self.headers = dict(headers or {})


def not_found(what: str = "") -> ApiError:
    """The 404 of a missing thing, or of one that the caller may not know of; ``what`` is for example ``Project``."""
    return ApiError(HTTPStatus.NOT_FOUND, {"message": f"404 {what} Not Found" if what else "404 Not Found"})


def unauthorized() -> ApiError:
    """The 401 of a request without valid credentials."""
    return ApiError(HTTPStatus.UNAUTHORIZED, {"message": "401 Unauthorized"})


def invalid_token(description: str) -> ApiError:
    """The 401 of a token that was once valid (RFC 6750 section 3.1)."""
    return ApiError(
        HTTPStatus.UNAUTHORIZED,
        {"error": "invalid_token", "error_description": description},
        {"WWW-Authenticate": f'Bearer realm="Protected by OAuth 2.0", error="invalid_token", '
         f'error_description="{description}"'},
    )  # fmt: skip


def insufficient_scope(*scopes: str) -> ApiError:
    """The 403 of a token that lacks every one of ``scopes`` (RFC 6750 section 3.1)."""
    description = "The request requires higher privileges than provided by the access token."
    wanted = " ".join(scopes)
    return ApiError(
        HTTPStatus.FORBIDDEN,
        {"error": "insufficient_scope", "error_description": description, "scope": wanted},
        {"WWW-Authenticate": f'Bearer realm="Protected by OAuth 2.0", error="insufficient_scope", '
         f'error_description="{description}", scope="{wanted}"'},
    )  # fmt: skip


def forbidden(reason: str = "") -> ApiError:
    """The 403 of something that the caller may see but not do."""
    return ApiError(HTTPStatus.FORBIDDEN, {"message": f"403 Forbidden - {reason}" if reason else "403 Forbidden"})


def bad_request(reason: str) -> ApiError:
    """The 400 of a request that cannot be carried out as it is."""
    return ApiError(HTTPStatus.BAD_REQUEST, {"message": f"400 Bad request - {reason}"})


def bad_argument(text: str) -> ApiError:
    """The 400 of a parameter that the framework refuses, for example ``name is missing``."""
    return ApiError(HTTPStatus.BAD_REQUEST, {"error": text})


def invalid(**fields: str | list[str]) -> ApiError:
    """The 400 of values that the model refuses, by field."""
    return ApiError(
        HTTPStatus.BAD_REQUEST,
        {"message": {name: [text] if isinstance(text, str) else text for name, text in fields.items()}},
    )


def failed_to_save(what: str, error: ModelValidationError) -> ApiError:
    """The 400 of a new group, whose problems GitLab tells as Ruby writes a hash."""
    fields = ", ".join(f":{name}=>[{', '.join(map(_quoted, texts))}]" for name, texts in error.message_dict.items())
    return ApiError(HTTPStatus.BAD_REQUEST, {"message": f"Failed to save {what} {{{fields}}}"})


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def conflict(message: str) -> ApiError:
    """The 409 of a thing that is there already."""
    return ApiError(HTTPStatus.CONFLICT, {"message": message})


def answer(error: ApiError) -> HttpResponse:
    """The HTTP answer of an error."""
    return JsonResponse(error.body, status=error.status, headers=error.headers)


def from_model(error: ModelValidationError) -> ApiError:
    """The 400 of Django's validation error: by field where it knows fields, ``base`` otherwise."""
    if hasattr(error, "error_dict"):
        fields = {("base" if name == NON_FIELD_ERRORS else name): texts for name, texts in error.message_dict.items()}
    else:
        fields = {"base": error.messages}
    return invalid(**fields)


def _on_api_error(_request: HttpRequest, error: ApiError | type[ApiError]) -> HttpResponse:
    assert isinstance(error, ApiError)  # noqa: S101 -- narrows django-ninja's "exception or its type"
    return answer(error)


def _on_model_error(_request: HttpRequest, error: ModelValidationError | type[ModelValidationError]) -> HttpResponse:
    assert isinstance(error, ModelValidationError)  # noqa: S101 -- as above
    return answer(from_model(error))


def _on_argument_error(_request: HttpRequest, error: ArgumentError | type[ArgumentError]) -> HttpResponse:
    assert isinstance(error, ArgumentError)  # noqa: S101 -- as above
    # Only path parameters come here: arguments.py answers for all others.
    return answer(bad_argument(", ".join(f"{problem['loc'][-1]} is invalid" for problem in error.errors)))


def _on_missing(_request: HttpRequest, _error: Http404 | type[Http404]) -> HttpResponse:
    return answer(not_found())


def _on_http_error(_request: HttpRequest, error: HttpError | type[HttpError]) -> HttpResponse:
    assert isinstance(error, HttpError)  # noqa: S101 -- as above
    return answer(ApiError(error.status_code, {"message": f"{error.status_code} {error.message}"}))


def _on_too_large(_request: HttpRequest, _error: RequestDataTooBig | type[RequestDataTooBig]) -> HttpResponse:
    return answer(ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": "Request Entity Too Large"}))


def _on_too_many(_request: HttpRequest, error: Exception | type[Exception]) -> HttpResponse:
    return answer(bad_argument(f"{error} The request has too many parameters."))


def _on_fault(request: HttpRequest, error: Exception | type[Exception]) -> HttpResponse:
    log.error("%s %s failed", request.method, request.path, exc_info=error if isinstance(error, Exception) else None)
    return answer(ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, {"message": "500 Internal Server Error"}))


def install(api: NinjaAPI) -> None:
    """Makes ``api`` answer every exception in GitLab's shapes."""
    api.add_exception_handler(ApiError, _on_api_error)
    api.add_exception_handler(ModelValidationError, _on_model_error)
    api.add_exception_handler(ArgumentError, _on_argument_error)
    api.add_exception_handler(Http404, _on_missing)
    api.add_exception_handler(HttpError, _on_http_error)
    api.add_exception_handler(RequestDataTooBig, _on_too_large)
    api.add_exception_handler(TooManyFieldsSent, _on_too_many)
    api.add_exception_handler(TooManyFilesSent, _on_too_many)
    api.add_exception_handler(Exception, _on_fault)
