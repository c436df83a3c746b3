"""The health checks: each finds out once whether something is well.

Source: Distribution ``health/checks`` and ``configureHealthChecks``, whose names and messages these are.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from matou.registry.drivers.base import NotFound, StorageError
from matou.registry.observe.redaction import redact_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from http.client import HTTPMessage
    from typing import IO

    from matou.registry.drivers.base import Driver

DEFAULT_TIMEOUT = 10.0  # seconds, where none is configured: a check must come to an end


class Unhealthy(Exception):  # noqa: N818 -- the state, not a fault of ours
    """What was checked is not well; the message says why, and may be shown to everybody who asks."""


class Check(Protocol):
    """One health check."""

    name: str

    async def run(self) -> None:
        """Check once.

        Raises:
            Unhealthy: it is not well.
        """
        ...


class StorageCheck:
    """``health.storagedriver``: the storage answers. An empty one is well.

    Args:
        driver: the storage.
        kind: its key in the configuration.
    """

    def __init__(self, driver: Driver, kind: str) -> None:
        self.name = f"storagedriver_{kind}"
        self._driver = driver

    async def run(self) -> None:
        """See ``Check.run``."""
        try:
            async with asyncio.timeout(DEFAULT_TIMEOUT):
                await self._driver.stat("")
        except NotFound:
            return
        except TimeoutError:
            raise Unhealthy(f"the storage did not answer within {DEFAULT_TIMEOUT:.0f} s") from None
        except StorageError as error:
            raise Unhealthy(str(error)) from None


class FileCheck:
    """``health.file[]``: ill as long as a file exists, which an administrator makes to take the registry out.

    Args:
        path: of the file.
    """

    def __init__(self, path: str) -> None:
        self.name = path

    async def run(self) -> None:
        """See ``Check.run``."""
        if await asyncio.to_thread(os.path.lexists, self.name):
            raise Unhealthy("file exists")


class TcpCheck:
    """``health.tcp[]``: something accepts connections.

    Args:
        addr: ``host:port``.
        timeout: seconds; 0 is the default.
    """

    def __init__(self, addr: str, timeout: float) -> None:
        self.name = addr
        self._timeout = timeout or DEFAULT_TIMEOUT

    async def run(self) -> None:
        """See ``Check.run``."""
        host, _, port = self.name.rpartition(":")
        try:
            async with asyncio.timeout(self._timeout):
                _, writer = await asyncio.open_connection(host.strip("[]") or "localhost", int(port))
        except (OSError, ValueError, OverflowError):
            raise Unhealthy(f"connection to {self.name} failed") from None
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


class HttpCheck:
    """``health.http[]``: a web service answers HEAD with the wanted status; redirects are followed.

    Args:
        uri: asked for.
        statuscode: that is healthy; 0 is 200.
        headers: of the request.
        timeout: seconds; 0 is the default.

    Raises:
        ValueError: the URI is none of http or https.
    """

    def __init__(self, uri: str, statuscode: int, headers: Mapping[str, Sequence[str]], timeout: float) -> None:
        if urlsplit(uri).scheme not in ("http", "https"):
            raise ValueError(f"health.http has the uri {uri!r}; expected http://... or https://...")
        self.name = redact_text(uri)
        self._uri = uri
        self._statuscode = statuscode or 200
        self._headers = {name: ", ".join(values) for name, values in headers.items()}
        self._timeout = timeout or DEFAULT_TIMEOUT

    async def run(self) -> None:
        """See ``Check.run``."""
        status = await asyncio.to_thread(self._ask)
        if status != self._statuscode:
            raise Unhealthy(f"downstream service returned unexpected status: {status}")

    def _ask(self) -> int:
        request = urllib.request.Request(self._uri, headers=self._headers, method="HEAD")  # noqa: S310 -- the scheme was checked
        opener = urllib.request.build_opener(_HeadRedirects)
        try:
            with opener.open(request, timeout=self._timeout) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except (OSError, ValueError) as error:
            raise Unhealthy(f"error while checking: {self.name}: {redact_text(str(error))}") from None


class _HeadRedirects(urllib.request.HTTPRedirectHandler):
    """Asks with HEAD again where the library would with GET."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """See the library."""
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None:
            following.method = "HEAD"
        return following
