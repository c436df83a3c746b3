"""The client of aiobotocore, set up from ``storage.s3``.

Requests are repeated by ours, not by the library, so that each one counts for the limit. Bodies of requests are signed,
but for large ones, whose checksum is in a signed header.

Concurrency: clients are made when the first request asks for them, as they belong to the running event loop.

Source: Distribution's s3-aws driver for what the options do; the AWS SDKs and Tools reference guide for credentials and
settings that come from elsewhere.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import hashlib
from contextlib import AsyncExitStack
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import get_session

from matou.registry.drivers.s3.body import Body, SmallBody
from matou.registry.drivers.s3.request_log import RequestLog

if TYPE_CHECKING:
    import ssl

    from types_aiobotocore_s3 import S3Client

    from matou.config.sections.s3 import S3Parameters

CONNECT_SECONDS = 10
READ_SECONDS = 60
CONNECTIONS = 128  # of a worker; more requests wait for one


class SystemTrust(AIOHTTPSession):  # type: ignore[misc]  # the library has no types
    """Connections that trust the certificates of the operating system, besides those of the library."""

    def _get_ssl_context(self) -> ssl.SSLContext:
        context: ssl.SSLContext = super()._get_ssl_context()
        context.load_default_certs()
        return context


class Connection:
    """A client for requests, and one for signed URLs.

    Args:
        parameters: of the driver.
    """

    def __init__(self, parameters: S3Parameters) -> None:
        self._parameters = parameters
        self._making = asyncio.Lock()
        self._closing = AsyncExitStack()
        self._clients: dict[str | None, S3Client] = {}
        self.endpoint = endpoint_url(parameters.regionendpoint, secure=parameters.secure)

    async def client(self) -> S3Client:
        """Return the client for requests."""
        return await self._client(self.endpoint)

    async def url_client(self) -> S3Client:
        """Return the client that signs URLs for others."""
        return await self._client(endpoint_url(self._parameters.redirectendpoint, secure=True) or self.endpoint)

    async def _client(self, endpoint: str | None) -> S3Client:
        found = self._clients.get(endpoint)
        if found is not None:
            return found
        async with self._making:
            return await self._make(endpoint)

    async def _make(self, endpoint: str | None) -> S3Client:
        client = self._clients.get(endpoint)  # another request may have made it while this one waited
        if client is None:
            client = self._clients[endpoint] = await self._enter(endpoint)
        return client

    async def _enter(self, endpoint: str | None) -> S3Client:
        client: S3Client = await self._closing.enter_async_context(self._creating(endpoint))
        events = client.meta.events
        events.register_last("before-call.s3", prepare)
        events.register("before-call.s3.DeleteObjects", self._add_digest)
        RequestLog.of(self._parameters.loglevel).register(events)
        if self._parameters.useragent:
            events.register("before-send.s3", self._name)
        return client

    def _creating(self, endpoint: str | None) -> Any:
        parameters = self._parameters
        return get_session().create_client(
            "s3",
            region_name=parameters.region,
            endpoint_url=endpoint,
            use_ssl=parameters.secure,
            verify=False if parameters.skipverify else None,
            aws_access_key_id=parameters.accesskey or None,
            aws_secret_access_key=parameters.secretkey or None,
            aws_session_token=parameters.sessiontoken or None,
            config=_settings(parameters, own_endpoint=endpoint is None),
        )

    def _add_digest(self, params: dict[str, Any], context: dict[str, Any], **_kwargs: Any) -> None:
        """Add what older compatible services ask for; the library has only a checksum of the newer kind."""
        digest = hashlib.md5(params["body"], usedforsecurity=False).digest()
        params["headers"]["Content-MD5"] = base64.b64encode(digest).decode()
        if self._parameters.checksum == "md5":
            context.pop("checksum", None)

    def _name(self, request: Any, **_kwargs: Any) -> None:
        request.headers["User-Agent"] = self._parameters.useragent  # the library adds to it; it is not signed

    async def forget(self) -> None:
        """Close the clients, so that the next request looks for credentials again."""
        async with self._making:
            self._clients.clear()
            closing, self._closing = self._closing, AsyncExitStack()
        await closing.aclose()

    async def close(self) -> None:
        """Close the connections."""
        await self.forget()


def _settings(parameters: S3Parameters, *, own_endpoint: bool) -> AioConfig:
    """Return the library's settings.

    Args:
        parameters: of the driver.
        own_endpoint: whether the library chooses the endpoint, of Amazon.
    """
    s3: dict[str, Any] = {
        "addressing_style": "path" if parameters.has_path_style else "virtual",
        "payload_signing_enabled": True,
    }
    amazon: dict[str, Any] = {}
    if own_endpoint:
        amazon = {
            "use_dualstack_endpoint": parameters.usedualstack,
            "use_fips_endpoint": parameters.usefipsendpoint,
        }
        if parameters.accelerate:
            s3["use_accelerate_endpoint"] = True
    return AioConfig(
        http_session_cls=SystemTrust,
        warm_up_loader_caches=True,
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=CONNECTIONS,
        retries={"total_max_attempts": 1},
        signature_version="s3v4",
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        user_agent_extra=f"matou/{version('matou')}",
        s3=s3,
        **amazon,
    )


def prepare(params: dict[str, Any], context: dict[str, Any], **_kwargs: Any) -> None:
    """Change what the library does with a request, before it is signed.

    Args:
        params: the request; its headers and body.
        context: what the library knows about it.
    """
    # It would ask elsewhere for the region and send the request again; a wrong region shall be told.
    context.setdefault("s3_redirect", {})["redirected"] = True
    params["headers"].pop("Expect", None)  # a round trip each, and the server's answer is read all the same
    if isinstance(params.get("body"), Body) and not isinstance(params["body"], SmallBody):
        settings = copy.copy(context["client_config"])
        settings.s3 = {**settings.s3, "payload_signing_enabled": False}
        context["client_config"] = settings


def endpoint_url(given: str, *, secure: bool) -> str | None:
    """Return the URL of an endpoint that may be given without a scheme; None for the region's own."""
    if not given:
        return None
    url = given if "://" in given else f"{'https' if secure else 'http'}://{given}"
    return url.rstrip("/")
