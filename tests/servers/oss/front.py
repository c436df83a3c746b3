"""The front: OSS's protocol over objects in SeaweedFS."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import aiohttp
from aiohttp import web

from tests.servers.oss.errors import DECLARATION, REQUEST_ID, OssError
from tests.servers.oss.faults import Faults
from tests.servers.oss.incoming import DOMAIN, incoming
from tests.servers.oss.multipart import PARTS, Uploads
from tests.servers.oss.objects import NAMESPACE, PIECE, Objects, encryption
from tests.servers.oss.signatures import Key, signer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence

    from tests.servers.oss.faults import Fault
    from tests.servers.oss.incoming import Incoming

LARGEST_COPY = 1 << 30  # bytes of CopyObject
MOST_DELETED = 1000
CONDITIONS = ("range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since")
PASSED = ("Content-Length", "Content-Type", "Content-Range", "Last-Modified", "Accept-Ranges")


@dataclass(slots=True)
class Front:
    """What the front knows, and a test may change.

    Attributes:
        seaweedfs: S3 endpoint of the objects.
        keys: that may sign, by their ids.
        region: of all buckets.
        buckets: there are; made where SeaweedFS has none.
        aliases: buckets by hosts that are bound to them.
        faults: on demand.
        undeletable: keys that DeleteMultipleObjects fails to delete.
        clock: seconds that the front's clock is ahead.
    """

    seaweedfs: str
    keys: dict[str, Key]
    region: str
    buckets: Sequence[str] = ()
    aliases: dict[str, str] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    undeletable: set[str] = field(default_factory=set)
    clock: float = 0.0

    async def application(self) -> web.Application:
        """Return the web application."""
        application = web.Application(client_max_size=0)
        application.router.add_route("*", "/{path:.*}", self._handle)
        application.cleanup_ctx.append(self._connected)
        return application

    async def _connected(self, application: web.Application) -> AsyncIterator[None]:
        timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
        async with aiohttp.ClientSession(
            auto_decompress=False, skip_auto_headers=["Content-Type"], timeout=timeout
        ) as session:
            objects = Objects(self.seaweedfs, session)
            for bucket in (PARTS, *self.buckets):
                with contextlib.suppress(OssError):  # it is there
                    async with objects.send("PUT", bucket):
                        pass
            application[OPERATIONS] = Operations(objects, lambda: self.undeletable)
            yield

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        parsed = incoming(request, self.aliases)
        fault = self.faults.next(parsed)
        try:
            if fault is not None and not fault.lost and fault.after is None:
                return await _fail(request, fault)
            self._admit(parsed)
            answer = await request.app[OPERATIONS].do(parsed, request, fault)
        except OssError as error:
            return error.answer(request.method)
        if fault is not None and fault.lost:
            return await _fail(request, fault)
        return answer

    def _admit(self, request: Incoming) -> None:
        """Refuse what is signed wrongly or sent to the wrong place."""
        key = signer(request, self.keys, self.region, time.time() + self.clock)
        place = f"oss-{self.region}{DOMAIN}"
        if request.host.endswith(DOMAIN) and request.host.replace("-internal", "") not in (
            place,
            f"{request.bucket}.{place}",
        ):
            raise OssError(
                403,
                "AccessDenied",
                "The bucket you are attempting to access must be addressed using the specified endpoint. Please send "
                "all future requests to this endpoint.",
                {"Bucket": request.bucket, "Endpoint": place},
            )
        if request.bucket not in self.buckets:
            raise OssError(404, "NoSuchBucket", "The specified bucket does not exist.")
        if key.operations is not None and request.operation not in key.operations:
            raise OssError(403, "AccessDenied", "You have no right to access this object because of bucket acl.")


class Operations:
    """The operations of OSS that a registry needs; others answer 501.

    Args:
        objects: of SeaweedFS.
        undeletable: returns the keys that DeleteMultipleObjects fails to delete.
    """

    def __init__(self, objects: Objects, undeletable: Callable[[], Collection[str]]) -> None:
        self._objects = objects
        self._undeletable = undeletable
        self._uploads = Uploads(objects)
        self._known: Mapping[str, Callable[[Incoming, web.Request], Awaitable[web.StreamResponse]]] = {
            "HeadObject": self._head,
            "PutObject": self._put,
            "CopyObject": self._copy,
            "DeleteObject": self._delete,
            "DeleteMultipleObjects": self._delete_several,
            "ListObjectsV2": self._list,
            "InitiateMultipartUpload": self._initiate,
            "UploadPart": self._put_part,
            "UploadPartCopy": self._copy_part,
            "CompleteMultipartUpload": self._complete,
            "AbortMultipartUpload": self._abort,
            "ListMultipartUploads": self._list_uploads,
        }

    async def do(self, parsed: Incoming, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        """Answer a request."""
        if parsed.operation == "GetObject":
            return await self._get(parsed, request, None if fault is None else fault.after)
        operation = self._known.get(parsed.operation)
        if operation is None:
            raise OssError(501, "NotImplemented", f"A header or query is not implemented: {request.method}.")
        return await operation(parsed, request)

    async def _get(self, parsed: Incoming, request: web.Request, after: int | None) -> web.StreamResponse:
        headers = {name: parsed.headers[name] for name in CONDITIONS if name in parsed.headers}
        try:
            return await self._send_object(parsed, request, headers, after)
        except OssError as error:
            if error.code != "InvalidRange" or parsed.headers.get("x-oss-range-behavior") == "standard":
                raise
            # "If the range is invalid, the whole object is returned", with 200.
            del headers["range"]
            return await self._send_object(parsed, request, headers, after)

    async def _send_object(
        self, parsed: Incoming, request: web.Request, headers: Mapping[str, str], after: int | None
    ) -> web.StreamResponse:
        async with self._objects.send("GET", f"{parsed.bucket}/{parsed.key}", headers=headers) as found:
            response = web.StreamResponse(status=found.status, headers=_headers(found))
            await response.prepare(request)
            async for piece in found.content.iter_chunked(PIECE):
                if request.transport is None:  # the client is gone
                    break
                if after is not None and after < len(piece):
                    await response.write(piece[:after])
                    _break(request)
                    return response
                after = None if after is None else after - len(piece)
                await response.write(piece)
            await response.write_eof()
            return response

    async def _head(self, parsed: Incoming, request: web.Request) -> web.StreamResponse:  # noqa: ARG002 -- as all
        async with self._objects.send("HEAD", f"{parsed.bucket}/{parsed.key}") as found:
            return web.Response(headers=_headers(found))

    async def _put(self, parsed: Incoming, request: web.Request) -> web.StreamResponse:
        headers = encryption(parsed.headers)
        if parsed.headers.get("x-oss-forbid-overwrite") == "true":
            headers["If-None-Match"] = "*"
        if "content-type" in parsed.headers:
            headers["Content-Type"] = parsed.headers["content-type"]
        etag = await self._objects.put(
            f"{parsed.bucket}/{parsed.key}", _length(request), _verified(request, parsed), headers
        )
        return _answer(headers={"ETag": etag})

    async def _copy(self, parsed: Incoming, request: web.Request) -> web.StreamResponse:  # noqa: ARG002 -- as all
        source = unquote(parsed.headers["x-oss-copy-source"]).removeprefix("/")
        if await self._objects.size(source) > LARGEST_COPY:
            raise OssError(400, "EntityTooLarge", "The source object exceeds the maximum size of a copy.")
        headers = {"x-amz-copy-source": quote(f"/{source}"), **encryption(parsed.headers)}
        async with self._objects.send("PUT", f"{parsed.bucket}/{parsed.key}", headers=headers) as copied:
            root = ET.fromstring(await copied.read())  # noqa: S314 -- our own server
        etag = next(element.text or "" for element in root.iter() if element.tag.endswith("ETag"))
        return _answer(f"<CopyObjectResult><ETag>{escape(etag.upper())}</ETag></CopyObjectResult>")

    async def _delete(self, parsed: Incoming, request: web.Request) -> web.StreamResponse:  # noqa: ARG002 -- as all
        async with self._objects.send("DELETE", f"{parsed.bucket}/{parsed.key}"):
            return web.Response(status=204, headers={"x-oss-request-id": REQUEST_ID})

    async def _delete_several(self, parsed: Incoming, request: web.Request) -> web.StreamResponse:
        root = await _document(parsed, request)
        keys = [key.text or "" for key in root.iter("Key")]
        if len(keys) > MOST_DELETED:
            raise OssError(400, "MalformedXML", "The XML you provided was not well-formed.")
        keys = [key for key in keys if key not in self._undeletable()]
        for key in keys:
            async with self._objects.send("DELETE", f"{parsed.bucket}/{key}"):
                pass
        if root.findtext("Quiet") == "true":
            return _answer()
        deleted = "".join(f"<Deleted><Key>{_encoded(parsed, key)}</Key></Deleted>" for key in keys)
        return _answer(f"<DeleteResult>{_encoding(parsed)}{deleted}</DeleteResult>")

    async def _list(self, parsed: Incoming, request: web.Request) -> web.StreamResponse:  # noqa: ARG002 -- as all
        query = {name: value for name, value in parsed.query.items() if not name.startswith("x-oss-") and value}
        query.pop("encoding-type", None)
        async with self._objects.send("GET", parsed.bucket, query) as listed:
            root = ET.fromstring(await listed.read())  # noqa: S314 -- our own server
        parts = [_encoding(parsed)]
        for name in ("IsTruncated", "NextContinuationToken"):
            text = root.findtext(f"{NAMESPACE}{name}")
            if text:
                parts.append(f"<{name}>{escape(text)}</{name}>")
        for found in root.iter(f"{NAMESPACE}Contents"):
            fields = {
                name: found.findtext(f"{NAMESPACE}{name}", "") for name in ("Key", "LastModified", "ETag", "Size")
            }
            fields["Key"] = _encoded(parsed, fields["Key"])
            text = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
            parts.append(f"<Contents>{text}<Type>Normal</Type></Contents>")
        for found in root.iter(f"{NAMESPACE}CommonPrefixes"):
            prefix = found.findtext(f"{NAMESPACE}Prefix", "")
            if await self._objects.is_prefix(parsed.bucket, prefix):
                parts.append(f"<CommonPrefixes><Prefix>{_encoded(parsed, prefix)}</Prefix></CommonPrefixes>")
        return _answer(f"<ListBucketResult>{''.join(parts)}</ListBucketResult>")

    async def _initiate(self, parsed: Incoming, request: web.Request) -> web.StreamResponse:  # noqa: ARG002 -- as all
        headers = encryption(parsed.headers)
        if "content-type" in parsed.headers:
            headers["Content-Type"] = parsed.headers["content-type"]
        upload = self._uploads.begin(parsed.bucket, parsed.key, headers)
        return _answer(
            f"<InitiateMultipartUploadResult>{_encoding(parsed)}<Bucket>{parsed.bucket}</Bucket>"
            f"<Key>{_encoded(parsed, parsed.key)}</Key><UploadId>{upload.id}</UploadId></InitiateMultipartUploadResult>"
        )

    async def _put_part(self, parsed: Incoming, request: web.Request) -> web.StreamResponse:
        upload = self._uploads.find(parsed.bucket, parsed.key, parsed.query["uploadId"])
        part = await self._uploads.put(
            upload, parsed.query.get("partNumber", ""), _length(request), _verified(request, parsed)
        )
        return _answer(headers={"ETag": part.etag})

    async def _copy_part(self, parsed: Incoming, request: web.Request) -> web.StreamResponse:  # noqa: ARG002 -- as all
        upload = self._uploads.find(parsed.bucket, parsed.key, parsed.query["uploadId"])
        source = unquote(parsed.headers["x-oss-copy-source"]).removeprefix("/")
        size = await self._objects.size(source)
        first, _, last = parsed.headers.get("x-oss-copy-source-range", f"bytes=0-{size - 1}")[6:].partition("-")
        if int(last) >= size:
            raise OssError(400, "InvalidArgument", "The copy source range is not valid.")
        part = await self._uploads.put(
            upload,
            parsed.query.get("partNumber", ""),
            int(last) - int(first) + 1,
            self._objects.stream(source, (int(first), int(last))),
        )
        return _answer(f"<CopyPartResult><ETag>{escape(part.etag)}</ETag></CopyPartResult>")

    async def _complete(self, parsed: Incoming, request: web.Request) -> web.StreamResponse:
        upload = self._uploads.find(parsed.bucket, parsed.key, parsed.query["uploadId"])
        root = await _document(parsed, request)
        named = [(int(part.findtext("PartNumber", "0")), part.findtext("ETag", "")) for part in root.iter("Part")]
        etag = await self._uploads.complete(upload, named)
        return _answer(
            f"<CompleteMultipartUploadResult>{_encoding(parsed)}<Bucket>{parsed.bucket}</Bucket>"
            f"<Key>{_encoded(parsed, parsed.key)}</Key><ETag>{escape(etag)}</ETag></CompleteMultipartUploadResult>"
        )

    async def _abort(self, parsed: Incoming, request: web.Request) -> web.StreamResponse:  # noqa: ARG002 -- as all
        await self._uploads.abort(self._uploads.find(parsed.bucket, parsed.key, parsed.query["uploadId"]))
        return web.Response(status=204, headers={"x-oss-request-id": REQUEST_ID})

    async def _list_uploads(self, parsed: Incoming, request: web.Request) -> web.StreamResponse:  # noqa: ARG002 -- as all
        most = int(parsed.query.get("max-uploads", "1000"))
        marker = (parsed.query.get("key-marker", ""), parsed.query.get("upload-id-marker", ""))
        uploads = [
            one
            for one in self._uploads.all(parsed.bucket, parsed.query.get("prefix", ""))
            if (one.key, one.id) > marker
        ]
        page = uploads[:most]
        parts = [f"{_encoding(parsed)}<IsTruncated>{str(len(uploads) > most).lower()}</IsTruncated>"]
        if page:
            parts.append(f"<NextKeyMarker>{_encoded(parsed, page[-1].key)}</NextKeyMarker>")
            parts.append(f"<NextUploadIdMarker>{page[-1].id}</NextUploadIdMarker>")
        for upload in page:
            begun = datetime.fromtimestamp(upload.begun, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
            parts.append(
                f"<Upload><Key>{_encoded(parsed, upload.key)}</Key><UploadId>{upload.id}</UploadId>"
                f"<Initiated>{begun}</Initiated></Upload>"
            )
        return _answer(f"<ListMultipartUploadsResult>{''.join(parts)}</ListMultipartUploadsResult>")


OPERATIONS = web.AppKey("operations", Operations)


async def _fail(request: web.Request, fault: Fault) -> web.StreamResponse:
    if fault.status:
        return OssError(fault.status, fault.code, "A fault of the tests.").answer(request.method)
    _break(request)
    return web.Response(status=500)


def _break(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.abort()


def _headers(found: aiohttp.ClientResponse) -> dict[str, str]:
    """Return the headers of an object as OSS writes them."""
    headers = {name: found.headers[name] for name in PASSED if name in found.headers}
    headers["ETag"] = found.headers["ETag"].upper()
    headers["x-oss-object-type"] = "Normal"
    headers["x-oss-request-id"] = REQUEST_ID
    how = found.headers.get("x-amz-server-side-encryption")
    if how:
        headers["x-oss-server-side-encryption"] = {"aws:kms": "KMS"}.get(how, how)
    return headers


def _answer(text: str = "", headers: Mapping[str, str] | None = None) -> web.Response:
    sent = {"x-oss-request-id": REQUEST_ID, **(headers or {})}
    if not text:
        return web.Response(headers=sent)
    return web.Response(body=f"{DECLARATION}{text}".encode(), content_type="application/xml", headers=sent)


def _encoded(parsed: Incoming, key: str) -> str:
    return quote(key, safe="/") if parsed.query.get("encoding-type") == "url" else escape(key)


def _encoding(parsed: Incoming) -> str:
    return "<EncodingType>url</EncodingType>" if parsed.query.get("encoding-type") == "url" else ""


def _length(request: web.Request) -> int:
    if request.content_length is None:
        raise OssError(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
    return request.content_length


async def _verified(request: web.Request, parsed: Incoming) -> AsyncIterator[bytes]:
    """Yield a body. Its last piece is kept back until ``Content-MD5`` is found to be right: else nothing is stored."""
    digest = hashlib.md5(usedforsecurity=False)
    kept = b""
    async for piece in request.content.iter_chunked(PIECE):
        digest.update(piece)
        if kept:
            yield kept
        kept = piece
    expected = parsed.headers.get("content-md5")
    if expected is not None and base64.b64encode(digest.digest()).decode() != expected:
        raise OssError(400, "InvalidDigest", "The Content-MD5 you specified was invalid.")
    if kept:
        yield kept


async def _document(parsed: Incoming, request: web.Request) -> ET.Element:
    body = b"".join([piece async for piece in _verified(request, parsed)])
    try:
        return ET.fromstring(body)  # noqa: S314 -- of the tests
    except ET.ParseError:
        raise OssError(400, "MalformedXML", "The XML you provided was not well-formed.") from None
