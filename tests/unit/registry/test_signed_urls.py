"""What is told about a URL of the storage that does not work for a client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from matou.registry.signed_urls import fetch
from tests.servers.ports import free_port
from tests.servers.scripted_http import Answer, scripted_server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CONTENT = b"the content of an object"
QUERY = "X-Amz-Signature=secret"


def fetched(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]], method: str = "GET", content: bytes = CONTENT
) -> str:
    async def scenario() -> str:
        application = web.Application()
        application.router.add_route("*", "/bucket/key", handler)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", free_port())
        await site.start()
        try:
            return await fetch(f"{site.name}/bucket/key?{QUERY}", method, len(CONTENT), content)
        finally:
            await runner.cleanup()

    found = asyncio.run(scenario())
    assert "secret" not in found
    return found


async def good(request: web.Request) -> web.Response:
    part = request.http_range
    if part.stop is not None:
        return web.Response(status=206, body=CONTENT[part.start : part.stop])
    return web.Response(body=CONTENT)


async def refusing(_request: web.Request) -> web.Response:
    return web.Response(status=403, text="<Error><Code>SignatureDoesNotMatch</Code><X>secret</X></Error>")


async def without_ranges(_request: web.Request) -> web.Response:
    return web.Response(body=CONTENT)


async def other_content(_request: web.Request) -> web.Response:
    return web.Response(body=b"a page of a proxy")


async def chunked(_request: web.Request) -> web.Response:
    answer = web.Response(body=CONTENT)
    answer.enable_chunked_encoding()
    return answer


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("content", [CONTENT, b""])
def test_a_url_that_works(method: str, content: bytes) -> None:
    assert fetched(good, method, content) == ""


@pytest.mark.parametrize(
    ("handler", "method", "said"),
    [
        (refusing, "GET", "refuses a URL that was signed a moment ago (403 SignatureDoesNotMatch)"),
        (refusing, "HEAD", "refuses a URL that was signed a moment ago (403)"),
        (without_ranges, "GET", "ignores Range"),
        (other_content, "GET", "answers with something else than the object"),
        (chunked, "HEAD", "does not say how long the object is"),
    ],
)
def test_a_url_that_does_not(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]], method: str, said: str
) -> None:
    assert said in fetched(handler, method)


def test_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> str:
        async with scripted_server(lambda _: Answer(200, CONTENT)) as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            found = await fetch("http://storage.example.com/key?a=1", "HEAD", len(CONTENT), CONTENT)
            assert [asked.path for asked in proxy.asked] == ["http://storage.example.com/key?a=1"]
        return found

    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert asyncio.run(scenario()) == ""


def test_a_storage_that_cannot_be_reached() -> None:
    said = asyncio.run(fetch(f"http://127.0.0.1:{free_port()}/bucket/key?{QUERY}", "GET", 1, b""))
    assert "cannot be reached from here; clients must reach it, too" in said
    assert "secret" not in said
    assert "does not answer as HTTP asks for" in asyncio.run(fetch("memory:key", "HEAD", 1, b""))
