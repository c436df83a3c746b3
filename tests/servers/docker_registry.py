"""Debian's docker-registry (Distribution 2.8) on a storage tree: the oracle of what a tree means."""

from __future__ import annotations

import contextlib
import subprocess
import time
from typing import TYPE_CHECKING

import httpx
import yaml

from tests.servers.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_SECONDS = 60.0
STOP_SECONDS = 30.0


class DockerRegistry:
    """A docker-registry that can be started and ended again and again.

    Args:
        folder: of its configuration and log.
        tree: what it serves.
    """

    def __init__(self, folder: Path, tree: Path) -> None:
        self.folder = folder
        self.tree = tree
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        configuration = self.folder / "docker-registry.yml"
        document = {
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.tree)},
                "delete": {"enabled": True},
                "maintenance": {"uploadpurging": {"enabled": False}},
            },
            "http": {"addr": f"127.0.0.1:{self.port}", "secret": "of-the-tests"},
        }
        configuration.write_text(yaml.safe_dump(document))
        with (self.folder / "docker-registry.log").open("ab") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", configuration], stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while True:
            assert self.process.poll() is None, (self.folder / "docker-registry.log").read_text()
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/v2/", timeout=5, trust_env=False).is_success:
                    return
            assert time.monotonic() < deadline, "docker-registry does not answer"
            time.sleep(0.02)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(STOP_SECONDS)
            self.process = None


@contextlib.contextmanager
def running_docker_registry(folder: Path, tree: Path) -> Iterator[DockerRegistry]:
    """Yield a running docker-registry; end it afterwards."""
    registry = DockerRegistry(folder, tree)
    try:
        registry.start()
        yield registry
    finally:
        registry.stop()
