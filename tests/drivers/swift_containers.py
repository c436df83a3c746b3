"""What tests of the swift driver have in common."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from matou.config.sections.swift import SwiftParameters
from matou.registry.drivers.factory import ALONE
from matou.registry.drivers.object_driver import ObjectDriver
from matou.registry.drivers.swift.store import SwiftStore
from tests.servers.swift import section

if TYPE_CHECKING:
    import pytest

    from matou.registry.drivers.base import Driver
    from tests.servers.swift import SwiftContainer, SwiftServer

MIB = 1 << 20
PIECE = 1 << 16
BLOB = "docker/registry/v2/blobs/sha256/ab/abcd/data"
OTHER_BLOB = "docker/registry/v2/blobs/sha256/cd/cdef/data"
REPOSITORY = "docker/registry/v2/repositories/r"
UPLOAD = f"{REPOSITORY}/_uploads/1"
FILES, SEGMENTS = "files/", "segments/"


def parameters(server: SwiftServer, **given: Any) -> SwiftParameters:
    """Return the parameters of a new container."""
    return SwiftParameters(**section(server, **given))


def open_store(given: SwiftParameters) -> SwiftStore:
    store = SwiftStore(given, ALONE)
    store.segments = replace(store.segments, settling=0.5)  # one node's listings do not lag
    store._requests._first_pause = 0.01
    return store


def open_driver(given: SwiftParameters) -> ObjectDriver:
    store = open_store(given)
    return ObjectDriver(store, store.uploads)


def store_of(driver: Driver) -> SwiftStore:
    assert isinstance(driver, ObjectDriver)
    assert isinstance(driver.store, SwiftStore)
    return driver.store


def content_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)  # noqa: S311 -- the same bytes every time


def pieces(content: bytes) -> list[bytes]:
    return [content[start : start + PIECE] for start in range(0, len(content), PIECE)]


async def upload(driver: Driver, path: str, content: bytes) -> None:
    """Begin an upload and send its content in two requests."""
    await driver.upload_begin(path)
    middle = len(content) // 2
    for start, piece in ((0, content[:middle]), (middle, content[middle:])):
        writer = await driver.upload_open(path, start)
        await writer.write(pieces(piece))
        await writer.close()


async def push(driver: Driver, path: str, content: bytes) -> None:
    """Write content in one go."""
    writer = await driver.content_open(path)
    await writer.write(pieces(content))
    await writer.commit()
    await writer.discard()


async def hashed(driver: Driver, path: str) -> str:
    """Return the digest of content as ``read`` yields it, of the size that ``stat`` tells."""
    digest = hashlib.sha256()
    async for piece in driver.read(path, 0, (await driver.stat(path)).size):
        digest.update(piece)
    return digest.hexdigest()


async def limit(driver: Driver, monkeypatch: pytest.MonkeyPatch, **abilities: Any) -> None:
    """Make a driver believe that its cluster can less."""
    connection = store_of(driver)._connection
    opened = await connection.open()
    monkeypatch.setattr(connection, "_opened", replace(opened, cluster=replace(opened.cluster, **abilities)))


def put_as_distribution_does(container: SwiftContainer, name: str, parts: list[bytes]) -> None:
    """Store a dynamic large object with the names that Distribution gives."""
    prefix = f"segments/{hashlib.sha1(name.encode()).hexdigest()}"  # noqa: S324 -- Distribution's
    prefix = f"{prefix[:12]}/{prefix[12:]}"
    for number, part in enumerate(parts, 1):
        container.put(f"{prefix}/{number:016d}", part)
    container.put(name, X_Object_Manifest=f"{container.name}/{prefix}")
