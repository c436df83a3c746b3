"""Where the registries of a run keep their content: directories, or one bucket of a real S3 server."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bench.client import Connection
from bench.ports import HOST, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BACKENDS = ("filesystem", "s3")
ACCESS_KEY, SECRET_KEY, BUCKET = "bench", "bench-secret", "registry"
START_SECONDS = 60.0
STOP_SECONDS = 20.0


class Backend(Protocol):
    """A kind of storage."""

    def section(self, root: Path) -> Mapping[str, Any]:
        """Return what config.yml's ``storage`` says of a registry whose content is below ``root``."""
        ...


class Filesystem:
    """A directory each."""

    def section(self, root: Path) -> Mapping[str, Any]:
        """See ``Backend.section``."""
        return {"filesystem": {"rootdirectory": str(root)}}


class SeaweedFS:
    """A prefix each in the bucket of one SeaweedFS; the registry sends all data itself.

    Args:
        port: of its S3 interface.
    """

    def __init__(self, port: int) -> None:
        self._port = port

    def section(self, root: Path) -> Mapping[str, Any]:
        """See ``Backend.section``."""
        return {
            "s3": {
                "accesskey": ACCESS_KEY,
                "secretkey": SECRET_KEY,
                "region": "us-east-1",
                "regionendpoint": f"http://{HOST}:{self._port}",
                "bucket": BUCKET,
                "rootdirectory": f"/{root.name}",
                "forcepathstyle": True,
                "secure": False,
                "maxrequestspersecond": 0,
            },
            "redirect": {"disable": True},
        }


@contextlib.contextmanager
def running_backend(name: str, directory: Path) -> Iterator[Backend]:
    """Yield a backend of ``BACKENDS``; what it needs runs meanwhile, on the processors of whoever calls.

    Args:
        name: one of ``BACKENDS``.
        directory: for its data and log.

    Raises:
        OSError: SeaweedFS is not installed, or did not answer.
    """
    if name == "filesystem":
        yield Filesystem()
        return
    program = Path(sys.executable).with_name("weed")
    ports = {option: free_port() for option in ("s3.port", "master.port", "volume.port", "filer.port", "admin.port")}
    identities = {
        "identities": [
            {
                "name": "bench",
                "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
                "actions": ["Admin", "Read", "Write", "List", "Tagging"],
            }
        ]
    }
    data = directory / "seaweedfs"
    data.mkdir(parents=True)
    configuration = directory / "seaweedfs.json"
    configuration.write_text(json.dumps(identities))
    command = [
        shutil.which("weed") or program,
        "mini",
        f"-dir={data}",
        f"-ip={HOST}",
        f"-ip.bind={HOST}",
        f"-s3.config={configuration}",
        *("-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0", f"-bucket={BUCKET}"),
        *(f"-{option}={port}" for option, port in ports.items()),
    ]
    with (directory / "seaweedfs.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=directory)
    try:
        _await_bucket(process, ports["s3.port"])
        yield SeaweedFS(ports["s3.port"])
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_bucket(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise OSError(f"SeaweedFS ended with status {process.returncode}")
        # Anonymous: 403 says that S3 answers.
        with contextlib.suppress(OSError), Connection(HOST, port, {}) as connection:
            if connection.request("GET", f"/{BUCKET}/").status < 500:  # noqa: PLR2004 -- HTTP
                return
        time.sleep(0.05)
    raise OSError(f"SeaweedFS did not answer within {START_SECONDS:.0f} s")
