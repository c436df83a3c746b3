"""SeaweedFS: an S3 server on this machine. Its keys sort ``/`` before ``-`` and its listings keep empty directories."""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import get_session

from tests.servers.ports import free_port
from tests.servers.program import end
from tests.servers.waiting import answers, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

WEED = Path(sys.executable).parent / "weed"
STOP_SECONDS = 30.0
BUCKET = "registry"
ACCESS_KEY = "labadmin"
SECRET_KEY = "labadminsecret"
READER_KEY = "labreader"
READER_SECRET = "labreadersecret"
REGION = "us-east-1"
PART = 5 << 20  # bytes, the least that S3 takes


class SeaweedFS:
    """A server with one bucket, which can be started and ended again and again.

    Args:
        folder: of its configuration, data and log.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "seaweedfs.log"
        self.ports: dict[str, int] = {}
        for name in ("s3", "master", "volume", "filer", "admin"):
            for suffix in ("port", "port.grpc"):
                port = free_port()
                while port in self.ports.values():
                    port = free_port()
                self.ports[f"{name}.{suffix}"] = port
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its S3 endpoint."""
        return f"http://127.0.0.1:{self.ports['s3.port']}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        configuration = self.folder / "s3.json"
        configuration.write_text(
            json.dumps(
                {
                    "identities": [
                        _identity("admin", ACCESS_KEY, SECRET_KEY, ["Admin", "Read", "Write", "List", "Tagging"]),
                        _identity("reader", READER_KEY, READER_SECRET, [f"Read:{BUCKET}", f"List:{BUCKET}"]),
                    ],
                    "kms": {
                        "default_provider": "local",
                        "providers": {"local": {"type": "local", "enableOnDemandCreate": True}},
                    },
                }
            )
        )
        command = [
            str(WEED),
            "mini",
            f"-dir={data}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-s3.config={configuration}",
        ]
        command += ["-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0", f"-bucket={BUCKET}"]
        command += ["-master.telemetry=false", *(f"-{name}={port}" for name, port in self.ports.items())]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        wait_until(self._has_bucket, process=self.process, log=self.log)

    def _has_bucket(self) -> bool:
        """Tell whether the bucket, which is made last, can be listed: for a while it is there and cannot."""
        if not answers(f"{self.url}/{BUCKET}", 403):
            return False
        with contextlib.closing(client(self.url)) as asking:
            try:
                asking.list_objects_v2(Bucket=BUCKET, MaxKeys=1)
            except (ClientError, BotoCoreError):
                return False
        return True

    def stop(self) -> None:
        """End it as a person does."""
        if self.process is not None:
            process, self.process = self.process, None
            end(process, STOP_SECONDS)

    def kill(self) -> None:
        """End it with SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None


def section(url: str, **given: Any) -> dict[str, Any]:
    """Return ``storage.s3`` for an empty root directory of the bucket, with the smallest parts there are.

    Args:
        url: by which the server is reached.
        given: further parameters, and other values.
    """
    known = {
        "accesskey": ACCESS_KEY,
        "secretkey": SECRET_KEY,
        "region": REGION,
        "regionendpoint": url,
        "bucket": BUCKET,
        "rootdirectory": f"/{secrets.token_hex(8)}",
        "chunksize": PART,
    }
    return known | given


def client(url: str) -> Any:
    """Return Amazon's client, which does not repeat what fails; close it afterwards."""
    return get_session().create_client(
        "s3",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(retries={"total_max_attempts": 1}),
    )


def _identity(name: str, key: str, secret: str, actions: list[str]) -> dict[str, object]:
    return {"name": name, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": actions}


@contextlib.contextmanager
def running_seaweedfs(folder: Path) -> Iterator[SeaweedFS]:
    """Yield a running server; end it afterwards."""
    server = SeaweedFS(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
