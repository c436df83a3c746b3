"""A service before Azurite that a test makes fail, or say what Azurite never says. It runs in the test's event loop."""

from __future__ import annotations

from contextlib import asynccontextmanager
from io import BytesIO
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web
from yarl import URL

from tests.servers.azurite import ACCOUNT
from tests.servers.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.servers.azurite import Azurite

HOP = frozenset(("transfer-encoding", "connection", "keep-alive", "content-length"))


def refusal(status: int, code: str, text: str = "What the service says.", **headers: str) -> web.Response:
    """Return an answer as the service words a failure."""
    body = (
        f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{text}\nTime:now</Message></Error>'
    )
    given = {"x-ms-error-code": code, "Content-Type": "application/xml", **headers}
    return web.Response(status=status, text=body, headers=given)


class AzureFront:
    """The service.

    Attributes:
        seen: requests: method, path in the account, and operation.
        before: answers a request instead of Azurite, unless it returns None.
        after: changes the headers of Azurite's answer.
        answer: gives all answers.
        cuts: after how many bytes of the body the connection breaks, for each of the next answers to GET of a blob.
    """

    def __init__(self, server: Azurite) -> None:
        self.port = free_port()
        self.seen: list[str] = []
        self.before: Callable[[web.Request], web.Response | None] = lambda _request: None
        self.after: Callable[[web.Request, dict[str, str]], None] = lambda _request, _headers: None
        self.answer: Callable[[web.Request], Awaitable[web.StreamResponse]] = self._forward
        self.cuts: list[int] = []
        self._server = server
        self._session: aiohttp.ClientSession | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{ACCOUNT}"

    async def start(self) -> web.AppRunner:
        self._session = aiohttp.ClientSession(auto_decompress=False)
        application = web.Application(client_max_size=1 << 30)
        application.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        return runner

    async def stop(self, runner: web.AppRunner) -> None:
        await runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        return await self.answer(request)

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0].split("/", 3)[-1]
        self.seen.append(f"{request.method} {path} {request.query.get('comp', '')}".strip())
        content = await request.read()
        instead = self.before(request)
        if instead is not None:
            return instead
        assert self._session is not None
        target = URL(f"http://127.0.0.1:{self._server.port}{request.raw_path}", encoded=True)
        skipped = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")
        async with self._session.request(
            request.method, target, headers=request.headers, data=BytesIO(content), skip_auto_headers=skipped
        ) as answer:
            headers = {name: value for name, value in answer.headers.items() if name.lower() not in HOP}
            self.after(request, headers)
            body = await answer.read()
            response = web.StreamResponse(status=answer.status, headers=headers)
            response.content_length = answer.content_length if request.method == "HEAD" else len(body)
            await response.prepare(request)
            if self.cuts and request.method == "GET" and "comp" not in request.query:
                await response.write(body[: self.cuts.pop(0)])
                if request.transport is not None:
                    request.transport.close()
                return response
            await response.write(body)
            return response


@asynccontextmanager
async def azure_front(server: Azurite) -> AsyncIterator[AzureFront]:
    """Yield a running front; end it afterwards."""
    front = AzureFront(server)
    runner = await front.start()
    try:
        yield front
    finally:
        await front.stop(runner)
