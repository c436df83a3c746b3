"""URLs that are good for a while, signed with a key of the container or the account.

The key is the container's where containers have keys, as in Distribution: the one that is there, or ``secretkey``.
Where there is neither, all processes of all replicas must come to the same one without talking to each other, so it is
derived from what they have in common.

Source: Swift's ``tempurl`` middleware; ``URLFor`` of Distribution 2.8.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import math
import time
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlencode, urlsplit

from matou.registry.drivers.base import StorageError

if TYPE_CHECKING:
    from matou.config.sections.swift import SwiftParameters
    from matou.registry.drivers.swift.connection import Connection

log = logging.getLogger("matou.registry")

KEY_SECONDS = 600.0  # after which a key is looked up again: somebody may have changed it
FORBIDDEN = (401, 403)
SCRYPT_COST = 1 << 14  # 16 MiB and 50 ms


class TemporaryUrls:
    """Signs for one container.

    Args:
        connection: to it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._looking = asyncio.Lock()
        self._key = ""
        self._looked = -math.inf

    async def url(self, name: str, seconds: float) -> str | None:
        """Return a URL for GET and HEAD.

        Args:
            name: of the object.
            seconds: that it is good.

        Returns:
            None where the cluster has no such URLs, or this user may not set a key.

        Raises:
            StorageError: as for ``Connection.send``.
        """
        opened = await self._connection.open()
        cluster, parameters = opened.cluster, self._connection.parameters
        if "GET" not in cluster.url_methods:  # which permits HEAD, too
            return None
        async with self._looking:
            if time.monotonic() - self._looked >= KEY_SECONDS:
                self._key = await self._look_up("Container" if cluster.container_keys else "Account")
                self._looked = time.monotonic()
        if not self._key:
            return None
        expires = math.ceil(time.time() + seconds)
        path = f"{unquote(urlsplit(opened.account.url).path)}/{parameters.container}/{name}"
        signature = hmac.new(self._key.encode(), f"GET\n{expires}\n{path}".encode(), cluster.url_algorithm).hexdigest()
        if parameters.accesskey:  # HP's cloud had signatures of this form
            signature = f"{parameters.tenantid or opened.account.project}:{parameters.accesskey}:{signature}"
        query = urlencode({"temp_url_sig": signature, "temp_url_expires": expires})
        return f"{opened.account.url}/{quote(parameters.container)}/{quote(name)}?{query}"

    async def _look_up(self, level: str) -> str:
        """Return the key of the container or account, after setting it where that is needed; "" when that fails."""
        target = "" if level == "Container" else None
        header = f"X-{level}-Meta-Temp-Url-Key"
        parameters = self._connection.parameters
        try:
            answer = await self._connection.send("HEAD", target, permitted=FORBIDDEN)
            present = [answer.headers.get(name, "") for name in (header, f"{header}-2")]
            if parameters.secretkey in present if parameters.secretkey else present[0]:
                return parameters.secretkey or present[0]
            key = parameters.secretkey or await asyncio.to_thread(_derived, parameters)
            answer = await self._connection.send("POST", target, headers={header: key}, permitted=FORBIDDEN)
        except StorageError as error:
            log.warning("clients are not redirected to Swift: %s", error)
            return ""
        if answer.status not in FORBIDDEN:
            return key
        if parameters.secretkey:
            return parameters.secretkey  # whoever wrote it into the configuration has set it
        log.warning(
            "clients are not redirected to Swift: the user %r may not set a key for temporary URLs of the %s (%s); set "
            "one as its owner and write it to storage.swift.secretkey",
            parameters.username,
            level.lower(),
            answer.status,
        )
        return ""


def _derived(parameters: SwiftParameters) -> str:
    """Return a key that is the same wherever the configuration is, and tells nothing of the password."""
    salt = f"temporary URLs\n{parameters.authurl}\n{parameters.username}\n{parameters.container}"
    return hashlib.scrypt(parameters.password.encode(), salt=salt.encode(), n=SCRYPT_COST, r=8, p=1, dklen=32).hex()
