"""Azurite: Azure Blob Storage on this machine, with two accounts whose names are in the path. Their data is in memory.

``make test`` installs it in ``tests/servers/azurite``.
"""

from __future__ import annotations

import base64
import contextlib
import secrets
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azure.storage.blob import BlobServiceClient
from cryptography.hazmat.primitives.asymmetric import ec

from tests.servers.ports import free_port
from tests.servers.program import end, environment
from tests.servers.waiting import accepts, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.authority import Authority

PROGRAM = Path(__file__).parent / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
ACCOUNT, OTHER_ACCOUNT = "harbour", "quayside"
KEY = base64.b64encode(b"key of harbour").decode()
OTHER_KEY = base64.b64encode(b"key of quayside").decode()
STOP_SECONDS = 30.0


class Azurite:
    """A server that can be started and ended again.

    Args:
        folder: of its log.
        authority: that its certificate is from; with HTTPS it takes bearer tokens, too.
    """

    def __init__(self, folder: Path, authority: Authority | None = None) -> None:
        self.folder = folder
        self.log = folder / "azurite.log"
        self.port = free_port()
        self._authority = authority
        self.process: subprocess.Popen[bytes] | None = None

    def url(self, account: str = ACCOUNT) -> str:
        """Return the URL of an account's service."""
        return f"{'https' if self._authority else 'http'}://127.0.0.1:{self.port}/{account}"

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        assert PROGRAM.is_file(), "Azurite is not installed: run make test, which does that"
        command = ["node", str(PROGRAM), "--blobHost", "127.0.0.1", "--blobPort", str(self.port), "--silent"]
        command += ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"]
        if self._authority is not None:
            certificate, key = self._authority.issue("azurite", ec.generate_private_key(ec.SECP256R1()))
            command += ["--oauth", "basic", "--cert", str(certificate), "--key", str(key)]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                env=environment(AZURITE_ACCOUNTS=f"{ACCOUNT}:{KEY};{OTHER_ACCOUNT}:{OTHER_KEY}"),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        wait_until(lambda: accepts(self.port), process=self.process, log=self.log)

    def stop(self) -> None:
        """End it as a person does; what it had is gone."""
        if self.process is not None:
            process, self.process = self.process, None
            end(process, STOP_SECONDS)

    def new_container(self, account: str = ACCOUNT, key: str = KEY) -> str:
        """Make a container and return its name."""
        name = f"images-{secrets.token_hex(8)}"
        credential = {"account_name": account, "account_key": key}
        verify = True if self._authority is None else str(self._authority.path)
        with BlobServiceClient(self.url(account), credential=credential, connection_verify=verify) as service:
            service.create_container(name)
        return name


def section(server: Azurite, **given: Any) -> dict[str, Any]:
    """Return ``storage.azure`` for a new container, unless one is given."""
    account = {"accountname": ACCOUNT, "accountkey": KEY, "serviceurl": server.url()}
    return account | {"container": given.get("container") or server.new_container()} | given


@contextlib.contextmanager
def running_azurite(folder: Path, authority: Authority | None = None) -> Iterator[Azurite]:
    """Yield a running server; end it afterwards."""
    server = Azurite(folder, authority)
    try:
        server.start()
        yield server
    finally:
        server.stop()
