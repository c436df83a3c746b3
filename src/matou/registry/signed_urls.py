"""Fetching what a signed URL of the storage stands for, as a client that was redirected does."""

from __future__ import annotations

import re
from http import HTTPStatus
from urllib.parse import urlsplit

import aiohttp

from matou.registry.drivers.proxies import Proxies

SECONDS = 30.0
LONGEST = 64 << 10  # bytes that are read of an answer
CODE = re.compile(rb"<Code>([A-Za-z0-9]{1,64})</Code>")


async def fetch(url: str, method: str, size: int, content: bytes) -> str:
    """Fetch a URL; return what is wrong with it and what to do, "" when nothing is.

    Args:
        url: that whoever knows it can use; it is not part of what is returned.
        method: GET or HEAD.
        size: of the object, in bytes.
        content: all of the object, if it is known.
    """
    host = urlsplit(url).netloc.rpartition("@")[2]
    try:
        proxy = Proxies().of(url)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS), proxy=proxy) as session:
            if method == "HEAD":
                return await _head(session, url, host, size)
            return await _get(session, url, host, size, content)
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError):
        return f"the certificate of {host} is not known here, and clients may not know it either"
    except (aiohttp.ClientConnectionError, TimeoutError):
        return f"{host} cannot be reached from here; clients must reach it, too"
    except (aiohttp.ClientError, ValueError):
        return f"{host} does not answer as HTTP asks for"


async def _head(session: aiohttp.ClientSession, url: str, host: str, size: int) -> str:
    async with session.head(url, allow_redirects=True) as answer:
        if answer.status != HTTPStatus.OK:
            return _refused(host, answer.status, b"")
        if answer.headers.get("Content-Length") != str(size):
            return f"{host} does not say how long the object is; look for a proxy that drops headers"
    return ""


async def _get(session: aiohttp.ClientSession, url: str, host: str, size: int, content: bytes) -> str:
    if content:
        async with session.get(url) as answer:
            body = await answer.content.read(LONGEST)
            if answer.status != HTTPStatus.OK:
                return _refused(host, answer.status, body)
            if body != content:
                return f"{host} answers with something else than the object"
    if size:
        last = min(size, 16) - 1
        async with session.get(url, headers={"Range": f"bytes=0-{last}"}) as answer:
            body = await answer.content.read(LONGEST)
            if answer.status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
                return _refused(host, answer.status, body)
            if answer.status == HTTPStatus.OK and size > last + 1:
                return f"{host} ignores Range; look for a proxy that drops headers"
            if content and body != content[: last + 1]:
                return f"{host} answers with something else than the part that was asked for"
    return ""


def _refused(host: str, status: int, body: bytes) -> str:
    code = CODE.search(body)
    said = f"{status} {code[1].decode()}" if code else str(status)
    return f"{host} refuses a URL that was signed a moment ago ({said}); check clock, key and rights, and proxies"
