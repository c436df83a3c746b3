"""Debian's docker-registry (Distribution 2.8): the oracle of what a tree, a token or a setting means."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING, Any

import yaml

from tests.servers.ports import free_port
from tests.servers.program import environment
from tests.servers.waiting import answers, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

STOP_SECONDS = 30.0
DOCUMENT: Mapping[str, Any] = {
    "version": 0.1,
    "log": {"level": "error", "accesslog": {"disabled": True}},
    "storage": {"delete": {"enabled": True}, "maintenance": {"uploadpurging": {"enabled": False}}},
    "http": {"secret": "of-the-tests"},
}


class DockerRegistry:
    """A docker-registry that can be started and ended again and again.

    Args:
        folder: of its configuration and log.
        tree: what it serves; None where the document names another storage.
        document: its config.yml, but for tree and address.
    """

    def __init__(self, folder: Path, tree: Path | None, document: Mapping[str, Any] = DOCUMENT) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._document = {
            **document,
            "storage": {**document["storage"], **({"filesystem": {"rootdirectory": str(tree)}} if tree else {})},
            "http": {**document["http"], "addr": self.address},
        }

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def start(self) -> None:
        """Start it and wait until it answers, whatever it wants to be told of who asks."""
        configuration, log = self.folder / "docker-registry.yml", self.folder / "docker-registry.log"
        configuration.write_text(yaml.safe_dump(self._document))
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                ["docker-registry", "serve", configuration], env=environment(), stdout=output, stderr=output
            )
        wait_until(lambda: answers(f"{self.url}/v2/", 200, 401), process=self.process, log=log)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(STOP_SECONDS)
            self.process = None


@contextlib.contextmanager
def running_docker_registry(
    folder: Path, tree: Path | None, document: Mapping[str, Any] = DOCUMENT
) -> Iterator[DockerRegistry]:
    """Yield a running docker-registry; end it afterwards."""
    registry = DockerRegistry(folder, tree, document)
    try:
        registry.start()
        yield registry
    finally:
        registry.stop()
