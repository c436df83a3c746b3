"""The connections of a driver to its container.

Concurrency: they are made when the first request asks for them, as they belong to the running event loop.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp
from azure.storage.blob.aio import BlobServiceClient

from matou.registry.drivers.azure.errors import Answer, Refusal, failure, translated
from matou.registry.drivers.azure.transport import Transport
from matou.registry.drivers.base import StorageError
from matou.registry.drivers.proxies import Proxies

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from azure.storage.blob import UserDelegationKey
    from azure.storage.blob.aio import BlobClient, ContainerClient

    from matou.registry.drivers.azure.account import Account
    from matou.registry.drivers.azure.debug_log import DebugLog
    from matou.registry.drivers.requests import Requests

T = TypeVar("T")

log = logging.getLogger("matou.registry")

CONNECT_SECONDS = 20
READ_SECONDS = 60
CONNECTIONS = 100  # of a worker; more requests wait for one
PIECE = 1 << 20
VERSION = "2021-12-02"  # of the service's API, for reading
SCOPE = "https://storage.azure.com/.default"
SIGNED_SECONDS = 3600.0  # how long a signature for reading is good
DELEGATED_SECONDS = 86400.0  # how long a user delegation key is good, unless URLs shall be good for longer
LONGEST_DELEGATION = 7 * 86400.0 - 600  # seconds; a week is what the service allows, and clocks differ
REFUSED_SECONDS = 300.0  # until a user delegation key is asked for again that was refused
SHORT = "InvalidRange"  # the service's code, when the first byte is behind the end
PARTIAL = 206
OK = 200
MESSAGE = re.compile(r"<Message>([^\r\n<]*)")


class Connection:
    """Connections.

    Args:
        account: whose they are.
        requests: repeats what fails in passing.
        debug_log: is told of requests.
        skipverify: take any certificate.
        try_timeout: seconds for an answer to each try; 0 for no limit.
    """

    def __init__(
        self, account: Account, requests: Requests, debug_log: DebugLog, *, skipverify: bool, try_timeout: float
    ) -> None:
        self.account = account
        self.setup = account.setup
        self.requests = requests
        self.debug_log = debug_log
        self._skipverify = skipverify
        self._try_timeout = try_timeout or None
        self._proxies = Proxies()
        self._session: aiohttp.ClientSession | None = None
        self._service: BlobServiceClient | None = None
        self._credential: Any = None
        self._signature = (0.0, account.signature)
        self._delegation: tuple[float, UserDelegationKey | None] = (0.0, None)
        self._delegating = asyncio.Lock()

    def _open(self) -> tuple[aiohttp.ClientSession, BlobServiceClient]:
        if self._session is None or self._service is None:
            # What the libraries warn of they raise, too: it is said once, in one line.
            logging.getLogger("azure").setLevel(logging.CRITICAL)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS, ssl=not self._skipverify),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trace_configs=self.debug_log.trace_configs(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS),
            )
            self._credential = self.account.credential(Transport(self._proxies))
            self._service = BlobServiceClient(
                self.account.endpoint,
                credential=self._credential,
                transport=Transport(
                    self._proxies, self._session, connection_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS
                ),
                retry_total=0,
                user_agent="matou",
            )
        return self._session, self._service

    @property
    def container(self) -> ContainerClient:
        """The client of the container."""
        return self._open()[1].get_container_client(self.account.container)

    def blob(self, name: str) -> BlobClient:
        """Return the client of a blob."""
        return self.container.get_blob_client(name)

    async def send(self, doing: str, request: Callable[[], Awaitable[T]]) -> T:
        """Return what a request of the client returns, repeating it where that may help.

        Args:
            doing: what is asked for, such as ``deleting a/b``.
            request: sends it once.

        Raises:
            NotFound: there is no such blob.
            Transient: the retries are used up.
            StorageError: it failed for good.
        """

        async def once() -> T:
            with translated(self.setup, doing):
                async with asyncio.timeout(self._try_timeout):
                    return await request()

        return await self.requests.send(once)

    async def read(self, name: str, start: int, length: int | None, etag: str) -> AsyncIterator[tuple[str, bytes]]:
        """Ask once for bytes of a blob, and yield them as they come in, with the blob's entity tag.

        Args:
            name: of the blob.
            start: first byte.
            length: how many; None for all.
            etag: that the blob must have; "" for any.

        Raises:
            NotFound: there is no such blob.
            Refusal: it has another entity tag, or is shorter; or the service does not want to.
            Transient: the connection broke.
        """
        headers = {"x-ms-version": VERSION}
        if length is not None:
            headers["Range"] = f"bytes={start}-{start + length - 1}"
        if etag:
            headers["If-Match"] = etag
        session, _ = self._open()
        doing = f"reading {name}"
        with translated(self.setup, doing):
            query = await self._authorise(headers)
            url = self.account.url(name)
            async with asyncio.timeout(self._try_timeout):
                answer = await session.get(
                    f"{url}?{query}" if query else url, headers=headers, proxy=self._proxies.of(url)
                )
            async with answer as response:
                if response.status not in (OK, PARTIAL) or (length is not None and response.status != PARTIAL):
                    text = MESSAGE.search(await response.text(errors="replace"))
                    code = response.headers.get("x-ms-error-code", "")
                    named = {header.lower(): value for header, value in response.headers.items()}
                    raise failure(
                        self.setup, doing, Answer(response.status, code, text[1].strip() if text else "", named)
                    )
                total = response.headers.get("content-range", "").rpartition("/")[2]
                if length is not None and total.isdecimal() and start + length > int(total):
                    raise Refusal(f"azure: {name} has {total} bytes, not {start + length}", SHORT)
                found = response.headers.get("etag", "")
                async for piece in response.content.iter_chunked(PIECE):
                    yield found, piece

    async def _authorise(self, headers: dict[str, str]) -> str:
        """Return the signature for a request that reads, or add a header that authorises it."""
        if self.account.key:
            good_until, signature = self._signature
            now = time.monotonic()
            if now > good_until - SIGNED_SECONDS / 2:
                signature = self.account.sign_reading(SIGNED_SECONDS)
                self._signature = (now + SIGNED_SECONDS, signature)
            return signature
        if self.account.signature:
            return self.account.signature
        token = await self._credential.get_token(SCOPE)
        headers["Authorization"] = f"Bearer {token.token}"
        return ""

    async def signed_url(self, name: str, seconds: float) -> str | None:
        """Return a URL by which whoever knows it can read a blob; None where nothing can sign one."""
        if self.account.key:
            return f"{self.account.url(name)}?{self.account.sign_blob(name, seconds)}"
        if self.account.signature:
            return None  # it allows more than reading one blob: nobody shall get it
        left, delegation = await self._delegation_key(seconds)
        if delegation is None:
            return None
        return f"{self.account.url(name)}?{self.account.sign_blob(name, min(seconds, left), delegation)}"

    async def _delegation_key(self, seconds: float) -> tuple[float, UserDelegationKey | None]:
        """Return a key that signs URLs, and for how many seconds; None where the service gives none."""
        async with self._delegating:
            good_until, delegation = self._delegation
            now = time.monotonic()
            if good_until - now < (0.0 if delegation is None else min(seconds, LONGEST_DELEGATION / 2)):
                wanted = min(max(DELEGATED_SECONDS, 2 * seconds), LONGEST_DELEGATION)
                delegation = await self._ask_for_delegation(wanted)
                good_until = now + (REFUSED_SECONDS if delegation is None else wanted)
                self._delegation = good_until, delegation
            return good_until - now, delegation

    async def _ask_for_delegation(self, seconds: float) -> UserDelegationKey | None:
        _, service = self._open()
        now = datetime.now(UTC)
        try:
            with translated(self.setup, "getting a user delegation key"):
                # From a while ago, for clocks that differ.
                return await service.get_user_delegation_key(
                    now - timedelta(minutes=5), now + timedelta(seconds=seconds + 60)
                )
        except StorageError as error:
            log.warning(
                "pulls go through the registry, as nothing signs URLs: %s; redirects need the role Storage Blob "
                "Delegator on the account",
                error,
            )
            return None

    async def close(self) -> None:
        """Close them."""
        service, self._service = self._service, None
        session, self._session = self._session, None
        if service is not None:
            await service.close()
        if session is not None:
            await session.close()
        if hasattr(self._credential, "close"):
            await self._credential.close()
        self._credential = None
