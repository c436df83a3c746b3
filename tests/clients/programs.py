"""The clients that people use, as Debian packages them, each with its own empty state.

One interface for all, so that a test says what happens and a class here says how its client spells it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from tests.servers.oci_layout import tree, write_layout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SECONDS = 120
DOCKERD_SECONDS = 60.0


class ClientError(AssertionError):
    """A client ended with an error; its text is what a person sees."""


def program(name: str, package: str) -> str:
    """Return the path of a program; a missing one is a failure, because then nothing was shown."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    assert path, f"{name} is missing: apt-get install {package} (make test does so)"
    return path


class Client(ABC):
    """A client.

    Args:
        directory: its state; made here.
        registry: host:port, plain HTTP.
    """

    def __init__(self, directory: Path, registry: str) -> None:
        directory.mkdir()
        (directory / "auth.json").write_text("{}")  # buildah wants it to exist
        self.directory = directory
        self.registry = registry
        self.environment: Mapping[str, str] = {
            **os.environ,
            "HOME": str(directory),
            "XDG_RUNTIME_DIR": str(directory),
            "REGISTRY_AUTH_FILE": str(directory / "auth.json"),
            "LC_ALL": "C",
        }
        self._images = 0

    def run(self, *command: str, stdin: bytes = b"") -> str:
        """Return what a command printed.

        Raises:
            ClientError: its exit status is not 0.
        """
        done = subprocess.run(
            command, input=stdin, capture_output=True, env=self.environment, timeout=SECONDS, check=False
        )
        output = done.stdout.decode(errors="replace")
        if done.returncode != 0:
            raise ClientError(f"{' '.join(command)}: {done.returncode}: {output}{done.stderr.decode(errors='replace')}")
        return output

    def reference(self, repository: str, tag: str) -> str:
        return f"{self.registry}/{repository}:{tag}"

    def new_name(self) -> str:
        """Return a name that this client has not used."""
        self._images += 1
        return f"image{self._images}"

    @abstractmethod
    def login(self, user: str, password: str) -> str:
        """Log in with a password from standard input, as every guide advises."""

    @abstractmethod
    def push(self, reference: str) -> None:
        """Make an image and push it."""

    @abstractmethod
    def pull(self, reference: str) -> None:
        """Pull an image that this client has no copy of."""


class Skopeo(Client):
    """Copies images without keeping any."""

    def __init__(self, directory: Path, registry: str) -> None:
        super().__init__(directory, registry)
        self._skopeo = program("skopeo", "skopeo")

    def login(self, user: str, password: str) -> str:
        command = (self._skopeo, "login", "--tls-verify=false", "--username", user, "--password-stdin", self.registry)
        return self.run(*command, stdin=password.encode())

    def push(self, reference: str) -> None:
        name = self.new_name()
        write_layout(self.directory / name, name, f"{self.directory} {name}")
        self.push_layout(self.directory / name, name, reference)

    def push_layout(self, layout: Path, name: str, reference: str) -> None:
        """Push all platforms of a layout."""
        self.run(
            self._skopeo, "copy", "--all", "--dest-tls-verify=false", f"oci:{layout}:{name}", f"docker://{reference}"
        )

    def pull(self, reference: str) -> None:
        target = self.directory / self.new_name()
        self.pull_layout(reference, target)
        shutil.rmtree(target)

    def pull_layout(self, reference: str, layout: Path) -> None:
        """Pull all platforms into a layout; skopeo verifies every digest."""
        self.run(self._skopeo, "copy", "--all", "--src-tls-verify=false", f"docker://{reference}", f"oci:{layout}:it")

    def copy(self, source: str, target: str) -> None:
        """Copy all platforms from one repository of the registry to another."""
        verify = ("--src-tls-verify=false", "--dest-tls-verify=false")
        self.run(self._skopeo, "copy", "--all", *verify, f"docker://{source}", f"docker://{target}")

    def inspect(self, reference: str) -> str:
        """Return the manifest as it is."""
        return self.run(self._skopeo, "inspect", "--raw", "--tls-verify=false", f"docker://{reference}")

    def list_tags(self, repository: str) -> str:
        return self.run(self._skopeo, "list-tags", "--tls-verify=false", f"docker://{self.registry}/{repository}")

    def delete(self, reference: str) -> None:
        self.run(self._skopeo, "delete", "--tls-verify=false", f"docker://{reference}")


