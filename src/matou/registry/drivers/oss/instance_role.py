"""The temporary key of the RAM role that is attached to an ECS instance.

Source: ECS user guide, "Instance metadata" (security hardening mode) and "Obtain a temporary authorization token".
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING
from urllib.parse import quote

import aiohttp

from matou.registry.drivers.base import Transient, Unusable
from matou.registry.drivers.oss.temporary_key import Key, TemporaryKey

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVICE = "http://100.100.100.200"
ROLE_VARIABLE = "ALIBABA_CLOUD_ECS_METADATA"  # of Alibaba's libraries: the name of the role
ROLES = "/latest/meta-data/ram/security-credentials/"
LIFETIME = "300"  # seconds of the token that lets read metadata; one is asked for each time
SECONDS = aiohttp.ClientTimeout(total=5, connect=2)


class InstanceRole(TemporaryKey):
    """A provider of credentials for the library.

    Args:
        service: URL of the metadata.
    """

    def __init__(self, service: str = SERVICE) -> None:
        super().__init__()
        self._service = service

    async def _fetch(self) -> Key:
        try:
            async with aiohttp.ClientSession(timeout=SECONDS) as session:
                headers = await self._token(session)
                role = os.environ.get(ROLE_VARIABLE) or (await self._read(session, ROLES, headers)).strip()
                return _parsed(await self._read(session, ROLES + quote(role), headers), role)
        except (aiohttp.ClientError, TimeoutError) as error:
            failure = Transient if self._has_key else Unusable
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
                raise Unusable(
                    "OSS: there is no key in storage.oss and none in the environment (OSS_ACCESS_KEY_ID), and no RAM "
                    f"role is attached to this machine (its metadata service answers {answer.status})"
                )
            return await answer.text()


def _parsed(text: str, role: str) -> Key:
    """Return the key of an answer."""
    try:
        return Key.of(json.loads(text))
    except (KeyError, TypeError, ValueError) as error:
        raise Unusable(
            f"OSS: the metadata service of this machine gives no key for the RAM role {role!r}: look at the role"
        ) from error
