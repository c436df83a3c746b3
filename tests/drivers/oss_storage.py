"""What tests of the oss driver have in common."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from matou.config.sections.oss import OssParameters
from matou.registry.drivers.factory import ALONE
from matou.registry.drivers.object_driver import ObjectDriver
from matou.registry.drivers.oss.store import OssStore
from tests.servers.oss.server import section

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from tests.servers.oss.server import OssServer


def parameters(server: OssServer, **given: Any) -> OssParameters:
    """Return the parameters of an empty root directory."""
    return OssParameters(**section(server, **given))


def run(given: OssParameters, scenario: Callable[[ObjectDriver, OssStore], Awaitable[None]]) -> None:
    async def whole() -> None:
        store = OssStore(given, ALONE)
        driver = ObjectDriver(store)
        try:
            await scenario(driver, store)
        finally:
            await driver.close()

    asyncio.run(whole())


async def read(driver: ObjectDriver, path: str, start: int, length: int) -> bytes:
    return b"".join([piece async for piece in driver.read(path, start, length)])


async def upload(driver: ObjectDriver, path: str, writes: Sequence[bytes]) -> int:
    """Upload content, one request for each write; return its bytes."""
    offset = 0
    await driver.upload_begin(path)
    for chunk in writes:
        writer = await driver.upload_open(path, offset)
        await writer.write([chunk])
        await writer.close()
        offset += len(chunk)
    return offset
