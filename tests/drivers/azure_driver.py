"""Drivers for containers of Azurite, and looking past them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from azure.storage.blob.aio import BlobServiceClient

from matou.config.sections.azure import AzureParameters
from matou.registry.drivers.azure.segments import SegmentBlocks
from matou.registry.drivers.azure.store import AzureStore
from matou.registry.drivers.factory import ALONE, Surroundings
from matou.registry.drivers.object_driver import ObjectDriver
from tests.servers.azurite import ACCOUNT, KEY, section

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from azure.storage.blob.aio import ContainerClient

    from tests.servers.azurite import Azurite


def parameters(server: Azurite, **given: Any) -> AzureParameters:
    """Return parameters, of an empty container unless one is given."""
    quick = {"retry_delay": 0.01, "api_pool_initial_interval": 0.01, "api_pool_max_interval": 0.05}
    return AzureParameters(**section(server, **{"authentication": "shared_key", **quick, **given}))


def open_azure(given: AzureParameters, surroundings: Surroundings = ALONE) -> ObjectDriver:
    store = AzureStore(given, surroundings)
    return ObjectDriver(store, SegmentBlocks(store))


@asynccontextmanager
async def opened(given: AzureParameters, surroundings: Surroundings = ALONE) -> AsyncIterator[ObjectDriver]:
    driver = open_azure(given, surroundings)
    try:
        yield driver
    finally:
        await driver.close()


@asynccontextmanager
async def container_of(server: Azurite, name: str) -> AsyncIterator[ContainerClient]:
    """Yield the container as the vendor's library shows it."""
    credential = {"account_name": ACCOUNT, "account_key": KEY}
    async with BlobServiceClient(server.url(), credential=credential, connection_verify=False) as service:
        yield service.get_container_client(name)


async def names(server: Azurite, container: str, *, uncommitted: bool = False) -> list[str]:
    """Return the names of all blobs."""
    include = ["uncommittedblobs"] if uncommitted else None
    async with container_of(server, container) as client:
        return (
            [name async for name in client.list_blob_names()]
            if include is None
            else [blob.name async for blob in client.list_blobs(include=include)]
        )


async def put_append_blob(server: Azurite, container: str, name: str, content: bytes) -> None:
    """Store an append blob in pieces, as Distribution does."""
    async with container_of(server, container) as client:
        blob = client.get_blob_client(name)
        await blob.create_append_blob()
        for first in range(0, len(content), 1 << 20):
            await blob.append_block(content[first : first + (1 << 20)])


async def append(driver: ObjectDriver, upload: str, offset: int, *chunks: bytes) -> None:
    writer = await driver.upload_open(upload, offset)
    try:
        await writer.write(chunks)
    finally:
        await writer.close()
