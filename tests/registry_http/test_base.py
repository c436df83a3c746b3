"""What does not belong to a repository: ``/``, ``/v2/``, OPTIONS, methods that a route does not have (REG-8)."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from matou.registry.http.routes import ROUTES
from tests.registry_http.client import codes, connected, error_of
from tests.registry_http.content import blob, image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.registry_http.client import Client
    from tests.registry_http.content import Document
    from tests.servers.matou_registry import MatouRegistry

DIGEST = "sha256:" + "0" * 64
UPLOAD = "00000000-0000-4000-8000-000000000000"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND")
WRITING = {"POST", "PUT", "PATCH", "DELETE"}


def path_of(template: str, name: str = "a/b") -> str:
    """Return a path of a route, below ``/v2``."""
    filled = template.removeprefix("/v2").replace("<name>", name).replace("<uuid>", UPLOAD)
    return filled.replace("<digest>", DIGEST).replace("<reference>", "latest").replace("<tag>", "latest")


@pytest.mark.parametrize("path", ["", "/"])
def test_base(client: Client, path: str) -> None:
    """end-1; also without the slash, which Distribution redirects."""
    answer = client.ask("GET", path)
    assert (answer.status_code, answer.json()) == (200, {})
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["docker-distribution-api-version"] == "registry/2.0"
    head = client.ask("HEAD", path)
    assert (head.status_code, head.headers["content-length"]) == (200, "2")


def test_gitlab_is_told_what_exists_and_no_more(client: Client) -> None:
    """The version header would promise the API below /gitlab/v1/."""
    headers = client.ask("GET", "/").headers
    assert headers["gitlab-container-registry-features"] == "tag_delete"
    assert "gitlab-container-registry-version" not in headers
    assert httpx.get(f"{client.registry.url}/gitlab/v1/", trust_env=False).status_code == 404


def test_load_balancers_look_at_the_root(registry: MatouRegistry) -> None:
    for method in ("GET", "HEAD"):
        answer = httpx.request(method, f"{registry.url}/", trust_env=False)
        assert (answer.status_code, answer.content, answer.headers["cache-control"]) == (200, b"", "no-cache")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_options(client: Client, route: Any) -> None:
    """GitLab looks for DELETE in Allow to find out whether tags can be deleted."""
    answer = client.ask("OPTIONS", path_of(route.template))
    assert answer.status_code == 200
    assert answer.headers["allow"] == ", ".join(sorted(route.methods))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_methods_that_a_route_does_not_have(client: Client, route: Any, method: str) -> None:
    """RFC 9110 section 15.5.6."""
    answer = client.ask(method, path_of(route.template))
    assert (answer.status_code == 405) == (method not in route.methods)
    if answer.status_code == 405:
        if method != "HEAD":
            assert codes(answer) == ["UNSUPPORTED"]
        assert answer.headers["allow"] == ", ".join(sorted(route.methods))


NO_ENDPOINTS = [
    "/a",
    "/a/b",
    "/a/manifests",
    "/a/tags",
    "/a/blobs",
    "/_catalog/x",
    "/a/tags/list/x",
    "/manifests/latest",
    "/_x",
]


@pytest.mark.parametrize("path", NO_ENDPOINTS)
def test_paths_that_are_none(client: Client, path: str) -> None:
    assert error_of(client.ask("GET", path)) == (404, ["NAME_UNKNOWN"])


@pytest.mark.parametrize(
    "path", ["/v1/", "/v1/_ping", "/v22/", "/v2x", "/favicon.ico", "/metrics", "/debug/health", "/v2"[:2]]
)
def test_paths_outside(registry: MatouRegistry, path: str) -> None:
    answer = httpx.get(f"{registry.url}{path}", trust_env=False)
    assert error_of(answer) == (404, ["NAME_UNKNOWN"])


@pytest.mark.parametrize(
    "word", ["manifests", "blobs", "tags", "list", "uploads", "referrers", "reference", "v2", "catalog"]
)
def test_words_of_paths_are_names_too(client: Client, word: str) -> None:
    for name in (word, f"{word}/{word}", f"a/{word}/b", f"{word}/uploads/list", f"a/tags/{word}"):
        made = client.push_image(name, word)
        assert client.ask("GET", f"/{name}/manifests/{word}").content == made.content
        assert word in client.ask("GET", f"/{name}/tags/list").json()["tags"]
        assert client.ask("DELETE", f"/{name}/manifests/{made.digest}").status_code == 202


@pytest.fixture(scope="module")
def unchanging(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Client, Document]]]:
    """Registries of one image each: one in maintenance, one that does not delete."""
    folder = tmp_path_factory.mktemp("registry")
    with (
        filled(folder / "readonly", {"maintenance": {"readonly": {"enabled": True}}}) as readonly,
        filled(folder / "kept", {"delete": {"enabled": False}}) as kept,
    ):
        yield {"readonly": readonly, "kept": kept}


@contextlib.contextmanager
def filled(folder: Path, storage: dict[str, Any]) -> Iterator[tuple[Client, Document]]:
    """Yield a registry that was filled when it still let everything be done."""
    with connected(folder) as client:
        made = client.push_image("a/b", "latest")
    with connected(folder, {"storage": storage, "http": {"headers": {"X-Test": ["yes"]}}}) as client:
        yield client, made


@pytest.mark.parametrize(
    ("route", "method"),
    [(route, method) for route in ROUTES for method in sorted(WRITING & set(route.methods))],
    ids=lambda value: getattr(value, "name", value),
)
def test_maintenance(unchanging: dict[str, tuple[Client, Document]], route: Any, method: str) -> None:
    """STO-6: 405 with JSON that says why, for all that write; pulls go on."""
    client, made = unchanging["readonly"]
    answer = client.ask(method, path_of(route.template), content=made.content)
    assert error_of(answer) == (405, ["UNSUPPORTED"])
    assert "maintenance" in answer.json()["errors"][0]["message"]
    assert answer.headers["allow"] == ", ".join(sorted(set(route.methods) - WRITING))
    assert answer.headers["allow"] == client.ask("OPTIONS", path_of(route.template)).headers["allow"]


def test_pulls_in_maintenance(unchanging: dict[str, tuple[Client, Document]]) -> None:
    client, made = unchanging["readonly"]
    for _ in range(3):
        assert client.ask("GET", "/a/b/manifests/latest").content == made.content
    assert client.ask("GET", "/a/b/tags/list").json()["tags"] == ["latest"]
    assert client.ask("GET", "/_catalog").json() == {"repositories": ["a/b"]}
    assert "gitlab-container-registry-features" not in client.ask("GET", "/").headers


@pytest.mark.parametrize("path", ["manifests/latest", "manifests/{digest}", f"blobs/{DIGEST}", "tags/reference/latest"])
def test_deleting_switched_off(unchanging: dict[str, tuple[Client, Document]], path: str) -> None:
    """Section "Content Management": a registry may; 405 that names the setting."""
    client, made = unchanging["kept"]
    path = "/a/b/" + path.format(digest=made.digest)
    answer = client.ask("DELETE", path)
    assert error_of(answer) == (405, ["UNSUPPORTED"])
    assert "storage.delete.enabled" in answer.json()["errors"][0]["detail"]
    assert "DELETE" not in answer.headers["allow"]
    assert "DELETE" not in client.ask("OPTIONS", path).headers["allow"]
    assert client.ask("GET", "/a/b/manifests/latest").content == made.content


def test_with_deleting_switched_off_pushes_go_on(unchanging: dict[str, tuple[Client, Document]]) -> None:
    client, _ = unchanging["kept"]
    config = client.push_blob("a/c", blob())
    client.push("a/c", image(config.descriptor()), "t")
    # Cancelling an upload deletes nothing that was pushed.
    begun = client.begin("a/c")
    assert "DELETE" in client.follow(begun, "OPTIONS").headers["allow"]
    assert client.follow(begun, "DELETE").status_code == 204


def test_headers_of_the_configuration_go_with_every_answer(unchanging: dict[str, tuple[Client, Document]]) -> None:
    client, _ = unchanging["readonly"]
    for path in ("/", "/a/b/manifests/latest", "/a/b/manifests/latest", "/a/b/manifests/no", "/a/b/tags/list", "/x"):
        for method in ("GET", "HEAD", "OPTIONS", "POST"):
            assert client.ask(method, path).headers["x-test"] == "yes"


def test_in_memory(tmp_path: Path) -> None:
    """The driver without files answers as the one with them: content is streamed."""
    with connected(tmp_path / "memory", {"storage": {"inmemory": {}}}) as client:
        made = client.push_image("a/b", "latest")
        large = client.push_blob("a/b", blob(3_000_000))
        assert client.ask("GET", "/a/b/manifests/latest").content == made.content
        assert client.ask("GET", f"/a/b/blobs/{large.digest}").content == large.content
        part = client.ask("GET", f"/a/b/blobs/{large.digest}", headers={"Range": "bytes=1000000-2999998"})
        assert (part.status_code, part.content) == (206, large.content[1_000_000:2_999_999])
        answer = client.chunk(client.begin("a/b"), large.content[:1_500_000], 0)
        answer = client.chunk(answer, large.content[1_500_000:], 1_500_000)
        assert client.follow(answer, "PUT", params={"digest": large.digest}).status_code == 201
        assert client.ask("DELETE", f"/a/b/manifests/{made.digest}").status_code == 202
        assert client.status_of("/a/b/manifests/latest") == 404
