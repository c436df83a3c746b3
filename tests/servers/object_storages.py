"""Every object storage that the tests have a server for, as a registry is told of it."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.servers import azurite, gcs, seaweedfs, swift
from tests.servers.oss import server as oss

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

MIB = 1 << 20


@dataclass(frozen=True)
class ObjectStorage:
    """An empty storage.

    Attributes:
        section: its key and parameters in ``storage``.
        variables: that a program needs in its environment to reach it.
    """

    section: Mapping[str, Any]
    variables: Mapping[str, str] = field(default_factory=dict)


def _root() -> str:
    return f"/{secrets.token_hex(8)}"


@contextlib.contextmanager
def _seaweedfs(folder: Path) -> Iterator[ObjectStorage]:
    with seaweedfs.running_seaweedfs(folder) as server:
        yield ObjectStorage(
            {
                "s3": {
                    "accesskey": seaweedfs.ACCESS_KEY,
                    "secretkey": seaweedfs.SECRET_KEY,
                    "region": seaweedfs.REGION,
                    "regionendpoint": server.url,
                    "bucket": seaweedfs.BUCKET,
                    "rootdirectory": _root(),
                    "chunksize": 5 * MIB,
                }
            }
        )


@contextlib.contextmanager
def _swift_s3api(folder: Path) -> Iterator[ObjectStorage]:
    with swift.running_swift(folder) as server:
        with server.container("registry") as container:
            container.ask("PUT", "")
        yield ObjectStorage(
            {
                "s3": {
                    "accesskey": swift.USER,
                    "secretkey": swift.KEY,
                    "region": seaweedfs.REGION,
                    "regionendpoint": server.url,
                    "bucket": "registry",
                    "rootdirectory": _root(),
                    "chunksize": 5 * MIB,
                    "objectownership": True,
                }
            }
        )


@contextlib.contextmanager
def _azurite(folder: Path) -> Iterator[ObjectStorage]:
    with azurite.running_azurite(folder) as server:
        yield ObjectStorage(
            {
                "azure": {
                    "accountname": azurite.ACCOUNT,
                    "accountkey": azurite.KEY,
                    "serviceurl": server.url(),
                    "container": server.new_container(),
                    "rootdirectory": "/azure/virtual/container",
                }
            }
        )


@contextlib.contextmanager
def _gcs(folder: Path) -> Iterator[ObjectStorage]:
    with gcs.running_gcs(folder) as server:
        yield ObjectStorage(
            {"gcs": {"bucket": gcs.BUCKET, "keyfile": str(server.key_file), "rootdirectory": _root()}},
            {"STORAGE_EMULATOR_HOST": server.url},
        )


@contextlib.contextmanager
def _swift(folder: Path) -> Iterator[ObjectStorage]:
    with swift.running_swift(folder) as server:
        yield ObjectStorage(
            {
                "swift": {
                    "username": swift.USER,
                    "password": swift.KEY,
                    "authurl": server.auth_url,
                    "container": f"registry-{secrets.token_hex(8)}",
                    "chunksize": MIB,
                }
            }
        )


@contextlib.contextmanager
def _oss(folder: Path) -> Iterator[ObjectStorage]:
    with oss.running_oss(folder) as server:
        yield ObjectStorage(
            {
                "oss": {
                    "accesskeyid": oss.ACCESS_KEY,
                    "accesskeysecret": oss.SECRET_KEY,
                    "region": "oss-cn-hangzhou",
                    "bucket": oss.BUCKET,
                    "endpoint": server.url,
                    "rootdirectory": _root(),
                }
            }
        )


OBJECT_STORAGES: Mapping[str, Callable[[Path], AbstractContextManager[ObjectStorage]]] = {
    "s3": _seaweedfs,
    "s3 of swift": _swift_s3api,
    "azure": _azurite,
    "gcs": _gcs,
    "swift": _swift,
    "oss": _oss,
}
