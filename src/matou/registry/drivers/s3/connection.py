"""Requests to a bucket: signed, sent and read, each once.

The library of Amazon takes a millisecond of the processor for a request, most of what a small push takes. So it finds
endpoints and credentials, and requests are made here.

Concurrency: connections are made when the first request asks for them, as they belong to the running event loop.

Source: Amazon S3 API reference.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

import aiohttp
from botocore.exceptions import ClientError
from yarl import URL

from matou.registry.drivers.proxies import Proxies
from matou.registry.drivers.s3.documents import Document, error_of
from matou.registry.drivers.s3.network import trust
from matou.registry.drivers.s3.place import Keys, Place, endpoint_url, find_place
from matou.registry.drivers.s3.request_log import RequestLog
from matou.registry.drivers.s3.signing import UNSIGNED, encoded_key, encoded_query

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from matou.config.sections.s3 import S3Parameters
    from matou.registry.drivers.s3.body import Chunks

CONNECT_SECONDS = 10
READ_SECONDS = 60  # without a byte
COPY_SECONDS = 300  # without a byte, while the service copies
CONNECTIONS = 1000  # of a worker: each pull that goes through it holds one, however slow its client is
KEPT_SECONDS = 15  # that a connection without a request is kept; Amazon closes it after 20
BUFFER = 1 << 18  # bytes that are read ahead
LARGEST_ANSWER = 64 << 20  # bytes of an answer that is not a stream
REDIRECTION = 300  # status
# The service begins to answer before it knows how they end.
MAY_FAIL_LATE = frozenset(("CompleteMultipartUpload", "CopyObject", "UploadPartCopy"))
EMPTY = hashlib.sha256().hexdigest()


@dataclass(frozen=True, slots=True)
class Call:
    """A request.

    Attributes:
        operation: its name in the reference.
        method: of HTTP.
        key: whole key of an object; "" for the bucket.
        query: parameters, not encoded.
        headers: their names in lower case.
        body: bytes, which are signed, or chunks, which are not.
        patience: seconds without a byte of the answer.
    """

    operation: str
    method: str
    key: str = ""
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Chunks = b""
    patience: float = READ_SECONDS


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that says that it was done.

    Attributes:
        headers: letter case does not count.
        content: all of the body.
    """

    headers: Mapping[str, str]
    content: bytes


class Connection:
    """Connections to the service of a bucket.

    Args:
        parameters: of the driver.
    """

    def __init__(self, parameters: S3Parameters) -> None:
        self.endpoint = endpoint_url(parameters.regionendpoint, secure=parameters.secure)
        self._parameters = parameters
        self._keys = Keys(parameters)
        self._log = RequestLog.of(parameters.loglevel)
        self._agent = parameters.useragent or f"matou/{version('matou')}"
        self._opening = asyncio.Lock()
        self._places: dict[str | None, Place] = {}
        self._session: aiohttp.ClientSession | None = None
        self._proxy: URL | None = None

    async def send(self, call: Call) -> Reply:
        """Send a request and return its answer.

        Raises:
            ClientError: the service refuses it.
            BotoCoreError: there is no key, or no endpoint.
            aiohttp.ClientError: the connection failed.
            TimeoutError: nothing came.
        """
        async with self._answer(call) as answer:
            content = await _read(answer)
            failed_late = call.operation in MAY_FAIL_LATE and Document.parse(content, "Error") is not None
            if answer.status >= REDIRECTION or failed_late:
                raise ClientError(error_of(answer.status, answer.headers, content), call.operation)
            return Reply(answer.headers, content)

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and yield its answer, whose body is not read yet.

        Raises:
            ClientError: as for ``send``, and the others as well.
        """
        async with self._answer(call) as answer:
            if answer.status >= REDIRECTION:
                raise ClientError(error_of(answer.status, answer.headers, await _read(answer)), call.operation)
            yield answer

    @asynccontextmanager
    async def _answer(self, call: Call) -> AsyncIterator[aiohttp.ClientResponse]:
        place = await self._place(self.endpoint)
        session = self._session or await self._open(place)
        path = place.path + encoded_key(call.key)
        payload = UNSIGNED
        if isinstance(call.body, bytes):
            payload = hashlib.sha256(call.body).hexdigest() if call.body else EMPTY
        headers = place.signer.headers(
            await self._keys.current(),
            datetime.now(UTC),
            method=call.method,
            host=place.host,
            path=path,
            query=call.query,
            headers={**call.headers, "user-agent": self._agent},
            payload=payload,
        )
        url = f"{place.origin}{path}?{encoded_query(call.query)}" if call.query else f"{place.origin}{path}"
        with self._log.watching(call.operation, call.key or dict(call.query).get("prefix") or "the bucket") as watched:
            async with session.request(
                call.method,
                URL(url, encoded=True),
                headers=headers,
                data=call.body or None,
                proxy=self._proxy,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS, sock_read=call.patience),
            ) as answer:
                watched.answered(answer.status, answer.headers.get("x-amz-request-id", "unknown"))
                yield answer

    async def signed_url(self, method: str, key: str, seconds: int) -> str:
        """Return a URL by which whoever knows it gets an object.

        Args:
            method: of HTTP.
            key: whole key of the object.
            seconds: how long it is good; a key that is good for a shorter time ends it.

        Raises:
            BotoCoreError: there is no key, or no endpoint.
        """
        place = await self._place(endpoint_url(self._parameters.redirectendpoint, secure=True) or self.endpoint)
        path = place.path + encoded_key(key)
        query = place.signer.query(
            await self._keys.current(), datetime.now(UTC), method=method, host=place.host, path=path, seconds=seconds
        )
        return f"{place.origin}{path}?{query}"

    async def _place(self, endpoint: str | None) -> Place:
        found = self._places.get(endpoint)
        if found is None:
            async with self._opening:
                found = self._places.get(endpoint)
                if found is None:
                    # The library takes a while to load what it knows, and reads files.
                    found = await asyncio.to_thread(asyncio.run, find_place(self._parameters, endpoint))
                self._places[endpoint] = found
        return found

    async def _open(self, place: Place) -> aiohttp.ClientSession:
        async with self._opening:
            session = self._session  # another request may have made it while this one waited
            if session is None:
                self._proxy = Proxies().of(place.origin)
                trusted = await trust(place.origin, self._proxy, verified=not self._parameters.skipverify)
                session = self._session = aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=KEPT_SECONDS, ssl=trusted),
                    auto_decompress=False,
                    cookie_jar=aiohttp.DummyCookieJar(),
                    read_bufsize=BUFFER,
                    skip_auto_headers=("accept", "accept-encoding", "content-type"),
                )
            return session

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for piece in answer.content.iter_any():
        content += piece
        if len(content) > LARGEST_ANSWER:
            raise aiohttp.ClientPayloadError("the answer is too long")
    return bytes(content)
