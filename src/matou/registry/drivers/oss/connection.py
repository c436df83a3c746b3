"""The library's client, set up for one bucket.

What the library does besides is off: it would repeat requests on its own, without a limit or a count, and it compares
its CRC-64 when damaged content is already stored. The MD5 that is sent instead makes the service refuse such content,
and takes a third of the time.

Concurrency: the session belongs to the event loop that sends the first request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
from alibabacloud_oss_v2.aio.client import AsyncClient
from alibabacloud_oss_v2.aio.transport import AioHttpClient
from alibabacloud_oss_v2.config import Config
from yarl import URL

from matou.registry.drivers.oss.endpoint import Style
from matou.registry.drivers.oss.failures import translated
from matou.registry.drivers.proxies import Proxies

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from matou.registry.drivers.oss.credentials import CredentialsProvider
    from matou.registry.drivers.oss.endpoint import Endpoint
    from matou.registry.drivers.requests import Requests

CONNECT_SECONDS = 10
READ_SECONDS = 60
COPY_SECONDS = 300  # as in Distribution: a copy answers when it is done
CONNECTIONS = 100  # of a worker; more requests wait for one
READ_PIECE = 256 << 10  # bytes


class Connection:
    """Sends requests for one bucket, repeats what fails in passing, and translates errors.

    Args:
        bucket: its name.
        endpoint: that takes requests for it.
        credentials: sign the requests.
        requests: repeats them; closed with the connection.
    """

    def __init__(self, bucket: str, endpoint: Endpoint, credentials: CredentialsProvider, requests: Requests) -> None:
        self.bucket = bucket
        self.endpoint = endpoint
        self.credentials = credentials
        self._requests = requests
        self._session: aiohttp.ClientSession | None = None
        self._clients: dict[float, Any] = {}

    @property
    def client(self) -> Any:
        """The library's client."""
        return self._client(READ_SECONDS)

    @property
    def copying(self) -> Any:
        """The library's client for requests that the service works on for minutes before it answers."""
        return self._client(COPY_SECONDS)

    def _client(self, seconds: float) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS), auto_decompress=False
            )
        if seconds not in self._clients:
            self._clients[seconds] = AsyncClient(
                Config(
                    region=self.endpoint.region,
                    endpoint=self.endpoint.url,
                    signature_version="v4",
                    credentials_provider=self.credentials,
                    retry_max_attempts=1,
                    use_cname=self.endpoint.style is Style.IN_HOST,
                    use_path_style=self.endpoint.style is Style.IN_PATH,
                    disable_upload_crc64_check=True,
                    disable_download_crc64_check=True,
                    user_agent="matou",
                    http_client=AioHttpClient(
                        session=self._session,
                        connect_timeout=CONNECT_SECONDS,
                        readwrite_timeout=seconds,
                        block_size=READ_PIECE,
                        proxy_host=self._proxy(),
                    ),
                )
            )
        return self._clients[seconds]

    def _proxy(self) -> str | None:
        url = URL(self.endpoint.url)
        if self.endpoint.style is Style.BEFORE_HOST:
            url = url.with_host(f"{self.bucket}.{url.host}")
        proxy = Proxies().of(url)
        return None if proxy is None else str(proxy)

    async def send(self, operation: str, key: str, call: Callable[[], Awaitable[Any]]) -> Any:
        """Return what a request returns, repeating it while it fails in passing.

        Args:
            operation: of OSS, for messages.
            key: that it concerns, for messages.
            call: sends it once.

        Raises:
            StorageError: as ``translated`` has it.
        """

        async def once() -> Any:
            await self.credentials.refresh()
            with translated(operation, self.bucket, key, self.endpoint):
                return await call()

        return await self._requests.send(once)

    def stream(
        self, request: Callable[[int, int], AsyncIterator[bytes]], start: int, length: int
    ) -> AsyncIterator[bytes]:
        """See ``Requests.stream``."""
        return self._requests.stream(request, start, length)

    async def close(self) -> None:
        """Close the connections."""
        self._requests.close()
        self._clients.clear()
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()
