"""The client of aiobotocore, set up from ``storage.s3``.

Concurrency: the client is made when the first request asks for it, as it belongs to the running event loop.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

    from matou.config.sections.drivers import S3Parameters

CONNECT_SECONDS = 10
READ_SECONDS = 60
CONNECTIONS = 100  # of a worker; more requests wait for one


class Connection:
    """One client.

    Args:
        parameters: of the driver.
    """

    def __init__(self, parameters: S3Parameters) -> None:
        self._parameters = parameters
        self._making = asyncio.Lock()
        self._closing = AsyncExitStack()
        self._client: S3Client | None = None

    async def client(self) -> S3Client:
        """Return the client."""
        if self._client is not None:
            return self._client
        async with self._making:
            return await self._make()

    async def _make(self) -> S3Client:
        client = self._client  # another request may have made it while this one waited
        if client is None:
            client = self._client = await self._enter()
        return client

    async def _enter(self) -> S3Client:
        client: S3Client = await self._closing.enter_async_context(self._creating())
        return client

    def _creating(self) -> Any:
        parameters = self._parameters
        return get_session().create_client(
            "s3",
            region_name=parameters.region,
            endpoint_url=endpoint_url(parameters.regionendpoint, secure=parameters.secure),
            use_ssl=parameters.secure,
            verify=False if parameters.skipverify else None,
            aws_access_key_id=parameters.accesskey or None,
            aws_secret_access_key=parameters.secretkey or None,
            aws_session_token=parameters.sessiontoken or None,
            config=AioConfig(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                max_pool_connections=CONNECTIONS,
                retries={"total_max_attempts": 1},
                signature_version="s3v4",
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                s3={
                    "addressing_style": "path" if parameters.has_path_style else "virtual",
                    "payload_signing_enabled": False,
                },
            ),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._closing.aclose()
        self._client = None


def endpoint_url(given: str, *, secure: bool) -> str | None:
    """Return the URL of an endpoint that may be given without a scheme; None for the region's own."""
    if not given or "://" in given:
        return given or None
    return f"{'https' if secure else 'http'}://{given}"
