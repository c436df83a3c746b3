"""Requests to Google Cloud Storage's JSON API for the objects of one bucket.

Concurrency: everything runs on the event loop. ``maxconcurrency`` requests are under way at a time; a download counts
until its first bytes are there, so that slow clients keep nobody else waiting.

Source: https://cloud.google.com/storage/docs/json_api/v1/objects
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from matou.registry.drivers.base import StorageError, Transient, Unusable
from matou.registry.drivers.gcs.errors import Unauthorized, failure
from matou.registry.drivers.proxies import Proxies, failure_of_proxy

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence

    from matou.registry.drivers.gcs.tokens import Tokens
    from matou.registry.drivers.requests import Requests

log = logging.getLogger("matou.registry")

GOOGLE = "https://storage.googleapis.com"
CONNECT_SECONDS = 10.0
SILENT_SECONDS = 60.0  # without a byte from the service
SLOWEST = 128 * 1024  # bytes a second that an upload must bring through
READ_BUFFER = 256 * 1024
LONGEST_ERROR = 64 * 1024  # bytes of an answer that are looked at
BROKEN = (aiohttp.ClientError, TimeoutError, OSError)


class Address(NamedTuple):
    """What is asked for.

    Attributes:
        method: of HTTP.
        url: without a query; its path is encoded.
        query: its parameters.
        what: it is, to begin a message with.
    """

    method: str
    url: str
    query: Mapping[str, str]
    what: str


class Body(NamedTuple):
    """What is sent.

    Attributes:
        type: its media type.
        chunks: its bytes.
    """

    type: str
    chunks: Sequence[bytes]

    @property
    def size(self) -> int:
        """All its bytes."""
        return sum(map(len, self.chunks))

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the chunks; a body can be sent again."""
        for chunk in self.chunks:
            yield chunk


class Answer(NamedTuple):
    """An answer.

    Attributes:
        headers: of it.
        content: all of it.
    """

    headers: Mapping[str, str]
    content: bytes

    def json(self) -> dict[str, Any]:
        """Return the object that it is.

        Raises:
            Transient: it is none: something between us and the service has answered.
        """
        try:
            found = json.loads(self.content)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Transient("Google Cloud Storage answered without the JSON that was expected")
        return found


class Api:
    """The JSON API.

    Args:
        endpoint: URL of the service, without a slash at its end.
        bucket: its name.
        tokens: authorize the requests.
        requests: repeat them.
        concurrency: requests at a time.
        user_agent: of the requests.
        is_logged: whether every request is logged.
    """

    def __init__(
        self,
        endpoint: str,
        bucket: str,
        tokens: Tokens,
        requests: Requests,
        *,
        concurrency: int,
        user_agent: str,
        is_logged: bool,
    ) -> None:
        self.endpoint = endpoint
        self.bucket = bucket
        self.tokens = tokens
        self.requests = requests
        self._places = asyncio.Semaphore(concurrency)
        self._user_agent = user_agent
        self._is_logged = is_logged
        self._session: aiohttp.ClientSession | None = None
        self._proxies = Proxies()

    @property
    def objects_url(self) -> str:
        """URL of the bucket's objects."""
        return f"{self.endpoint}/storage/v1/b/{quote(self.bucket, safe='')}/o"

    @property
    def upload_url(self) -> str:
        """URL to which new objects are sent."""
        return f"{self.endpoint}/upload/storage/v1/b/{quote(self.bucket, safe='')}/o"

    def object_url(self, name: str) -> str:
        """Return the URL of an object."""
        return f"{self.objects_url}/{quote(name, safe='')}"

    async def call(self, address: Address, body: Body | None = None) -> Answer:
        """Return the whole answer to a request, which is repeated when it fails in passing.

        Raises:
            NotFound: 404.
            PreconditionFailed: 412.
            Transient: it kept failing.
            StorageError: it was refused.
        """
        return await self.requests.send(lambda: self.call_once(address, body))

    async def call_once(self, address: Address, body: Body | None = None) -> Answer:
        """Return the whole answer to a request that is sent once; raises as ``call`` does."""
        async with self.answering(address, {}, body) as response, _translated(address):
            return Answer(response.headers, await response.read())

    @contextlib.asynccontextmanager
    async def answering(
        self, address: Address, headers: Mapping[str, str], body: Body | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request once; yield its successful answer, whose content is still to be read.

        Raises:
            StorageError: as for ``call``.
        """
        response = await self._sent(address, headers, body)
        if response.status == HTTPStatus.UNAUTHORIZED:  # the token was revoked, or the service's clock is ahead
            response.release()
            self.tokens.refuse(response.request_info.headers.get("Authorization", ""))
            response = await self._sent(address, headers, body)
        try:
            if response.status >= HTTPStatus.MULTIPLE_CHOICES:  # the API redirects nobody
                said = await _beginning(address, response)
                error = failure(response.status, response.headers, said, self.bucket, address.what)
                if isinstance(error, Unauthorized):
                    self.tokens.refuse(response.request_info.headers.get("Authorization", ""))
                raise error
            yield response
        finally:
            response.close()

    async def _sent(self, address: Address, headers: Mapping[str, str], body: Body | None) -> aiohttp.ClientResponse:
        """Send a request; return the answer when its headers are there."""
        sent = {"Accept-Encoding": "identity", **headers}
        authorization = await self.tokens.authorization()
        if authorization:
            sent["Authorization"] = authorization
        size = 0
        if body is not None:
            size = body.size
            sent |= {"Content-Type": body.type, "Content-Length": str(size)}
        url = URL(f"{address.url}?{urlencode(address.query)}", encoded=True)
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS + size / SLOWEST
        )
        async with self._places, _translated(address):
            began = time.monotonic()
            response = await self._opened().request(
                address.method,
                url,
                headers=sent,
                data=None if body is None else body.pieces(),
                timeout=timeout,
                proxy=self._proxies.of(url),
                allow_redirects=False,
            )
        if self._is_logged:
            log.info(
                "gcs: %s %s: %d after %.0f ms",
                address.method,
                url.raw_path,
                response.status,
                1000 * (time.monotonic() - began),
            )
        return response

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                headers={"User-Agent": self._user_agent},
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                read_bufsize=READ_BUFFER,
            )
        return self._session

    async def close(self) -> None:
        """Close connections."""
        await self.tokens.close()
        self.requests.close()
        if self._session is not None:
            await self._session.close()


@contextlib.asynccontextmanager
async def _translated(address: Address) -> AsyncIterator[None]:
    """Turn what is wrong with a connection into ``Transient``."""
    try:
        yield
    except BROKEN as error:
        raise broken(address.what, error) from error


async def _beginning(address: Address, response: aiohttp.ClientResponse) -> bytes:
    """Return the beginning of what an answer says."""
    said = bytearray()
    async with _translated(address):
        async for piece in response.content.iter_any():
            said += piece
            if len(said) >= LONGEST_ERROR:
                break
    return bytes(said)


def broken(what: str, error: Exception) -> StorageError:
    """Return the exception for a connection that broke, or did not come about."""
    if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return failure_of_proxy(what, error)
    said = str(error) or type(error).__name__
    if isinstance(error, aiohttp.ClientSSLError):
        return Unusable(
            f"{what}: no TLS connection to Google Cloud Storage ({said}); look at the machine's certificates, and at a "
            "proxy in between"
        )
    return Transient(f"{what}: the connection to Google Cloud Storage broke: {said}")
