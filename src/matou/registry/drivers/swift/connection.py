"""Requests to one container: tokens, retries, errors, and what is found out once before the first of them.

Concurrency: everything runs on one event loop, on which the first request opens the connection. Tokens are renewed by
one task at a time; requests that wait for it go on with the new one.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from matou.registry.drivers.base import StorageError, Transient, Unusable
from matou.registry.drivers.proxies import Proxies, failure_of_proxy
from matou.registry.drivers.swift.cluster import Cluster, cluster_of, info_url
from matou.registry.drivers.swift.failures import LONGEST_REASON, failure
from matou.registry.drivers.swift.identity import identity_of
from matou.registry.drivers.swift.listing import read_page

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

    from matou.config.sections.swift import SwiftParameters
    from matou.registry.drivers.requests import Requests
    from matou.registry.drivers.swift.identity import Account
    from matou.registry.drivers.swift.listing import Page

CONNECTIONS = 64  # at a time a worker
AT_A_TIME = 8  # small requests of one operation
CONNECT_SECONDS = 30.0
SILENCE_SECONDS = 120.0  # that an answer may pause; a server-side copy is as long silent as it takes
RECEIVE_BUFFER = 1 << 18  # bytes
IN_THREAD = 1 << 18  # bytes of JSON from which a thread reads it
NEWEST = {"X-Newest": "true"}  # asks all replicas


@dataclass(frozen=True, slots=True)
class Request:
    """A request.

    Attributes:
        method: HTTP's.
        name: of the object; "" for the container, None for the account.
        query: of the URL.
        headers: besides the token.
        body: in pieces.
    """

    method: str
    name: str | None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Sequence[bytes] = ()


LOOK = Request("HEAD", "")


class Answer(NamedTuple):
    """An answer whose body was read.

    Attributes:
        status: HTTP's.
        headers: of it, in any case.
        body: all of it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Opened:
    """What the first request finds out.

    Attributes:
        session: for all requests.
        account: whose token may be older than permitted.
        cluster: what it can.
    """

    session: aiohttp.ClientSession
    account: Account
    cluster: Cluster


