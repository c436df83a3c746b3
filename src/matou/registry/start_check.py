"""What is tried in the storage before a worker starts: what is wrong with key, bucket, rights or clock shows then."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from matou.registry.access import check_at_start
from matou.registry.drivers.base import StorageFull, Transient
from matou.registry.drivers.factory import Surroundings, open_driver

if TYPE_CHECKING:
    from matou.config.distribution import Configuration
    from matou.registry.files import RegistryFiles

log = logging.getLogger("matou.registry")

WAIT = 60.0  # seconds for a storage that cannot be reached: it may be starting, too
PATIENCE = 5.0  # seconds in which a request is repeated
ATTEMPT = 30.0  # seconds for all requests together
PAUSE = 1.0  # seconds between attempts


def check_storage(configuration: Configuration, files: RegistryFiles, *, wait: float = WAIT) -> None:
    """Find out whether the storage can be used.

    Args:
        configuration: of the registry.
        files: of the registry.
        wait: seconds for a storage that cannot be reached or fails in passing.

    Raises:
        StorageError: it cannot; the message says why and what to do.
    """
    if configuration.storage.driver == "inmemory":
        return
    deadline = time.monotonic() + wait
    is_waiting = False
    while True:
        try:
            asyncio.run(_check(configuration, files))
        except StorageFull as error:
            log.error("the storage is full: pulls work, pushes do not until there is room: %s", error)  # noqa: TRY400 -- the cause is known
        except Transient as error:
            if time.monotonic() > deadline:
                raise
            if not is_waiting:
                log.warning("waiting %.0f s for the storage: %s", wait, error)
                is_waiting = True
            time.sleep(PAUSE)
            continue
        return


async def _check(configuration: Configuration, files: RegistryFiles) -> None:
    readonly = configuration.storage.maintenance.readonly.enabled
    driver = open_driver(configuration, Surroundings(files.request_limit, patience=PATIENCE))
    try:
        async with asyncio.timeout(ATTEMPT):
            await check_at_start(driver, readonly=readonly)
    except TimeoutError as error:
        raise Transient(f"the storage did not answer within {ATTEMPT:.0f} s") from error
    finally:
        await driver.close()
