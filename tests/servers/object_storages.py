"""Every object storage that the tests have a server for, as a registry is told of it."""

from __future__ import annotations

import contextlib
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
        segment: bytes of the segments in which uploads come there.
        secrets: what no log may show: a key, and what signed URLs and requests have.
        variables: that a program needs in its environment to reach it.
    """

    section: Mapping[str, Any]
    segment: int
    secrets: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def _seaweedfs(folder: Path) -> Iterator[ObjectStorage]:
    with seaweedfs.running_seaweedfs(folder) as server:
        secrets = (seaweedfs.SECRET_KEY, "X-Amz-Signature", "Signature=")
        yield ObjectStorage({"s3": seaweedfs.section(server.url)}, seaweedfs.PART, secrets)


@contextlib.contextmanager
def _swift_s3api(folder: Path) -> Iterator[ObjectStorage]:
    with swift.running_swift(folder) as server:
        with server.container("registry") as container:
            container.ask("PUT", "")
        key = {"accesskey": swift.USER, "secretkey": swift.KEY}
        section = seaweedfs.section(server.url, **key, bucket="registry", objectownership=True)
        yield ObjectStorage({"s3": section}, seaweedfs.PART, ("X-Amz-Signature", "Signature="))


@contextlib.contextmanager
def _azurite(folder: Path) -> Iterator[ObjectStorage]:
    with azurite.running_azurite(folder) as server:
        section = azurite.section(server, rootdirectory="/azure/virtual/container")
        yield ObjectStorage({"azure": section}, 8 * MIB, (azurite.KEY, "sig="))


@contextlib.contextmanager
def _gcs(folder: Path) -> Iterator[ObjectStorage]:
    with gcs.running_gcs(folder) as server:
        secrets = ("PRIVATE KEY", "ya29.", "X-Goog-Signature")
        yield ObjectStorage({"gcs": gcs.section(server)}, gcs.UNIT, secrets, gcs.variables(server))


@contextlib.contextmanager
def _swift(folder: Path) -> Iterator[ObjectStorage]:
    with swift.running_swift(folder) as server:
        secrets = (f"password: {swift.KEY}", "AUTH_tk", "temp_url_sig")
        yield ObjectStorage({"swift": swift.section(server)}, swift.SEGMENT, secrets)


@contextlib.contextmanager
def _oss(folder: Path) -> Iterator[ObjectStorage]:
    with oss.running_oss(folder) as server:
        yield ObjectStorage({"oss": oss.section(server)}, seaweedfs.PART, (oss.SECRET_KEY, "x-oss-signature="))


OBJECT_STORAGES: Mapping[str, Callable[[Path], AbstractContextManager[ObjectStorage]]] = {
    "s3": _seaweedfs,
    "s3 of swift": _swift_s3api,
    "azure": _azurite,
    "gcs": _gcs,
    "swift": _swift,
    "oss": _oss,
}
