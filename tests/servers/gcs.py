"""Google Cloud Storage on this machine: gcp-storage-emulator, and before it what it does not do (``gcs_front``)."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
from aiohttp import web

from tests.servers.gcs_front import Front
from tests.servers.google_accounts import ACCOUNT, Accounts, write_key_file
from tests.servers.ports import free_port
from tests.servers.program import environment
from tests.servers.waiting import answers, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

STOP_SECONDS = 30.0
BUCKET = "registry"
OTHER_BUCKET = "elsewhere"
UNIT = 256 << 10  # bytes, of which a part of an upload has a multiple


class GcsServer:
    """The server, with two buckets and one service account that may do everything.

    Args:
        folder: of its log and key files.

    Attributes:
        accounts: of Google.
        front: what is between clients and the emulator.
        key: content of the account's key file.
        key_file: with it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "gcs.log"
        self.port = free_port()
        self.emulator_port = free_port()
        self.accounts = Accounts()
        self.account = self.accounts.add(ACCOUNT)
        self.key: Mapping[str, Any] = self.accounts.key_file(self.account, f"{self.url}/token")
        self.key_file = write_key_file(folder, self.key)
        self.front = Front(self.emulator, self.accounts)
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # of the thread, while it runs
        self._is_stopped = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def emulator(self) -> str:
        return f"http://127.0.0.1:{self.emulator_port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "gcp_storage_emulator", "start", "--in-memory", "--quiet"]
        command += ["--host", "127.0.0.1", "--port", str(self.emulator_port)]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command, env=environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        wait_until(lambda: answers(self.emulator, 200), process=self._process, log=self.log)
        for bucket in (BUCKET, OTHER_BUCKET):
            made = {"name": bucket, "softDeletePolicy": {"retentionDurationSeconds": "0"}}
            httpx.post(f"{self.emulator}/storage/v1/b", json=made, trust_env=False).raise_for_status()
            patch = {"softDeletePolicy": made["softDeletePolicy"]}
            httpx.patch(f"{self.emulator}/storage/v1/b/{bucket}", json=patch, trust_env=False).raise_for_status()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="gcs-front", daemon=True)
        self._thread.start()
        wait_until(lambda: answers(self.url, 200))

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        runner = web.AppRunner(self.front.application(), access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self.port).start()
            await self._is_stopped.wait()
        finally:
            await runner.cleanup()

    def names(self, bucket: str = BUCKET, prefix: str = "") -> list[str]:
        """Return the names of a bucket's objects, as the emulator knows them."""
        url = f"{self.emulator}/storage/v1/b/{bucket}/o"
        found = httpx.get(url, params={"prefix": prefix}, trust_env=False).json()
        return [item["name"] for item in found.get("items", [])]

    def store(self, name: str, content: bytes, **resource: Any) -> None:
        """Put an object there as others have it."""
        url = f"{self.emulator}/upload/storage/v1/b/{BUCKET}/o"
        httpx.post(
            url, params={"uploadType": "media", "name": name}, content=content, trust_env=False
        ).raise_for_status()
        url = f"{self.emulator}/storage/v1/b/{BUCKET}/o/{quote(name, safe='')}"
        httpx.patch(url, json=resource, trust_env=False).raise_for_status()

    def stop(self) -> None:
        """End both."""
        if self._thread is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._is_stopped.set)
            self._thread.join(STOP_SECONDS)
            assert not self._thread.is_alive()
        if self._process is not None:
            self._process.terminate()
            self._process.wait(STOP_SECONDS)


def section(server: GcsServer, **given: Any) -> dict[str, Any]:
    """Return ``storage.gcs`` for an empty root directory of the bucket, with the smallest parts there are.

    Whoever reads it needs ``variables``, too.
    """
    root = f"/{secrets.token_hex(8)}"
    return {"bucket": BUCKET, "keyfile": str(server.key_file), "rootdirectory": root, "chunksize": UNIT} | given


def variables(server: GcsServer) -> dict[str, str]:
    """Return what names the server to Google's clients."""
    return {"STORAGE_EMULATOR_HOST": server.url}


@contextlib.contextmanager
def running_gcs(folder: Path) -> Iterator[GcsServer]:
    """Yield a running server; end it afterwards."""
    server = GcsServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
