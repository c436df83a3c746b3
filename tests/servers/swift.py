"""A whole Swift on one machine, without root: account, container and object server, and a proxy with the S3 API.

Accounts come from ``tempauth``. The S3 API is at ``url``, in region ``us-east-1``, with a user's name and key as access
and secret key. There is no updater: what a server does not hear at once it never hears, so timeouts are long.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import subprocess
import sys
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx

from tests.servers.ports import free_port
from tests.servers.program import environment
from tests.servers.waiting import answers, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

STORAGE = ("account", "container", "object")
START_SECONDS = 60.0
STOP_SECONDS = 20.0
PATIENCE = 60  # seconds
SEGMENT = 1 << 20  # bytes, the least that a segment of a large object has
USER, KEY = "test:tester", "testing"  # may do all in its account
READER, READER_KEY = "test:reader", "reading"  # may do what containers allow
ROOT = Path(__file__).parents[2]
PIPELINE = (
    "catch_errors gatekeeper healthcheck cache listing_formats bulk tempurl s3api tempauth copy slo dlo "
    "versioned_writes symlink proxy-server"
)
FILTERS: Mapping[str, Mapping[str, str]] = {
    "cache": {"paste.filter_factory": "tests.servers.swift_parts:filter_factory"},
    "s3api": {"use": "egg:swift#s3api", "location": "us-east-1", "min_segment_size": "5242880"},
    "tempauth": {
        "use": "egg:swift#tempauth",
        f"user_{USER.replace(':', '_')}": f"{KEY} .admin",
        f"user_{READER.replace(':', '_')}": READER_KEY,
    },
    "versioned_writes": {
        "use": "egg:swift#versioned_writes",
        "allow_versioned_writes": "true",
        "allow_object_versioning": "true",
    },
}


class SwiftServer:
    """A Swift that can be started and ended again and again.

    Args:
        folder: of its configuration, logs and data; on a file system with extended attributes.
        options: of filters of the proxy besides ``FILTERS``, such as ``{"slo": {"max_manifest_segments": "10"}}``.
    """

    def __init__(self, folder: Path, options: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self.folder = folder
        self.ports: dict[str, int] = {}
        while len(set(self.ports.values())) < len(STORAGE) + 1:
            self.ports = {name: free_port() for name in (*STORAGE, "proxy")}
        self._options = options or {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['proxy']}"

    @property
    def auth_url(self) -> str:
        """Where ``USER`` and ``KEY`` give a token (authentication version 1)."""
        return f"{self.url}/auth/v1.0"

    @property
    def storage_url(self) -> str:
        """The account of ``USER``."""
        return f"{self.url}/v1/AUTH_test"

    def token(self, user: str = USER, key: str = KEY) -> str:
        """Return a token of a user."""
        answer = httpx.get(self.auth_url, headers={"X-Auth-User": user, "X-Auth-Key": key}, trust_env=False)
        answer.raise_for_status()
        return answer.headers["X-Auth-Token"]

    def container(self, name: str) -> SwiftContainer:
        """Return a container as whoever owns it sees it; close it afterwards."""
        return SwiftContainer(self.storage_url, name, self.token())

    def start(self) -> None:
        """Start it and wait until each of its servers answers."""
        if not (self.folder / "swift.conf").exists():
            self._configure()
        for name in (*STORAGE, "proxy"):
            with self._log(name).open("ab") as log:
                self._processes[name] = subprocess.Popen(
                    [Path(sys.executable).parent / f"swift-{name}-server", self.folder / f"{name}.conf", "--verbose"],
                    env=environment(PYTHONPATH=str(ROOT)),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
        for name, port in self.ports.items():
            is_up = partial(answers, f"http://127.0.0.1:{port}/healthcheck", 200)
            wait_until(is_up, START_SECONDS, process=self._processes[name], log=self._log(name))

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _configure(self) -> None:
        (self.folder / "data" / "d1").mkdir(parents=True)
        hashes = {"swift_hash_path_prefix": "tests", "swift_hash_path_suffix": "tests"}
        self._write("swift", {"swift-hash": hashes, "storage-policy:0": {"name": "gold", "default": "yes"}})
        for name in STORAGE:
            self._write(
                name,
                {
                    "DEFAULT": self._default(name),
                    "pipeline:main": {"pipeline": f"healthcheck {name}-server"},
                    "filter:healthcheck": {"use": "egg:swift#healthcheck"},
                    f"app:{name}-server": {"use": f"egg:swift#{name}"},
                },
            )
        filters = {name: FILTERS.get(name, {"use": f"egg:swift#{name}"}) for name in PIPELINE.split()[:-1]}
        self._write(
            "proxy",
            {
                "DEFAULT": self._default("proxy"),
                "pipeline:main": {"pipeline": PIPELINE},
                "app:proxy-server": {
                    "use": "egg:swift#proxy",
                    "account_autocreate": "true",
                    "node_timeout": str(PATIENCE),
                    "conn_timeout": str(PATIENCE),
                    "error_suppression_limit": "1000000",
                },
                **{f"filter:{name}": {**known, **self._options.get(name, {})} for name, known in filters.items()},
            },
        )
        rings = [f"{name}={self.ports[name]}" for name in STORAGE]
        subprocess.run([sys.executable, "-m", "tests.servers.swift_parts", self.folder, *rings], cwd=ROOT, check=True)

    def _default(self, name: str) -> dict[str, str]:
        return {
            "bind_ip": "127.0.0.1",
            "bind_port": str(self.ports[name]),
            "swift_dir": str(self.folder),
            "devices": str(self.folder / "data"),
            "mount_check": "false",
            "workers": "0",
            "user": pwd.getpwuid(os.getuid()).pw_name,
            "log_level": "WARNING",
            "fallocate_reserve": "0",
            "node_timeout": str(PATIENCE),
            "conn_timeout": str(PATIENCE),
            "container_update_timeout": str(PATIENCE),
        }

    def _write(self, name: str, sections: Mapping[str, Mapping[str, str]]) -> None:
        lines = []
        for section, options in sections.items():
            lines += [f"[{section}]", *(f"{key} = {value}" for key, value in options.items()), ""]
        (self.folder / f"{name}.conf").write_text("\n".join(lines))

    def stop(self) -> None:
        """End it; what it stores stays."""
        for process in self._processes.values():
            process.terminate()
        self._reap()

    def kill(self) -> None:
        """End it with SIGKILL."""
        for process in self._processes.values():
            process.kill()
        self._reap()

    def _reap(self) -> None:
        processes, self._processes = self._processes, {}
        for process in processes.values():
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class SwiftContainer:
    """A container without a driver.

    Args:
        account: its URL.
        name: of the container.
        token: of a user.
    """

    def __init__(self, account: str, name: str, token: str) -> None:
        self.name = name
        self._url = f"{account}/{name}"
        self._client = httpx.Client(headers={"X-Auth-Token": token}, trust_env=False, timeout=PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ask(
        self, method: str, name: str = "", content: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send a request about an object, or about the container; return the answer, whatever it is."""
        url = f"{self._url}/{name}" if name else self._url
        return self._client.request(method, url, content=content or None, headers=headers)

    def put(self, name: str, content: bytes = b"", **headers: str) -> None:
        """Store an object; headers have underscores for hyphens."""
        given = {key.replace("_", "-"): value for key, value in headers.items()}
        answer = self.ask("PUT", name, content, given)
        assert answer.status_code == HTTPStatus.CREATED, answer.text

    def names(self, prefix: str = "") -> list[str]:
        """Return the names of the objects with a prefix."""
        answer = self._client.get(self._url, params={"prefix": prefix})
        answer.raise_for_status()
        return answer.text.split()


def section(server: SwiftServer, **given: Any) -> dict[str, Any]:
    """Return ``storage.swift`` for a new container, with the smallest segments there are."""
    account = {"username": USER, "password": KEY, "authurl": server.auth_url}
    return account | {"container": f"registry-{secrets.token_hex(8)}", "chunksize": SEGMENT} | given


@contextlib.contextmanager
def running_swift(folder: Path, options: Mapping[str, Mapping[str, str]] | None = None) -> Iterator[SwiftServer]:
    """Yield a running Swift; end it afterwards."""
    server = SwiftServer(folder, options)
    try:
        server.start()
        yield server
    finally:
        server.stop()
