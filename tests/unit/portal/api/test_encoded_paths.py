from __future__ import annotations

import pytest
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import AsyncRequestFactory, RequestFactory

from matou.portal.api.encoded_paths import EncodedPathMiddleware, ReferenceConverter, path_as_sent


def echo(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"path": request.path_info, "method": request.method})


@pytest.mark.parametrize(
    ("target", "routed"),
    [
        ("/api/v4/projects/a%2Fb", "/api/v4/projects/a%2Fb"),
        ("/api/v4/projects/a%2fb?x=%2F", "/api/v4/projects/a%2fb"),
        ("/api/v4/projects/a%252Fb/members/", "/api/v4/projects/a%252Fb/members"),
        ("http://host.example/api/v4/projects/a%2Fb", "/api/v4/projects/a%2Fb"),
        # Encoded prefixes and endless paths fall back to what the server decoded.
        ("/api%2Fv4/projects/a%2Fb", "/api/v4/projects/decoded"),
        ("/api/v4/projects/" + "a%2F" * 20_000, "/api/v4/projects/decoded"),
        ("*", "/api/v4/projects/decoded"),
    ],
)
def test_routes_by_the_path_as_sent(target: str, routed: str) -> None:
    request = RequestFactory().get("/api/v4/projects/decoded", REQUEST_URI=target)
    EncodedPathMiddleware(echo)(request)
    assert request.path_info == routed


def test_asgi_servers_tell_the_raw_path() -> None:
    request = AsyncRequestFactory().get("/api/v4/projects/a/b")
    assert path_as_sent(request) is None
    request.scope = {**request.scope, "raw_path": b"/api/v4/projects/a%2Fb"}
    assert path_as_sent(request) == "/api/v4/projects/a%2Fb"


def test_other_pages_are_left_alone() -> None:
    request = RequestFactory().head("/help/api/", REQUEST_URI="/help%2Fapi/")
    response = EncodedPathMiddleware(echo)(request)
    assert request.path_info == "/help/api/"
    assert response.content == b'{"path": "/help/api/", "method": "HEAD"}'


def test_head_is_get_without_body() -> None:
    request = RequestFactory().head("/api/v4/version")
    response = EncodedPathMiddleware(echo)(request)
    assert response.content == b""
    assert response.headers["Content-Length"] == str(len(b'{"path": "/api/v4/version", "method": "GET"}'))
    assert request.method == "HEAD"


@pytest.mark.parametrize(("status", "error"), [(404, {"error": "404 Not Found"}), (405, {"error": "405 Not Allowed"})])
def test_routing_errors_are_json(status: int, error: dict[str, str]) -> None:
    def refuse(_request: HttpRequest) -> HttpResponse:
        return HttpResponse("<h1>no</h1>", status=status, headers={"Allow": "GET"})

    response = EncodedPathMiddleware(refuse)(RequestFactory().get("/api/v4/absent"))
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Allow"] == "GET"
    assert response.content.decode() == str(error).replace("'", '"')


@pytest.mark.parametrize(
    ("segment", "decoded"), [("a%2Fb", "a/b"), ("a%252Fb", "a%2Fb"), ("%E7%A0%81", "码"), ("7", "7")]
)
def test_segments_are_decoded_once(segment: str, decoded: str) -> None:
    assert ReferenceConverter().to_python(segment) == decoded


@pytest.mark.parametrize("segment", ["%FF", "a%00b"])
def test_segments_that_name_nothing(segment: str) -> None:
    with pytest.raises(ValueError, match="the path segment"):
        ReferenceConverter().to_python(segment)
