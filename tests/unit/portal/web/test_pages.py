from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from django.apps import apps
from django.core.exceptions import SuspiciousOperation
from django.db import OperationalError, connection
from django.test import Client
from django.urls import path

from matou.portal.urls import (
    handler400,
    handler403,
    handler404,
    handler500,
)
from matou.portal.urls import (
    urlpatterns as real_patterns,
)
from matou.portal.web.registry_status import RegistryStatus, State

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse
    from pytest_django import Settings

pytestmark = pytest.mark.django_db
HANDLERS = (handler400, handler403, handler404, handler500)  # found here by name when this module is the URLconf


def broken(_request: HttpRequest) -> HttpResponse:
    raise RuntimeError("the secret is 42")


def suspicious(_request: HttpRequest) -> HttpResponse:
    raise SuspiciousOperation("no")


urlpatterns = [
    path("broken", broken),
    path("api/broken", broken),
    path("suspicious", suspicious),
    *real_patterns,
]


class Page(HTMLParser):
    """What is of interest in a page."""

    VOID = frozenset({"meta", "link", "img", "br", "input", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> list[State]:
    answers = [State.RUNNING]
    monkeypatch.setattr(RegistryStatus, "get", lambda _self: answers[-1])
    return answers


@pytest.mark.parametrize("address", ["/", "/help/authentication", "/help/api", "/nothing"])
def test_pages_are_accessible_and_need_no_script(client: Client, registry: list[State], address: str) -> None:
    del registry
    response = client.get(address, headers={"Host": "evil.example"})
    page = Page(response.text)
    assert page.open == []
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("title")) == 1
    assert page.all("script") == page.all("style") == []
    assert all("style" not in attributes and "onclick" not in attributes for _, attributes in page.tags)
    assert all("alt" in attributes for attributes in page.all("img"))
    assert page.all("a")[0] == {"class": "skip", "href": "#content"}
    identifiers = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    labels = [attributes["aria-labelledby"] for _, attributes in page.tags if "aria-labelledby" in attributes]
    assert set(labels) <= set(identifiers)
    assert "evil.example" not in response.text
    for attributes in page.all("a"):
        target = str(attributes["href"])
        assert target.startswith(("/", "#"))
        if target.startswith("/"):
            assert client.get(target).status_code == 200
    for attributes in [*page.all("link"), *page.all("img")]:
        loaded = client.get(str(attributes.get("href") or attributes["src"]))
        assert loaded.status_code == 200
        assert "immutable" in loaded.headers["Cache-Control"]


def test_the_front_page_tells_how_to_log_in(client: Client, registry: list[State]) -> None:
    text = client.get("/").text
    assert "docker login 127.0.0.1:5000\n" in text
    assert "podman login --tls-verify=false 127.0.0.1:5000\n" in text
    assert text.count('class="state good"') == 2
    registry.append(State.UNREACHABLE)
    assert "does not answer" in client.get("/").text
    registry.append(State.DISTRUSTFUL)
    assert "rootcertbundle" in client.get("/").text


def test_with_tls_nobody_is_told_to_do_without(client: Client, registry: list[State], settings: Settings) -> None:
    del registry
    settings.INSTALLATION = dataclasses.replace(settings.INSTALLATION, registry_url="https://images.example.com")
    text = client.get("/").text
    assert "podman login images.example.com\n" in text
    assert "tls-verify" not in text
    assert "TLS" not in text


@pytest.mark.parametrize("address", ["/", "/-/liveness", "/jwt/auth", "/nothing", "/api/v4/nothing"])
def test_headers_of_every_answer(client: Client, registry: list[State], address: str) -> None:
    del registry
    headers = client.get(address).headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'")
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "Set-Cookie" not in headers


@pytest.mark.parametrize("name", ["nothing.css", "..%2Fviews.py", "../views.py", "style.css%00"])
def test_other_assets_are_not_there(client: Client, name: str) -> None:
    assert client.get(f"/assets/{name}").status_code == 404


def test_an_old_version_of_an_asset_is_not_kept(client: Client) -> None:
    assert client.get("/assets/style.css?v=old").headers["Cache-Control"] == "no-cache"


def test_the_style_sheet_is_for_both_colour_schemes(client: Client) -> None:
    response = client.get("/assets/style.css")
    assert response.headers["Content-Type"] == "text/css; charset=utf-8"
    style = response.text
    assert "prefers-color-scheme: dark" in style
    light, dark = (dict(re.findall(r"(--[\w-]+): (#[0-9a-f]+)", block)) for block in style.split("@media", 1))
    assert set(light) == set(dark)
    for colours in (light, dark):
        for text, ground in (
            ("--text", "--ground"),
            ("--text", "--raised"),
            ("--soft", "--ground"),
            ("--soft", "--raised"),
            ("--accent", "--raised"),
            ("--accent", "--code"),
            ("--on-accent", "--accent"),
            ("--good", "--good-ground"),
            ("--bad", "--bad-ground"),
        ):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours (WCAG 2.2, success criterion 1.4.3)."""

    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
        parts = [int(digits[start : start + 2], 16) / 255 for start in (0, 2, 4)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_health(client: Client) -> None:
    assert client.get("/-/liveness").json() == {"status": "ok"}
    assert client.get("/-/readiness").json() == {"status": "ok", "master_check": [{"status": "ok"}]}
    assert client.get("/-/health").text == "Matou OK"
    assert client.head("/-/readiness").status_code == 200
    assert client.post("/-/readiness").status_code == 405


def test_health_without_a_database(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OperationalError("disk I/O error")

    monkeypatch.setattr(connection, "cursor", fail)
    response = client.get("/-/readiness")
    assert response.status_code == 503
    assert response.json()["master_check"][0]["status"] == "failed"
    assert "disk" not in response.text
    assert client.get("/-/health").status_code == 503
    assert client.get("/-/liveness").status_code == 200


@pytest.mark.urls(__name__)
@pytest.mark.parametrize(
    ("address", "accept", "status", "media_type"),
    [
        ("/broken", "text/html", 500, "text/html"),
        ("/api/broken", "*/*", 500, "application/json"),
        ("/suspicious", "text/html", 400, "text/html"),
        ("/nothing", "text/html,*/*", 404, "text/html"),
        ("/nothing", "*/*", 404, "text/plain"),
        ("/oauth/nothing", "text/html", 404, "application/json"),
        ("/v2/nothing", "*/*", 404, "application/json"),
    ],
)
def test_failures_are_told_without_a_traceback(
    client: Client, address: str, accept: str, status: int, media_type: str
) -> None:
    response = client.get(address, headers={"Accept": accept})
    assert response.status_code == status
    assert response.headers["Content-Type"].split(";")[0] == media_type
    assert "Traceback" not in response.text
    assert "42" not in response.text


@pytest.mark.parametrize(("address", "media_type"), [("/", "text/html"), ("/-/liveness", "application/json")])
def test_a_forged_form_is_told_in_our_words(address: str, media_type: str) -> None:
    response = Client(enforce_csrf_checks=True).post(address)
    assert response.status_code == 403
    assert response.headers["Content-Type"].split(";")[0] == media_type
    assert "DEBUG" not in response.text


def test_a_host_that_is_none_is_refused(client: Client) -> None:
    assert client.get("/-/liveness", headers={"Host": "a b<script>"}).status_code == 400


def test_the_application_keeps_one_status() -> None:
    web = apps.get_app_config("web")
    assert web.registry_status is web.registry_status  # type: ignore[attr-defined] # ours