class Connection:
    """The container of a configuration.

    Args:
        parameters: of the driver.
        requests: repeats what failed in passing.
    """

    def __init__(self, parameters: SwiftParameters, requests: Requests) -> None:
        self.parameters = parameters
        self.requests = requests
        self.proxies = Proxies()
        self._identity = identity_of(parameters, self.proxies)
        self._opening = asyncio.Lock()
        self._opened: Opened | None = None
        self._renewing = asyncio.Lock()
        self._account: Account | None = None
        self._is_doubtful = False  # the token: a request with a body broke off

    async def open(self) -> Opened:
        """Return what the first request found out, or send it.

        Raises:
            StorageError: as for ``send``.
        """
        return await self.requests.send(self._open)

    async def send(
        self,
        method: str,
        name: str | None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Sequence[bytes] = (),
        permitted: Sequence[int] = (),
        check: Callable[[Answer], None] = lambda _: None,
    ) -> Answer:
        """Send a request and read its answer.

        Args:
            method: HTTP's.
            name: of the object; "" for the container, None for the account.
            query: of the URL.
            headers: besides the token.
            body: in pieces.
            permitted: statuses from 300 up that are no error here.
            check: raises what the body says to have failed; ``Transient`` is repeated.

        Raises:
            Transient: retries are used up.
            StorageError: it failed; the message says what and why. ``NotFound`` for 404.
        """
        request = Request(method, name, query or {}, headers or {}, body)

        async def once() -> Answer:
            async with self.response(request, permitted) as response:
                answer = Answer(response.status, response.headers, await response.read())
            check(answer)
            return answer

        return await self.requests.send(once)

    @asynccontextmanager
    async def response(self, request: Request, permitted: Sequence[int] = ()) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request once, with a new token if it takes one, and yield the answer.

        Args:
            request: that is sent.
            permitted: statuses from 300 up that are no error here.

        Raises:
            StorageError: as for ``send``; ``Transient`` while the answer is read, too.
        """
        opened = await self._open()
        what = f"{request.method} of {self.parameters.container}/{request.name or ''}"
        with _translated(what, self):
            account = await self._current(opened.session)
            for is_last in (False, True):
                async with self._sent(opened.session, account, request) as response:
                    if response.status != HTTPStatus.UNAUTHORIZED or is_last:
                        await self._verify(what, request, response, permitted)
                        self._is_doubtful = False
                        yield response
                        return
                account = await self._renewed(opened.session, account)

    def _sent(
        self, session: aiohttp.ClientSession, account: Account, request: Request
    ) -> aiohttp.client._RequestContextManager:
        url = account.url
        if request.name is not None:
            url += f"/{quote(self.parameters.container)}"
        if request.name:
            url += f"/{quote(request.name)}"
        if request.query:
            url += "?" + urlencode(request.query)
        length = sum(map(len, request.body))
        headers = {"X-Auth-Token": account.token, **request.headers}
        if length or request.method in ("PUT", "POST"):
            headers["Content-Length"] = str(length)
        body = _pieces(request.body) if length else None
        found = URL(url, encoded=True)
        return session.request(
            request.method, found, headers=headers, data=body, allow_redirects=False, proxy=self.proxies.of(found)
        )

    async def _verify(
        self, what: str, request: Request, response: aiohttp.ClientResponse, permitted: Sequence[int]
    ) -> None:
        if response.status < HTTPStatus.MULTIPLE_CHOICES or response.status in permitted:
            return
        if response.status == HTTPStatus.NOT_FOUND and (request.method == "PUT" or not request.name):
            raise StorageError(f"{what}: the container does not exist any more; start the registry again to make it")
        text = (await response.content.read(LONGEST_REASON)).decode(errors="replace")
        raise failure(self.parameters, what, response.status, response.headers, text)

    async def _current(self, session: aiohttp.ClientSession) -> Account:
        """Return the account, with a token that has not expired as far as is known."""
        account = self._account
        if account is None or account.expires <= time.monotonic():
            return await self._renewed(session, account)
        if self._is_doubtful:
            # Servers that refuse a token while they are being sent a body may just break off.
            async with self._sent(session, account, LOOK) as response:
                if response.status == HTTPStatus.UNAUTHORIZED:
                    return await self._renewed(session, account)
        return account

    async def _renewed(self, session: aiohttp.ClientSession, refused: Account | None) -> Account:
        """Return the account with another token than the one that was refused."""
        async with self._renewing:
            if self._account is None or self._account is refused:
                self._account = await self._identity.authenticate(session)
            return self._account

    def doubt(self) -> None:
        """Look at the token before the next request."""
        self._is_doubtful = True

    async def _open(self) -> Opened:
        """Authenticate, find out what the cluster can, and make the container when it is missing."""
        if self._opened is not None:
            return self._opened
        async with self._opening:
            if self._opened is None:
                session = self._session()
                try:
                    self._opened = await self._explore(session)
                finally:
                    if self._opened is None:
                        self._account = None
                        await session.close()
            return self._opened

    def _session(self) -> aiohttp.ClientSession:
        certificates = False if self.parameters.insecureskipverify else ssl.create_default_context()
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS, ssl=certificates),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS),
            headers={"User-Agent": "matou", "Accept-Encoding": "identity"},
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=RECEIVE_BUFFER,
        )

    async def _explore(self, session: aiohttp.ClientSession) -> Opened:
        parameters = self.parameters
        what = f"the container {parameters.container}"
        with _translated(what, self):
            account = await self._current(session)
            url = URL(info_url(account.url), encoded=True)
            async with session.get(url, proxy=self.proxies.of(url)) as response:
                if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise failure(parameters, "GET of /info", response.status, response.headers, "")
                content = await response.read() if response.status == HTTPStatus.OK else b""
            async with self._sent(session, account, LOOK) as response:
                is_missing = response.status == HTTPStatus.NOT_FOUND
                if not is_missing:
                    await self._verify(f"HEAD of {what}", LOOK, response, ())
            if is_missing:
                making = Request("PUT", "")
                async with self._sent(session, account, making) as response:
                    await self._verify(f"PUT of {what}, which does not exist", making, response, ())
        cluster = cluster_of(content, parameters.tempurlmethods, container_keys=parameters.tempurlcontainerkey)
        return Opened(session, account, cluster)

    async def pages(self, prefix: str, *, directories: bool = False) -> AsyncIterator[Page]:
        """Yield the pages of a listing, in order of names.

        Args:
            prefix: of the names.
            directories: whether what lies deeper is shown as common prefixes.

        Raises:
            StorageError: as for ``send``.
        """
        limit = (await self.open()).cluster.listing
        marker = ""
        while True:
            query = {"format": "json", "prefix": prefix, "limit": str(limit), "marker": marker}
            if directories:
                query["delimiter"] = "/"
            body = (await self.send("GET", "", query=query)).body
            page, marker = await asyncio.to_thread(read_page, body) if len(body) > IN_THREAD else read_page(body)
            if page.objects or page.directories:
                yield page
            if len(page.objects) + len(page.directories) < limit:
                return

    async def close(self) -> None:
        """Close connections."""
        if self._opened is not None:
            await self._opened.session.close()
        self.requests.close()


@contextmanager
def _translated(what: str, connection: Connection) -> Iterator[None]:
    """Turn what the transport raises into what drivers raise."""
    try:
        yield
    except (aiohttp.ClientSSLError, aiohttp.InvalidURL) as error:
        raise Unusable(
            f"{what}: Swift cannot be spoken to: {error}; check the endpoint that the identity service names, and its "
            "certificate (insecureskipverify in storage.swift)"
        ) from error
    except (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError) as error:
        raise failure_of_proxy(what, error) from error
    except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
        connection.doubt()
        raise Transient(f"{what}: Swift does not answer: {str(error) or 'silence'}") from error


async def _pieces(body: Sequence[bytes]) -> AsyncIterator[bytes]:
    for piece in body:
        yield piece
