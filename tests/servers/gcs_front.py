"""What gcp-storage-emulator does not do of Google Cloud Storage, before it: who may do what, conditions, ranges,
generations, pages, signed URLs; and faults on demand.

Source: https://cloud.google.com/storage/docs/json_api/v1 and .../xml-api.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, unquote

import aiohttp
from aiohttp import web
from yarl import URL

from tests.servers.google_accounts import STORAGE_SCOPES, Accounts
from tests.servers.google_services import GoogleServices, json_error
from tests.servers.google_signatures import UrlRefused, verify_url

LARGEST = 256 << 20
MOST_SOURCES = 32
RANGE = re.compile(r"bytes=(\d+)-(\d*)")
OBJECTS = re.compile(r"/storage/v1/b/([^/]+)/o(?:/([^/]+)(?:/(compose|rewriteTo)(?:/b/([^/]+)/o/([^/]+))?)?)?")
UPLOADS = re.compile(r"/upload/storage/v1/b/([^/]+)/o")


class Stop(Exception):  # noqa: N818 -- it ends the handling
    """An answer that is an error."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message


@dataclass
class Fault:
    """What goes wrong with some requests.

    Attributes:
        pattern: searched for in ``METHOD path?query``.
        status: answered instead; 0 to break the connection.
        times: how often.
        headers: of the answer.
        is_late: whether the request has its effect before.
        cut: bytes of the answer's content that come through before the connection breaks; None for none of it.
    """

    pattern: str
    status: int = 503
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    is_late: bool = False
    cut: int | None = None


