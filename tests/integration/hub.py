"""A client that pushes to, pulls from and compares registries of any make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urljoin

import httpx

from tests.registry_http.content import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    OCTETS,
    Blob,
    Document,
    blob,
    image,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

ACCEPT = f"{DOCKER_MANIFEST}, {DOCKER_LIST}, {OCI_MANIFEST}, {OCI_INDEX}"
COMPARED = ("content-type", "content-length", "docker-content-digest", "etag")


class Answer(NamedTuple):
    """What a client gets to see of an answer."""

    status: int
    headers: tuple[str | None, ...]
    body: bytes


class Hub:
    """A registry.

    Args:
        url: of it.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(timeout=60, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def authorize(self, token: str) -> None:
        """Send a token with every request from now on."""
        self._http.headers["Authorization"] = f"Bearer {token}"

    def ask(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Send a request for a path below ``/v2``."""
        return self._http.request(method, urljoin(f"{self.url}/v2", path), **arguments)

    def push_blob(self, name: str, content: Blob, *, chunk: int = 0) -> Blob:
        """Push a blob: POST and PUT, or with chunks of so many bytes in between."""
        answer = self.ask("POST", f"/v2/{name}/blobs/uploads/")
        assert answer.status_code == 202, answer.text
        rest = content.content
        while chunk and rest:
            answer = self.ask(
                "PATCH", answer.headers["location"], content=rest[:chunk], headers={"Content-Type": OCTETS}
            )
            assert answer.status_code == 202, answer.text
            rest = rest[chunk:]
        location = httpx.URL(urljoin(self.url, answer.headers["location"])).copy_merge_params(
            {"digest": content.digest}
        )
        answer = self.ask("PUT", str(location), content=rest, headers={"Content-Type": OCTETS})
        assert answer.status_code == 201, answer.text
        return content

    def mount(self, name: str, source: str, content: Blob) -> None:
        """Mount a blob of another repository."""
        answer = self.ask("POST", f"/v2/{name}/blobs/uploads/", params={"mount": content.digest, "from": source})
        assert answer.status_code == 201, answer.text

    def push(self, name: str, manifest: Document, *references: str) -> Document:
        """Push a manifest under tags, or under its digest when there are none."""
        for reference in references or (manifest.digest,):
            answer = self.ask(
                "PUT",
                f"/v2/{name}/manifests/{reference}",
                content=manifest.content,
                headers={"Content-Type": manifest.media_type},
            )
            assert answer.status_code == 201, answer.text
        return manifest

    def push_image(
        self, name: str, *tags: str, media_type: str = OCI_MANIFEST, layers: int = 1, config_type: str = OCI_CONFIG
    ) -> Image:
        """Push a config, layers and a manifest."""
        config = self.push_blob(name, blob())
        pushed = [self.push_blob(name, blob(2000)) for _ in range(layers)]
        manifest = image(config.descriptor(config_type), [layer.descriptor() for layer in pushed], media_type)
        return Image(name, self.push(name, manifest, *tags), (config, *pushed))

    def delete(self, path: str) -> None:
        """Delete what must be there."""
        answer = self.ask("DELETE", path)
        assert answer.status_code == 202, answer.text

    def get(self, path: str) -> Answer:
        """Return what a client gets to see; of an error, the status and the code alone."""
        answer = self.ask("GET", path, headers={"Accept": ACCEPT})
        if answer.status_code >= 400:
            return Answer(answer.status_code, (answer.json()["errors"][0]["code"],), b"")
        # Distribution names a blob that is pulled by its sha512 digest by its sha256 one.
        names = COMPARED[:2] if "sha512:" in path else COMPARED
        return Answer(answer.status_code, tuple(answer.headers.get(name) for name in names), answer.content)

    def tags(self, name: str) -> list[str] | None:
        """Return the tags of a repository, None when there is no such repository."""
        answer = self.ask("GET", f"/v2/{name}/tags/list")
        if answer.status_code == 404:
            return None
        assert answer.status_code == 200, answer.text
        return sorted(answer.json()["tags"] or [])

    def snapshot(self, paths: Iterable[str]) -> dict[str, Answer]:
        """Return the answers to paths below ``/v2``."""
        return {path: self.get(path) for path in paths}


class Image(NamedTuple):
    """What was pushed to a repository."""

    repository: str
    manifest: Document
    blobs: tuple[Blob, ...]

    def paths(self, *tags: str) -> list[str]:
        """Return what can be pulled of it."""
        references = (*tags, self.manifest.digest)
        return [f"/v2/{self.repository}/manifests/{reference}" for reference in references] + [
            f"/v2/{self.repository}/blobs/{content.digest}" for content in self.blobs
        ]