class Podman(Client):
    """Its images lie in plain directories (vfs), which works in a container too."""

    def __init__(self, directory: Path, registry: str) -> None:
        super().__init__(directory, registry)
        self._podman = (
            program("podman", "podman"),
            *(
                "--root",
                str(directory / "root"),
                "--runroot",
                str(directory / "run"),
                "--tmpdir",
                str(directory / "tmp"),
            ),
            *("--storage-driver=vfs", "--cgroup-manager=cgroupfs", "--events-backend=file"),
        )

    def login(self, user: str, password: str) -> str:
        command = (*self._podman, "login", "--tls-verify=false", "--username", user, "--password-stdin", self.registry)
        return self.run(*command, stdin=password.encode())

    def push(self, reference: str) -> None:
        archive = self.directory / f"{self.new_name()}.tar"
        archive.write_bytes(tree({"marker": str(archive).encode()}))
        self.run(*self._podman, "import", str(archive), reference)
        try:
            self.run(*self._podman, "push", "--tls-verify=false", reference)
        finally:
            self.run(*self._podman, "rmi", "--force", reference)

    def pull(self, reference: str) -> None:
        self.run(*self._podman, "pull", "--tls-verify=false", reference)
        self.run(*self._podman, "rmi", "--force", reference)


class Buildah(Client):
    """Builds an image and pushes it."""

    def __init__(self, directory: Path, registry: str) -> None:
        super().__init__(directory, registry)
        self._buildah = (
            program("buildah", "buildah"),
            *("--root", str(directory / "root"), "--runroot", str(directory / "run"), "--storage-driver=vfs"),
        )

    def login(self, user: str, password: str) -> str:
        command = (*self._buildah, "login", "--tls-verify=false", "--username", user, "--password-stdin", self.registry)
        return self.run(*command, stdin=password.encode())

    def push(self, reference: str) -> None:
        name = self.new_name()
        file = self.directory / f"{name}.txt"
        file.write_text(str(file))
        container = self.run(*self._buildah, "from", "scratch").strip()
        self.run(*self._buildah, "add", container, str(file), "/marker")
        self.run(*self._buildah, "commit", "--quiet", "--rm", container, name)
        try:
            self.run(*self._buildah, "push", "--tls-verify=false", name, f"docker://{reference}")
        finally:
            self.run(*self._buildah, "rmi", "--force", name)

    def pull(self, reference: str) -> None:
        self.run(*self._buildah, "pull", "--tls-verify=false", reference)
        self.run(*self._buildah, "rmi", "--force", reference)


class Docker(Client):
    """The docker command with a daemon of its own.

    Args:
        socket: where the daemon listens.
    """

    def __init__(self, directory: Path, registry: str, socket: Path) -> None:
        super().__init__(directory, registry)
        self.environment = {**self.environment, "DOCKER_CONFIG": str(directory), "DOCKER_HOST": f"unix://{socket}"}
        self._docker = program("docker", "docker-cli (or docker.io)")

    def login(self, user: str, password: str) -> str:
        command = (self._docker, "login", "--username", user, "--password-stdin", self.registry)
        return self.run(*command, stdin=password.encode())

    def push(self, reference: str) -> None:
        name = f"{self.directory} {self.new_name()}"
        self.run(self._docker, "import", "-", reference, stdin=tree({"marker": name.encode()}))
        try:
            self.run(self._docker, "push", reference)
        finally:
            self.run(self._docker, "rmi", "--force", reference)

    def pull(self, reference: str) -> None:
        self.run(self._docker, "pull", reference)
        self.run(self._docker, "rmi", "--force", reference)


@contextlib.contextmanager
def dockerd(directory: Path, registry: str) -> Iterator[Path]:
    """Yield the socket of a Docker daemon that needs neither systemd nor a network of its own. It needs root."""
    directory.mkdir()
    settings, log, socket = directory / "daemon.json", directory / "log", directory / "socket"
    settings.write_text("{}")
    elevate = () if os.geteuid() == 0 else (program("sudo", "sudo"), "-n")
    command = (
        *elevate,
        program("dockerd", "docker.io"),
        *("--host", f"unix://{socket}", "--config-file", str(settings), "--pidfile", str(directory / "pid")),
        *("--data-root", str(directory / "data"), "--exec-root", str(directory / "exec")),
        *("--storage-driver=vfs", "--bridge=none", "--iptables=false", "--ip6tables=false"),
        *("--insecure-registry", registry),
    )
    with log.open("wb") as output:
        daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + DOCKERD_SECONDS
        docker = program("docker", "docker-cli (or docker.io)")
        ask = (docker, "--host", f"unix://{socket}", "version")
        while subprocess.run(ask, capture_output=True, check=False, timeout=SECONDS).returncode != 0:
            assert daemon.poll() is None, f"dockerd ended:\n{log.read_text()[-3000:]}"
            assert time.monotonic() < deadline, f"dockerd does not answer:\n{log.read_text()[-3000:]}"
            time.sleep(0.2)
        yield socket
    finally:
        daemon.terminate()
        try:
            daemon.wait(SECONDS)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