class Front:
    """The service.

    Args:
        emulator: URL of it.
        accounts: of Google.
    """

    def __init__(self, emulator: str, accounts: Accounts) -> None:
        self.emulator = emulator
        self.accounts = accounts
        self.services = GoogleServices(accounts)
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.clients: set[str] = set()  # addresses with ports: one for each connection
        self.user_agents: set[str] = set()
        self.denied: set[str] = set()  # permissions
        self.page = 1000  # objects of a page at most
        self.has_slow_rewrites = False  # they take two requests
        self.ignores_ranges = False  # as the service does where it undoes a Content-Encoding
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._session: aiohttp.ClientSession | None = None

    def reset(self) -> None:
        """Be as at the start, but for the objects."""
        self.faults.clear()
        self.requests.clear()
        self.clients.clear()
        self.user_agents.clear()
        self.services.requests.clear()
        self.denied.clear()
        self.page = 1000
        self.has_slow_rewrites = False
        self.ignores_ranges = False
        self.accounts.reset()

    def application(self) -> web.Application:
        application = web.Application(client_max_size=LARGEST)
        self.services.add_routes(application)
        application.router.add_route("*", "/{rest:.*}", self._storage)
        application.cleanup_ctx.append(self._client)
        return application

    async def _client(self, _application: web.Application) -> Any:
        # The emulator's queue of connections is five long: who does not fit in comes again after a second.
        connector = aiohttp.TCPConnector(limit=4, force_close=True)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as own:
            self._session = own
            yield

    async def _storage(self, request: web.Request) -> web.StreamResponse:
        line = f"{request.method} {request.raw_path}"
        self.requests.append(line)
        if request.transport is not None:
            self.clients.add(str(request.transport.get_extra_info("peername")))
        self.user_agents.add(request.headers.get("User-Agent", ""))
        fault = next((fault for fault in self.faults if fault.times and re.search(fault.pattern, line)), None)
        if fault is not None:
            fault.times -= 1
            if fault.is_late:
                await self._answer(request)
            if fault.cut is None:
                return await _faulty(request, fault)
        answer = await self._answer(request)
        if fault is not None and fault.cut is not None:
            return await _cut(request, answer, fault.cut)
        return answer

    async def _answer(self, request: web.Request) -> web.Response:
        path = request.raw_path.partition("?")[0]
        try:
            return await self._routed(request, path)
        except Stop as stop:
            if request.query.get("alt") == "media":
                return web.Response(status=stop.status, text=stop.message)
            return json_error(stop.status, stop.reason, stop.message)

    async def _routed(self, request: web.Request, path: str) -> web.Response:
        found, upload = OBJECTS.fullmatch(path), UPLOADS.fullmatch(path)
        if found is None and upload is None:
            return await self._signed(request, path)
        self._authorize(request)
        if upload is not None:
            return await self._insert(request, unquote(upload[1]))
        assert found is not None
        bucket, name, verb, *target = (unquote(part) if part else "" for part in found.groups())
        if not name:
            return await self._list(request, bucket)
        if verb == "compose":
            return await self._compose(request, bucket, name)
        if verb == "rewriteTo":
            return await self._rewrite(request, (bucket, name), (target[0], target[1]))
        return await self._object(request, bucket, name)

    def _authorize(self, request: web.Request) -> None:
        if self.accounts.holder(request.headers.get("Authorization", ""), STORAGE_SCOPES) is None:
            raise Stop(401, "authError", "Invalid Credentials")

    def _permit(self, *permissions: str) -> None:
        for permission in permissions:
            if permission in self.denied:
                account = next(iter(self.accounts.known))
                raise Stop(
                    403,
                    "forbidden",
                    f"{account} does not have {permission} access to the Google Cloud Storage object. Permission "
                    f"'{permission}' denied on resource (or it may not exist).",
                )

    async def _forward(
        self,
        request: web.Request,
        *,
        path: str = "",
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> web.Response:
        """Let the emulator answer."""
        assert self._session is not None
        kept = {name: request.headers[name] for name in ("Content-Type",) if name in request.headers}
        url = URL(f"{self.emulator}{path or request.raw_path}", encoded=True)
        async with self._session.request(
            request.method, url, data=body and io.BytesIO(body), headers=kept | (headers or {})
        ) as answer:
            content = await answer.read()
            if answer.status == 404:
                raise Stop(404, "notFound", "Not Found")
            kind = answer.headers.get("Content-Type", "application/octet-stream")
            return web.Response(status=answer.status, body=content, headers={"Content-Type": kind})

    async def _resource(self, bucket: str, name: str) -> dict[str, Any] | None:
        """Return what the emulator knows of an object; None when there is none."""
        assert self._session is not None
        url = URL(f"{self.emulator}/storage/v1/b/{bucket}/o/{quote(name, safe='')}", encoded=True)
        async with self._session.get(url) as answer:
            return json.loads(await answer.read()) if answer.status == 200 else None

    async def _existing(self, bucket: str, name: str, generation: str | None) -> dict[str, Any]:
        found = await self._resource(bucket, name)
        if found is None or generation not in (None, found["generation"]):
            await self._require_bucket(bucket)
            raise Stop(404, "notFound", f"No such object: {bucket}/{name}")
        return found

    async def _require_bucket(self, bucket: str) -> None:
        assert self._session is not None
        async with self._session.get(f"{self.emulator}/storage/v1/b/{bucket}") as answer:
            if answer.status != 200:
                raise Stop(404, "notFound", "The specified bucket does not exist.")

    async def _write(self, request: web.Request, bucket: str, name: str, body: bytes, **changes: Any) -> web.Response:
        """Let the emulator make an object, if the conditions hold."""
        async with self._locks[f"{bucket}/{name}"]:
            await self._require_bucket(bucket)
            present = await self._resource(bucket, name)
            self._permit("storage.objects.create", *(["storage.objects.delete"] if present else []))
            wanted = request.query.get("ifGenerationMatch")
            if wanted is not None and wanted != (present["generation"] if present else "0"):
                raise Stop(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
            return await self._forward(request, body=body, **changes)

    async def _insert(self, request: web.Request, bucket: str) -> web.Response:
        body = await request.read()
        if request.query["uploadType"] != "multipart":
            raise Stop(400, "invalid", "the tests' server takes multipart uploads only")
        resource, content = _parts(request.headers["Content-Type"], body)
        digest = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
        if resource.get("md5Hash", digest) != digest:
            raise Stop(400, "invalid", f"Provided MD5 hash {resource['md5Hash']} doesn't match calculated {digest}.")
        if not content:
            return await self._write(request, bucket, resource["name"], body)
        # The emulator's parser of multipart bodies changes binary content.
        path = f"{request.path}?uploadType=media&name={quote(resource['name'], safe='')}"
        headers = {"Content-Type": resource["contentType"]}
        return await self._write(request, bucket, resource["name"], content, path=path, headers=headers)

    async def _compose(self, request: web.Request, bucket: str, name: str) -> web.Response:
        body = await request.read()
        sources = [source["name"] for source in json.loads(body)["sourceObjects"]]
        if not 0 < len(sources) <= MOST_SOURCES:
            raise Stop(400, "invalid", "The number of source components provided exceeds the maximum (32)")
        self._permit("storage.objects.get")
        for source in sources:
            await self._existing(bucket, source, None)
        return await self._write(request, bucket, name, body)

    async def _rewrite(self, request: web.Request, source: tuple[str, str], target: tuple[str, str]) -> web.Response:
        self._permit("storage.objects.get")
        found = await self._existing(*source, None)
        size = int(found["size"])
        if self.has_slow_rewrites:
            token = f"{found['generation']}-{'-'.join(target)}"
            if request.query.get("rewriteToken") is None:
                started = {"done": False, "rewriteToken": token, "objectSize": str(size), "totalBytesRewritten": "1"}
                return web.json_response({"kind": "storage#rewriteResponse", **started})
            if request.query["rewriteToken"] != token:
                raise Stop(400, "invalid", "Invalid rewrite token")
        return await self._write(request, *target, b"")

    async def _list(self, request: web.Request, bucket: str) -> web.Response:
        self._permit("storage.objects.list")
        await self._require_bucket(bucket)
        whole = json.loads((await self._forward(request)).body or b"{}")  # type: ignore[arg-type]
        items = {item["name"]: item for item in whole.get("items", [])}
        names = sorted([*items, *whole.get("prefixes", [])])
        after = request.query.get("pageToken")
        if after is not None:
            last = base64.b64decode(after).decode()
            names = [name for name in names if name > last]
        most = min(self.page, int(request.query.get("maxResults", "1000")))
        shown = names[:most]
        page: dict[str, Any] = {"kind": "storage#objects"}
        page["items"] = [items[name] for name in shown if name in items]
        page["prefixes"] = [name for name in shown if name not in items]
        if len(names) > most:
            page["nextPageToken"] = base64.b64encode(shown[-1].encode()).decode()
        return web.json_response({key: value for key, value in page.items() if value})

    async def _object(self, request: web.Request, bucket: str, name: str) -> web.Response:
        if request.method == "DELETE":
            self._permit("storage.objects.delete")
            async with self._locks[f"{bucket}/{name}"]:
                await self._existing(bucket, name, request.query.get("generation"))
                await self._forward(request)
            return web.Response(status=204)
        self._permit("storage.objects.get")
        found = await self._existing(bucket, name, request.query.get("generation"))
        if request.query.get("alt") == "media":
            return await self._media(request, found)
        return web.json_response(found)

    async def _media(self, request: web.Request, found: dict[str, Any]) -> web.Response:
        """Send an object, or a part of it."""
        size = int(found["size"])
        headers = {
            "Content-Type": found.get("contentType") or "application/octet-stream",
            "X-Goog-Generation": found["generation"],
            "X-Goog-Hash": f"crc32c={found['crc32c']}",
            "Accept-Ranges": "bytes",
        }
        asked = None if self.ignores_ranges else RANGE.fullmatch(request.headers.get("Range", ""))
        start, end = 0, size
        if asked is not None:
            start = int(asked[1])
            end = min(size, int(asked[2]) + 1) if asked[2] else size
            if start >= size:
                return web.Response(status=416, headers={"Content-Range": f"bytes */{size}"})
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        if request.method == "HEAD":
            return web.Response(status=206 if asked else 200, headers={**headers, "Content-Length": str(end - start)})
        wanted = {"Range": f"bytes={start}-{end - 1}"} if asked else {}
        content = (await self._forward(request, headers=wanted)).body
        return web.Response(status=206 if asked else 200, body=content, headers=headers)

    async def _signed(self, request: web.Request, path: str) -> web.Response:
        """Answer the XML API, for signed URLs only."""
        query = request.raw_path.partition("?")[2]
        bucket, _, name = unquote(path).lstrip("/").partition("/")
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405)
        try:
            verify_url(self.accounts, request.method, path, query, request.headers)
        except UrlRefused as error:
            text = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{error}</Code></Error>"
            return web.Response(status=error.status, text=text, content_type="application/xml")
        try:
            self._permit("storage.objects.get")
            return await self._media(request, await self._existing(bucket, name, None))
        except Stop as stop:
            code = {403: "AccessDenied", 404: "NoSuchKey"}[stop.status]
            return web.Response(status=stop.status, text=f"<Error><Code>{code}</Code></Error>")


def _parts(content_type: str, body: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the resource and the content of a multipart upload (RFC 2387)."""
    boundary = re.fullmatch(r"multipart/related; boundary=([\w-]+)", content_type)
    if boundary is None:
        raise Stop(400, "badContent", "Malformed multipart body.")
    separator = f"--{boundary[1]}".encode()
    begin, first, rest = body.split(separator, 2)
    content, end, rest = rest.rpartition(b"\r\n" + separator + b"--")
    if begin or not end or rest.strip():
        raise Stop(400, "badContent", "Malformed multipart body.")
    return json.loads(first.partition(b"\r\n\r\n")[2]), content.partition(b"\r\n\r\n")[2]


async def _faulty(request: web.Request, fault: Fault) -> web.StreamResponse:
    if fault.status:
        return web.Response(status=fault.status, text="<html>Service Unavailable</html>", headers=fault.headers)
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def _cut(request: web.Request, answer: web.Response, size: int) -> web.StreamResponse:
    """Send the beginning of an answer, then break the connection."""
    content = bytes(answer.body or b"")  # type: ignore[arg-type]
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_length = len(content)
    await response.prepare(request)
    await response.write(content[:size])
    await asyncio.sleep(0.05)
    assert request.transport is not None
    request.transport.abort()
    return response


def query_of(line: str) -> dict[str, list[str]]:
    """Return the parameters of a request that ``Front.requests`` has."""
    return parse_qs(line.partition("?")[2])
