"""One machine's installation as the environment describes it: where state lies and who listens where."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# How registry and portal call each other in tokens: the names that GitLab gives them.
REGISTRY_SERVICE = "container_registry"
TOKEN_ISSUER = "gitlab-issuer"  # noqa: S105 -- a name

MOST_WORKERS = 256  # more than a machine has use for; far more would run out of files and memory
LONGEST_NUMBER = 20  # digits that are read at all


class InstallationError(ValueError):
    """An environment variable of the installation has a value that cannot be used."""


@dataclass(frozen=True, slots=True)
class Installation:
    """All that ``matou serve`` and its children need to know; every child derives the same from the environment.

    Attributes:
        home: ``MATOU_HOME``; all state lies below it.
        portal_addr: ``MATOU_PORTAL_ADDR``, host:port.
        registry_addr: ``MATOU_REGISTRY_ADDR``, host:port.
        portal_url: ``MATOU_PORTAL_URL``: the portal as clients reach it; ``http://`` + portal_addr unless given.
        registry_url: ``MATOU_REGISTRY_URL``: the registry as clients reach it; ``http://`` + registry_addr unless set.
        registry_workers: ``MATOU_REGISTRY_WORKERS``; the number of usable cores unless given.
        root_password: ``MATOU_ROOT_PASSWORD``: the administrator's first password, or None for a random one.
    """

    home: Path
    portal_addr: str
    registry_addr: str
    portal_url: str
    registry_url: str
    registry_workers: int
    root_password: str | None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Installation:
        """Read the environment.

        Raises:
            InstallationError: an address is not host:port, both are the same, or the number of workers is not a
                positive number.
        """
        env = os.environ if environ is None else environ
        portal_addr = _address(env, "MATOU_PORTAL_ADDR", "127.0.0.1:8080")
        registry_addr = _address(env, "MATOU_REGISTRY_ADDR", "127.0.0.1:5000")
        if portal_addr == registry_addr:  # both would listen, and each get some of the other's requests
            raise InstallationError(
                f"MATOU_PORTAL_ADDR and MATOU_REGISTRY_ADDR are both {portal_addr!r}; expected an address for each"
            )
        return cls(
            home=Path(env.get("MATOU_HOME") or "data").absolute(),
            portal_addr=portal_addr,
            registry_addr=registry_addr,
            portal_url=(env.get("MATOU_PORTAL_URL") or f"http://{portal_addr}").rstrip("/"),
            registry_url=(env.get("MATOU_REGISTRY_URL") or f"http://{registry_addr}").rstrip("/"),
            registry_workers=registry_workers(env),
            root_password=env.get("MATOU_ROOT_PASSWORD") or None,
        )

    @property
    def registry_config(self) -> Path:
        """The registry's config.yml, rendered by ``matou serve``."""
        return self.home / "registry" / "config.yml"

    @property
    def registry_storage(self) -> Path:
        """``rootdirectory`` of the filesystem driver."""
        return self.home / "registry" / "storage"

    @property
    def token_key(self) -> Path:
        """Private key that signs registry tokens (PEM, mode 0600)."""
        return self.home / "keys" / "registry-token.key"

    @property
    def token_certificate(self) -> Path:
        """Certificate of ``token_key``: the registry's ``rootcertbundle``."""
        return self.home / "keys" / "registry-token.crt"

    @property
    def portal_database(self) -> Path:
        """The portal's SQLite database."""
        return self.home / "portal" / "portal.db"

    @property
    def portal_secret(self) -> Path:
        """Django's secret key (mode 0600), made at first start."""
        return self.home / "portal" / "secret_key"

    @property
    def registry_secret(self) -> Path:
        """The registry's ``http.secret`` (mode 0600), made at first start."""
        return self.home / "registry" / "http_secret"

    @property
    def initial_root_password(self) -> Path:
        """Where a random first password of the administrator is written (mode 0600)."""
        return self.home / "initial_root_password"


def registry_workers(environ: Mapping[str, str]) -> int:
    """Return ``MATOU_REGISTRY_WORKERS``, or the number of cores that this process may use.

    Raises:
        InstallationError: it is not a whole number from 1 to ``MOST_WORKERS``.
    """
    text = environ.get("MATOU_REGISTRY_WORKERS")
    if not text:
        return max(1, len(os.sched_getaffinity(0)))
    if not text.isascii() or not text.isdigit() or len(text) > LONGEST_NUMBER or not 0 < int(text) <= MOST_WORKERS:
        raise InstallationError(f"MATOU_REGISTRY_WORKERS is {text!r}; expected a whole number from 1 to {MOST_WORKERS}")
    return int(text)


def registry_state(environ: Mapping[str, str]) -> Path:
    """Return ``MATOU_REGISTRY_STATE``: the directory of the registry's own files when images are in object storage.

    Unless given it is ``/var/lib/matou/registry`` for root, and below ``XDG_STATE_HOME`` for everybody else.
    """
    given = environ.get("MATOU_REGISTRY_STATE")
    if given:
        return Path(given).absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/matou/registry")
    state = environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "matou" / "registry"


def _address(environ: Mapping[str, str], name: str, default: str) -> str:
    text = environ.get(name) or default
    host, separator, port = text.rpartition(":")
    if not separator or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:  # noqa: PLR2004 -- ports
        raise InstallationError(f"{name} is {text!r}; expected host:port, such as {default}")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise InstallationError(
            f"{name} is {text!r}; expected an IPv6 address in brackets: [{host.strip('[]')}]:{port}"
        )
    return text
