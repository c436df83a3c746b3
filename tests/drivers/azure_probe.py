"""A process of its own that uses the storage of a configuration: libraries read certificates when they are loaded.

Usage: ``python -m tests.drivers.azure_probe CONFIG``. Prints what signs URLs.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from matou.config.distribution import load_configuration
from matou.registry.drivers.base import StorageError
from matou.registry.drivers.factory import open_driver

UPLOAD = "r/_uploads/1"


async def probe(path: Path) -> str:
    """Do once what a registry does; return what there is to say."""
    driver = open_driver(load_configuration(path, {}))
    content = bytes(range(256)) * 9000
    try:
        await driver.put("a/b", content)
        await driver.upload_begin(UPLOAD)
        writer = await driver.upload_open(UPLOAD, 0)
        await writer.write([content])
        await writer.close()
        await driver.upload_commit(UPLOAD, len(content), "c")
        assert b"".join([piece async for piece in driver.read("c", 1, len(content) - 1)]) == content[1:]
        assert sorted(await driver.list("")) == ["a", "c"]
        assert await driver.copy_from(driver, "a/b", len(content))
        await driver.delete("a")
        return ("signs " + str(await driver.url("c", "GET", 60))).replace(" None", " nothing")
    finally:
        await driver.close()


if __name__ == "__main__":
    try:
        print(asyncio.run(probe(Path(sys.argv[1]))))  # noqa: T201 -- for the test
    except StorageError as error:
        sys.exit(str(error))
