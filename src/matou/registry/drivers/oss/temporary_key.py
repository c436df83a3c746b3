"""Keys that expire, and are renewed before.

Concurrency: the key is fetched by whoever finds it old; others wait for the same answer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from alibabacloud_oss_v2.types import Credentials

from matou.registry.drivers.base import StorageError

if TYPE_CHECKING:
    from collections.abc import Mapping

EARLY = 1800.0  # seconds before a key expires from which a new one is asked for; URLs that it has signed end with it
PAUSE = 60.0  # seconds between two attempts while the old key is good

log = logging.getLogger("matou.registry")


class Key(NamedTuple):
    """A temporary key, and when it expires (seconds since the epoch, UTC)."""

    credentials: Any
    expires: float

    @staticmethod
    def of(document: Mapping[str, Any]) -> Key:
        """Return the key that a service describes.

        Raises:
            KeyError, TypeError, ValueError: it describes none.
        """
        expires = datetime.fromisoformat(document["Expiration"]).timestamp()
        key = document["AccessKeyId"], document["AccessKeySecret"], document["SecurityToken"]
        return Key(Credentials(*key), expires)


class TemporaryKey(ABC):
    """A provider of credentials for the library."""

    def __init__(self) -> None:
        self._key: Key | None = None
        self._next = 0.0  # time of the next attempt
        self._fetching = asyncio.Lock()

    def get_credentials(self) -> Any:
        """Return the key that ``refresh`` has found."""
        if self._key is None:
            raise StorageError("OSS: the temporary key was not fetched yet")
        return self._key.credentials

    async def refresh(self) -> None:
        """Fetch a key where there is none, or an old one.

        Raises:
            StorageError: nobody gives one.
            Transient: the service does not answer.
        """
        if time.time() < self._next:
            return
        async with self._fetching:
            if time.time() < self._next:
                return
            try:
                self._key = await self._fetch()
                self._next = self._key.expires - EARLY
            except StorageError as error:
                if self._key is None or self._key.expires <= time.time():
                    raise
                log.warning("%s; the present key is used as long as it is good", error)
            self._next = max(self._next, time.time() + PAUSE)

    @property
    def _has_key(self) -> bool:
        """Whether there was a key, so that there should be one again."""
        return self._key is not None

    @abstractmethod
    async def _fetch(self) -> Key:
        """Ask for a key; raises as ``refresh`` does."""
