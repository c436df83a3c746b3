"""A client of the registry's API that sends what it is told and checks the form of every answer."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import httpx

from matou.registry.errors import ERROR_CODES
from tests.registry_http.content import OCI_LAYER, OCTETS, blob, image
from tests.servers.matou_registry import running_registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from tests.registry_http.content import Blob, Document
    from tests.servers.matou_registry import MatouRegistry

Param = str | Sequence[str]  # one value of a parameter, or several

API_VERSION = "registry/2.0"


class Client:
    """Requests below ``/v2``.

    Args:
        registry: that answers.
        headers: of every request.
    """

    def __init__(self, registry: MatouRegistry, headers: Mapping[str, str] | None = None) -> None:
        self.registry = registry
        self.base = f"{registry.url}{registry.prefix}/v2"
        # One connection for as long as the client: it is always the same worker that answers.
        limits = httpx.Limits(max_connections=1, keepalive_expiry=None)
        self._http = httpx.Client(headers=dict(headers or {}), timeout=30, trust_env=False, limits=limits)

    def close(self) -> None:
        self._http.close()

    def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | Iterable[bytes] | None = None,
        params: Mapping[str, Param] | None = None,
    ) -> httpx.Response:
        """Send a request for a path below ``/v2``, or for a URL that an answer named."""
        url = httpx.URL(path if path.startswith("http") else f"{self.base}{path}")
        if params:
            url = url.copy_merge_params(params)
        answer = self._http.request(method, url, headers=headers, content=content)
        check_form(answer)
        return answer

    def follow(self, answer: httpx.Response, method: str, **arguments: Any) -> httpx.Response:
        """Send a request to an answer's ``Location``."""
        return self.ask(method, urljoin(str(answer.request.url), answer.headers["location"]), **arguments)

    def begin(self, name: str, **params: str) -> httpx.Response:
        """Begin an upload."""
        answer = self.ask("POST", f"/{name}/blobs/uploads/", params=params, headers={"Content-Length": "0"})
        assert answer.status_code == 202, answer.text
        return answer

    def push_blob(self, name: str, content: Blob) -> Blob:
        """Push a blob in one request."""
        answer = self.ask("POST", f"/{name}/blobs/uploads/", params={"digest": content.digest}, content=content.content)
        assert answer.status_code == 201, answer.text
        return content

    def put(self, name: str, manifest: Document, reference: str | None = None, **params: Param) -> httpx.Response:
        """Push a manifest, by its digest unless a tag is given."""
        return self.ask(
            "PUT",
            f"/{name}/manifests/{reference or manifest.digest}",
            headers={"Content-Type": manifest.media_type},
            content=manifest.content,
            params=params,
        )

    def push(self, name: str, manifest: Document, *tags: str) -> Document:
        """Push a manifest that must be taken."""
        for reference in tags or (manifest.digest,):
            answer = self.put(name, manifest, reference)
            assert answer.status_code == 201, answer.text
        return manifest

    def push_image(self, name: str, *tags: str, **members: Any) -> Document:
        """Push an image of one config and one layer."""
        config, layer = self.push_blob(name, blob()), self.push_blob(name, blob())
        config_type = members.pop("config_type", "application/vnd.oci.image.config.v1+json")
        return self.push(name, image(config.descriptor(config_type), [layer.descriptor(OCI_LAYER)], **members), *tags)

    def chunk(self, answer: httpx.Response, content: bytes, start: int | None = None) -> httpx.Response:
        """Append a chunk to an upload, with ``Content-Range`` when it has a start."""
        headers = {"Content-Type": OCTETS}
        if start is not None:
            headers["Content-Range"] = f"{start}-{start + len(content) - 1}"
        return self.follow(answer, "PATCH", content=content, headers=headers)

    def status_of(self, path: str, **arguments: Any) -> int:
        return self.ask("GET", path, **arguments).status_code


@contextlib.contextmanager
def connected(folder: Path, sections: dict[str, Any] | None = None, workers: int = 1) -> Iterator[Client]:
    """Yield a client of a registry that runs for as long; nothing unforeseen may be in its log then."""
    with running_registry(folder, sections, workers) as registry:
        client = Client(registry)
        try:
            yield client
        finally:
            client.close()
        assert registry.tracebacks() == []


def check_form(answer: httpx.Response) -> None:
    """Check what every answer has in common: REG-3, REG-8."""
    assert answer.headers["docker-distribution-api-version"] == API_VERSION
    assert re.fullmatch(r"[0-9a-f]+-[0-9a-f]+", answer.headers["x-request-id"])
    if answer.request.method == "HEAD" or answer.status_code in {204, 304}:
        assert answer.content == b""
    if answer.status_code >= 400 and answer.request.method != "HEAD":
        check_errors(answer.status_code, answer.headers.get("content-type"), answer.json())


def check_errors(status: int, content_type: str | None, body: Any) -> None:
    """Check the JSON of an error (REG-3): its shape, codes of our table, and a text for people."""
    assert content_type == "application/json"
    assert set(body) == {"errors"}
    assert body["errors"]
    for error in body["errors"]:
        assert set(error) <= {"code", "message", "detail"}
        assert error["code"] in ERROR_CODES
        assert re.fullmatch("[A-Z_]+", error["code"])
        assert error["message"]
    assert 400 <= status < 600


def codes(answer: httpx.Response) -> list[str]:
    """Return the error codes of an answer."""
    return [error["code"] for error in answer.json()["errors"]]


def detail(answer: httpx.Response) -> Any:
    """Return the first error's detail."""
    return answer.json()["errors"][0].get("detail")


def next_page(answer: httpx.Response) -> str | None:
    """Return the URL of the ``Link`` header, or None; RFC 8288."""
    link: str | None = answer.headers.get("link")
    if link is None:
        return None
    found = re.fullmatch(r'<([^<>]+)>; rel="next"', link)
    assert found is not None, link
    return urljoin(str(answer.request.url), str(found[1]))


def error_of(answer: httpx.Response) -> tuple[int, list[str]]:
    """Return status and error codes."""
    return answer.status_code, codes(answer)
