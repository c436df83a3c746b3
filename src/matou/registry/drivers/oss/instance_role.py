"""The temporary key of the RAM role that is attached to an ECS instance.

Source: ECS user guide, "Instance metadata" (security hardening mode) and "Obtain a temporary authorization token".

Concurrency: the key is fetched by whoever finds it old; others wait for the same answer.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import aiohttp
from alibabacloud_oss_v2.types import Credentials

from matou.registry.drivers.base import StorageError, Transient

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVICE = "http://100.100.100.200"
ROLE_VARIABLE = "ALIBABA_CLOUD_ECS_METADATA"  # of Alibaba's libraries: the name of the role
ROLES = "/latest/meta-data/ram/security-credentials/"
LIFETIME = "300"  # seconds of the token that lets read metadata; one is asked for each time
SECONDS = aiohttp.ClientTimeout(total=5, connect=2)
EARLY = 1800.0  # seconds before a key expires from which a new one is asked for; URLs that it has signed end with it
PAUSE = 60.0  # seconds between two attempts while the old key is good

log = logging.getLogger("matou.registry")


class Key(NamedTuple):
    """A temporary key, and when it expires (seconds since the epoch, UTC)."""

    credentials: Any
    expires: float


class InstanceRole:
    """A provider of credentials for the library.

    Args:
        service: URL of the metadata.
    """

    def __init__(self, service: str = SERVICE) -> None:
        self._service = service
        self._key: Key | None = None
        self._next = 0.0  # time of the next attempt
        self._fetching = asyncio.Lock()

    def get_credentials(self) -> Any:
        """Return the key that ``refresh`` has found."""
        if self._key is None:
            raise StorageError("OSS: the key of this machine's role was not fetched yet")
        return self._key.credentials

    async def refresh(self) -> None:
        """Fetch a key where there is none, or an old one.

        Raises:
            StorageError: the machine has no role.
            Transient: the metadata service, which gave keys before, does not answer.
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

    async def _fetch(self) -> Key:
        try:
            async with aiohttp.ClientSession(timeout=SECONDS) as session:
                headers = await self._token(session)
                role = os.environ.get(ROLE_VARIABLE) or (await self._read(session, ROLES, headers)).strip()
                return _parsed(await self._read(session, ROLES + quote(role), headers), role)
        except (aiohttp.ClientError, TimeoutError) as error:
            failure = StorageError if self._key is None else Transient
            raise failure(
                "OSS: there is no key in storage.oss and none in the environment (OSS_ACCESS_KEY_ID), and this machine "
                f"gives none: its metadata service does not answer ({type(error).__name__})"
            ) from error

    async def _token(self, session: aiohttp.ClientSession) -> Mapping[str, str]:
        """Return the header that lets read metadata; none where the service knows no tokens."""
        ttl = {"X-aliyun-ecs-metadata-token-ttl-seconds": LIFETIME}
        async with session.put(f"{self._service}/latest/api/token", headers=ttl) as answer:
            if not answer.ok:
                return {}
            return {"X-aliyun-ecs-metadata-token": (await answer.text()).strip()}

    async def _read(self, session: aiohttp.ClientSession, path: str, headers: Mapping[str, str]) -> str:
        async with session.get(self._service + path, headers=headers) as answer:
            if not answer.ok:
                raise StorageError(
                    "OSS: there is no key in storage.oss and none in the environment (OSS_ACCESS_KEY_ID), and no RAM "
                    f"role is attached to this machine (its metadata service answers {answer.status})"
                )
            return await answer.text()


def _parsed(text: str, role: str) -> Key:
    """Return the key of an answer."""
    try:
        answer = json.loads(text)
        expires = datetime.fromisoformat(answer["Expiration"]).timestamp()
        credentials = Credentials(answer["AccessKeyId"], answer["AccessKeySecret"], answer["SecurityToken"])
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(
            f"OSS: the metadata service of this machine gives no key for the RAM role {role!r}: look at the role"
        ) from error
    return Key(credentials, expires)
