"""An example of ``examples/registry``, run as its reader would run it, with paths and addresses of the test."""

from __future__ import annotations

import contextlib
import hashlib
import json
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import httpx
import yaml

from tests.servers.ports import free_port
from tests.servers.program import MATOU, environment
from tests.servers.waiting import wait_until
from tests.unit.architecture.checkout import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

EXAMPLES = ROOT / "examples" / "registry"
STOP_SECONDS = 45.0
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


class Example:
    """A running registry.

    Args:
        name: of the file, without ``.yml``.
        folder: for its tree and log.
        variables: of the environment, beyond address and tree.
    """

    def __init__(self, name: str, folder: Path, variables: dict[str, str]) -> None:
        self.file = EXAMPLES / f"{name}.yml"
        self.folder = folder
        self.tree = folder / "tree"
        self.log = folder / "registry.log"
        self.port = free_port()
        self.client = httpx.Client(base_url=f"http://{self.address}", timeout=30, trust_env=False)
        self._variables = {
            "REGISTRY_HTTP_ADDR": self.address,
            "MATOU_REGISTRY_WORKERS": "1",
            "MATOU_REGISTRY_STATE": str(folder / "state"),
        } | variables
        storage = yaml.safe_load(self.file.read_text("utf-8")).get("storage", {"filesystem": None})
        if "filesystem" in storage:
            self._variables["REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY"] = str(self.tree)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self, answers: Callable[[], bool] | None = None) -> None:
        """Start it and wait until it answers."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [MATOU, "registry", "serve", self.file],
                env=environment(**self._variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        wait_until(lambda: self._is_up(answers or self._answers), process=self._process, log=self.log)

    @staticmethod
    def _is_up(answers: Callable[[], bool]) -> bool:
        try:
            return answers()
        except httpx.TransportError:
            return False

    def _answers(self) -> bool:
        return self.client.get("/").is_success

    def stop(self) -> None:
        """End it as a person does."""
        self.client.close()
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            assert self._process.wait(STOP_SECONDS) == 0, self.log.read_text()
            assert "unrecognized environment variable" not in self.log.read_text()
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise


@contextlib.contextmanager
def running_example(
    name: str, folder: Path, answers: Callable[[], bool] | None = None, /, **variables: str
) -> Iterator[Example]:
    """Yield a running example; end it afterwards."""
    example = Example(name, folder, variables)
    try:
        example.start(answers)
        yield example
    finally:
        example.stop()


def digest_of(content: bytes) -> str:
    """Return the digest of content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def push_blob(client: httpx.Client, repository: str, content: bytes) -> httpx.Response:
    """Push a blob as clients do: begin, then send all of it to the address that came back."""
    begun = client.post(f"/v2/{repository}/blobs/uploads/")
    if begun.status_code != 202:
        return begun
    separator = "&" if "?" in begun.headers["location"] else "?"
    return client.put(
        f"{begun.headers['location']}{separator}digest={digest_of(content)}",
        content=content,
        headers={"content-type": "application/octet-stream"},
    )


def push_image(
    client: httpx.Client, repository: str, tag: str, layers: tuple[dict[str, Any], ...] = ()
) -> httpx.Response:
    """Push an image of one small layer, and of further ones that are not pushed; return the manifest's answer."""
    layer, config = b"a layer", b"{}"
    for content in (layer, config):
        pushed = push_blob(client, repository, content)
        assert pushed.status_code == 201, pushed.text
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest_of(config),
            "size": len(config),
        },
        "layers": [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": digest_of(layer),
                "size": len(layer),
            },
            *layers,
        ],
    }
    return put_manifest(client, repository, tag, manifest)


def put_manifest(client: httpx.Client, repository: str, reference: str, manifest: dict[str, Any]) -> httpx.Response:
    """Push a manifest or an index."""
    return client.put(
        f"/v2/{repository}/manifests/{reference}",
        content=json.dumps(manifest).encode(),
        headers={"content-type": manifest["mediaType"]},
    )


def error_code(answer: httpx.Response) -> str:
    """Return the code of the first error."""
    return str(answer.json()["errors"][0]["code"])
