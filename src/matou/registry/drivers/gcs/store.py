"""Objects of a bucket of Google Cloud Storage.

Uploads are objects of their own, put together by ``compose``: a resumable session of the service would be bound to
one order of parts, to a session's URL that somebody has to keep, and to pieces of 256 KiB.

Source: https://cloud.google.com/storage/docs/json_api/v1/objects
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import secrets
from collections import deque
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from matou.registry.concurrency import each, for_each
from matou.registry.drivers.base import NotFound, StorageError, Transient
from matou.registry.drivers.gcs.api import BROKEN, Address, Body, broken
from matou.registry.drivers.gcs.composition import MOST_SOURCES, Composition, level
from matou.registry.drivers.gcs.errors import PreconditionFailed
from matou.registry.drivers.object_driver import STAGING
from matou.registry.drivers.object_store import Listing, SegmentRules, StoredObject
from matou.registry.drivers.paged_listing import Page, list_in_parallel, list_in_turn
from matou.registry.drivers.streams import closing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from matou.registry.drivers.gcs.api import Api
    from matou.registry.drivers.gcs.url_signer import UrlSigner
    from matou.registry.drivers.object_store import ObjectStore, Segment

PAGE = 1000  # objects; the service gives no more at once
AT_ONCE = 32  # requests of one operation: other operations get their turn
SMALL = 64 * 1024  # bytes that are hashed at once; more are hashed by a thread
OCTETS = "application/octet-stream"
JSON = "application/json; charset=UTF-8"
FIELDS = "name,size,timeCreated"
NO_CONDITION: Mapping[str, str] = {}


class GcsStore:
    """See ``ObjectStore``.

    Args:
        api: of the bucket.
        signer: of URLs.
        root: prefix of all names; empty, or ends with a slash.
        chunksize: bytes of a segment.
        is_parallel: whether long listings are divided.
    """

    name = "gcs"
    keeps_segments = False

    def __init__(self, api: Api, signer: UrlSigner, root: str, chunksize: int, *, is_parallel: bool = False) -> None:
        self.segments = SegmentRules(chunksize)
        self.api = api
        self._signer = signer
        self._root = root
        self._is_parallel = is_parallel

    def segment_prefix(self, upload: str) -> str:
        """See ``ObjectStore.segment_prefix``."""
        return f"{upload}/"

    def object_url(self, key: str) -> str:
        """Return the URL of an object in the API."""
        return self.api.object_url(self._root + key)

    async def get(self, key: str) -> bytes:
        """See ``ObjectStore.get``."""
        address = Address("GET", self.object_url(key), {"alt": "media"}, f"reading {key}")
        return (await self.api.call(address)).content

    async def put(self, key: str, chunks: Sequence[bytes]) -> None:
        """See ``ObjectStore.put``. The service refuses content that does not have the MD5 that we send along."""
        size = sum(map(len, chunks))
        digest = _md5(chunks) if size <= SMALL else await asyncio.to_thread(_md5, chunks)
        resource = {"name": self._root + key, "contentType": OCTETS, "md5Hash": base64.b64encode(digest).decode()}
        address = Address(
            "POST", self.api.upload_url, {"uploadType": "multipart", "fields": "generation"}, f"writing {key}"
        )
        await self.api.call(address, _multipart(resource, chunks))

    async def head(self, key: str) -> StoredObject:
        """See ``ObjectStore.head``."""
        address = Address("GET", self.object_url(key), {"fields": FIELDS}, f"looking at {key}")
        return self._stored((await self.api.call(address)).json())

    async def read(self, key: str, start: int, length: int) -> AsyncIterator[bytes]:
        """See ``ObjectStore.read``. All of it is of one generation, whoever replaces the object meanwhile."""
        generation = ""

        async def once(first: int, left: int) -> AsyncIterator[bytes]:
            nonlocal generation
            if first != start and not generation:
                raise StorageError(f"reading {key}: the storage does not say which generation it sent the beginning of")
            query = {"alt": "media"} | ({"generation": generation} if generation else {})
            address = Address("GET", self.object_url(key), query, f"reading {key}")
            wanted = {"Range": f"bytes={first}-{first + left - 1}"}
            async with self.api.answering(address, wanted) as response:
                given = response.headers.get("Content-Range", "")
                if response.status != HTTPStatus.PARTIAL_CONTENT or not given.startswith(f"bytes {first}-"):
                    # So are objects that somebody stored with a Content-Encoding, which the service undoes.
                    raise StorageError(f"reading {key}: the storage sent something else than the part asked for")
                generation = response.headers.get("X-Goog-Generation", "")
                pieces = response.content.iter_chunks()  # as they came in: what is put together is copied once more
                while left:
                    try:
                        piece = (await anext(pieces))[0][:left]
                    except StopAsyncIteration:
                        return
                    except BROKEN as error:
                        raise broken(address.what, error) from error
                    left -= len(piece)
                    yield piece

        async with closing(self.api.requests.stream(once, start, length)) as read:
            async for piece in read:
                yield piece

    def relay(self, key: str, start: int, length: int) -> AsyncIterator[bytes]:
        """See ``ObjectStore.relay``."""
        return self.read(key, start, length)

    def list(self, prefix: str, *, directories: bool) -> AsyncIterator[Listing]:
        """See ``ObjectStore.list``."""
        if self._is_parallel and not directories:
            return list_in_parallel(self._page, prefix)
        return list_in_turn(self._page, prefix, directories=directories)

    async def _page(self, prefix: str, token: str, *, directories: bool) -> Page:
        query = {
            "prefix": self._root + prefix,
            "maxResults": str(PAGE),
            "fields": f"items({FIELDS}),prefixes,nextPageToken",
        }
        if directories:
            query["delimiter"] = "/"
        if token:
            query["pageToken"] = token
        begin = len(self._root + prefix)
        page = (await self.api.call(Address("GET", self.api.objects_url, query, f"listing {prefix or '/'}"))).json()
        listing = Listing(
            [self._stored(item) for item in page.get("items", [])],
            [name[begin:].removesuffix("/") for name in page.get("prefixes", [])],
        )
        return Page(listing, page.get("nextPageToken") or "")

    async def delete(self, keys: Sequence[str]) -> None:
        """See ``ObjectStore.delete``."""
        await for_each(each(keys), self._delete, AT_ONCE)

    async def _delete(self, key: str) -> None:
        try:
            await self.api.call(Address("DELETE", self.object_url(key), {}, f"deleting {key}"))
        except NotFound:
            return

    async def assemble(self, segments: Sequence[Segment], key: str) -> None:
        """See ``ObjectStore.assemble``: by trees of ``compose``, whose nodes are deleted; one segment is rewritten."""
        size = sum(segment.size for segment in segments)
        if len(segments) == 1:
            made = await self._rewrite(self.object_url(segments[0].key), key)
        else:
            made = await self._compose_all(segments, key)
        if made != size:
            raise StorageError(f"{key} was put together with {made} bytes; expected {size}")

    async def _compose_all(self, segments: Sequence[Segment], key: str) -> int:
        """Compose any number of objects, through components that are deleted; return the bytes of the whole."""
        home = f"{STAGING}/{secrets.token_hex(16)}"
        keys = [segment.key for segment in segments]
        components: deque[str] = deque()
        try:
            while len(keys) > MOST_SOURCES:
                compositions, keys = level(keys, f"{home}/{len(components)}.")
                components += [composition.target for composition in compositions]
                await for_each(each(compositions), self._compose_component, AT_ONCE)
            return await self._compose(Composition(keys, key))
        finally:
            with contextlib.suppress(StorageError):  # they are swept later
                await self.delete(tuple(components))

    async def _compose_component(self, composition: Composition) -> None:
        # If the condition fails the first attempt had gone through and its answer was lost: nobody else writes there.
        with contextlib.suppress(PreconditionFailed):
            await self._compose(composition, {"ifGenerationMatch": "0"})

    async def _compose(self, composition: Composition, condition: Mapping[str, str] = NO_CONDITION) -> int:
        """Send one request; return the bytes of the new object."""
        request = {
            "kind": "storage#composeRequest",
            "sourceObjects": [{"name": self._root + source} for source in composition.sources],
            "destination": {"contentType": OCTETS},
        }
        query = {"fields": "size", **condition}
        url = f"{self.object_url(composition.target)}/compose"
        address = Address("POST", url, query, f"composing {composition.target}")
        answer = await self.api.call(address, Body(JSON, [json.dumps(request).encode()]))
        return _number(answer.json(), "size")

    async def _rewrite(self, source: str, key: str) -> int:
        """Copy an object inside the service; return its bytes.

        Args:
            source: URL of the object in the API.
            key: of the copy.
        """
        target = self.object_url(key).removeprefix(f"{self.api.endpoint}/storage/v1")
        query = {"fields": "done,rewriteToken,objectSize"}
        while True:
            address = Address("POST", f"{source}/rewriteTo{target}", query, f"copying to {key}")
            answer = (await self.api.call(address)).json()
            if answer.get("done"):
                return _number(answer, "objectSize")
            token = answer.get("rewriteToken")
            if not token:
                raise StorageError(f"copying to {key}: the storage neither finished nor said how to go on")
            query = {**query, "rewriteToken": str(token)}

    async def open(self, key: str) -> None:
        """See ``ObjectStore.open``: segments serve as well."""

    async def url(self, key: str, method: str, seconds: float) -> str | None:
        """See ``ObjectStore.url``."""
        return await self._signer.sign(method, self._root + key, seconds)

    async def copy_from(self, source: ObjectStore, key: str, size: int) -> bool:
        """See ``ObjectStore.copy_from``: from another bucket that our account may read."""
        if not isinstance(source, GcsStore) or source.api.endpoint != self.api.endpoint:
            return False
        try:
            copied = await self._rewrite(source.object_url(key), key)
        except (NotFound, Transient):
            raise
        except StorageError:
            return False  # our account may not read there; the other one may, and what else is wrong shows then, too
        if copied != size:
            raise StorageError(f"{key} was copied with {copied} bytes; expected {size}")
        return True

    async def sweep(self, age: float) -> int:  # noqa: ARG002 -- the protocol's argument
        """See ``ObjectStore.sweep``: requests leave nothing unfinished."""
        return 0

    async def close(self) -> None:
        """See ``ObjectStore.close``."""
        await self.api.close()

    def _stored(self, resource: dict[str, Any]) -> StoredObject:
        try:
            name, created = str(resource["name"]), datetime.fromisoformat(resource["timeCreated"])
        except (KeyError, TypeError, ValueError) as error:
            raise StorageError("Google Cloud Storage described an object without its name and time") from error
        return StoredObject(name.removeprefix(self._root), _number(resource, "size"), created.timestamp())


def _number(resource: dict[str, Any], field: str) -> int:
    """Return a number, which the API writes as text."""
    try:
        return int(resource[field])
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(f"Google Cloud Storage answered without the field {field}") from error


def _multipart(resource: dict[str, str], chunks: Sequence[bytes]) -> Body:
    """Return the body of an upload in one request: the object's resource, then its content.

    Source: https://cloud.google.com/storage/docs/uploading-objects#uploading-an-object (multipart).
    """
    boundary = secrets.token_hex(32)
    head = (
        f"--{boundary}\r\nContent-Type: {JSON}\r\n\r\n{json.dumps(resource)}\r\n"
        f"--{boundary}\r\nContent-Type: {OCTETS}\r\n\r\n"
    )
    return Body(f"multipart/related; boundary={boundary}", [head.encode(), *chunks, f"\r\n--{boundary}--\r\n".encode()])


def _md5(chunks: Iterable[bytes]) -> bytes:
    digest = hashlib.md5(usedforsecurity=False)
    for chunk in chunks:
        digest.update(chunk)
    return digest.digest()
