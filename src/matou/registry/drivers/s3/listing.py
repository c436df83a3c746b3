"""Listings of a bucket, page by page, and of a large tree several pages at a time.

No order of keys is assumed: SeaweedFS sorts ``/`` before ``-``.

Source: Amazon S3 API reference, ListObjectsV2 and ListMultipartUploads.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from matou.registry.drivers.object_store import Listing, StoredObject
from matou.registry.drivers.s3.connection import Call
from matou.registry.drivers.s3.documents import Document, key_of, time_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from matou.registry.drivers.s3.bucket import Bucket

PAGE = 1000  # keys, as many as the service gives
IN_PARALLEL = 8  # pages that are asked for at a time
ENOUGH = 64  # directories: what is below them is not divided, or in the end each blob would be asked for apart


class _Page(NamedTuple):
    """A page of a listing.

    Attributes:
        listing: what it shows.
        token: by which the next one is asked for; "" for the last.
    """

    listing: Listing
    token: str


async def pages(bucket: Bucket, prefix: str, *, directories: bool) -> AsyncIterator[Listing]:
    """Yield the pages of a listing, one after another. See ``ObjectStore.list``."""
    token = ""
    while True:
        page = await _page(bucket, prefix, token, directories=directories)
        yield page.listing
        token = page.token
        if not token:
            return


class _Wanted(NamedTuple):
    """A page to ask for.

    Attributes:
        prefix: of the keys.
        token: where the last page ended; "" for the first page.
        directories: whether what lies deeper is asked for apart.
    """

    prefix: str
    token: str = ""
    directories: bool = False


async def pages_in_parallel(bucket: Bucket, prefix: str) -> AsyncIterator[Listing]:
    """Yield the pages of a listing of all that lies below a prefix, in no order.

    What has more than a page is asked for directory by directory, until there are enough of them.
    """
    wanted = deque([_Wanted(prefix)])
    directories = 0  # that were found
    asked: dict[asyncio.Task[_Page], _Wanted] = {}
    try:
        while wanted or asked:
            while wanted and len(asked) < IN_PARALLEL:
                next_one = wanted.popleft()
                page = _page(bucket, next_one.prefix, next_one.token, directories=next_one.directories)
                asked[asyncio.create_task(page)] = next_one
            done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                of, (found, token) = asked.pop(task), task.result()
                if token and not of.directories and not of.token and directories < ENOUGH:
                    wanted.append(_Wanted(of.prefix, directories=True))
                    continue
                if token:
                    wanted.append(of._replace(token=token))
                directories += len(found.directories)
                wanted += [_Wanted(f"{of.prefix}{name}/") for name in found.directories]
                yield Listing(found.objects, [])
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


async def _page(bucket: Bucket, prefix: str, token: str, *, directories: bool) -> _Page:
    whole = bucket.key(prefix)
    query = [("list-type", "2"), ("prefix", whole), ("max-keys", str(PAGE)), ("encoding-type", "url")]
    if directories:
        query.append(("delimiter", "/"))
    if token:
        query.append(("continuation-token", token))
    reply = await bucket.call(Call("ListObjectsV2", "GET", query=query), prefix)
    try:
        return _parsed(reply.content, bucket.root, whole)
    except (KeyError, ValueError):
        raise bucket.failures.of_stranger("ListObjectsV2") from None


def _parsed(content: bytes, root: str, prefix: str) -> _Page:
    """Return a page that was asked for.

    Raises:
        KeyError, ValueError: it is none, such as a web page, which must not pass for an empty bucket.
    """
    document = Document.parse(content, "ListBucketResult")
    if document is None:
        raise ValueError("not a listing")
    encoding = document.text("EncodingType")
    objects = [
        StoredObject(key_of(found["Key"], encoding)[len(root) :], int(found["Size"]), time_of(found["LastModified"]))
        for found in (each.fields() for each in document.children("Contents"))
    ]
    names = [
        key_of(found.text("Prefix"), encoding)[len(prefix) :].rstrip("/")
        for found in document.children("CommonPrefixes")
    ]
    token = document.text("NextContinuationToken") if document.text("IsTruncated") == "true" else None
    if token == "":  # as from services that know the older listing only
        raise ValueError("the listing goes on, and does not tell where")
    return _Page(Listing(objects, names), token or "")


class FoundUpload(NamedTuple):
    """A multipart upload.

    Attributes:
        key: of its object, relative to the root directory.
        identity: that the service gave to it.
        initiated: seconds since the epoch.
    """

    key: str
    identity: str
    initiated: float


async def multipart_uploads(bucket: Bucket, prefix: str) -> AsyncIterator[FoundUpload]:
    """Yield the multipart uploads of keys that begin with a prefix, which are neither complete nor aborted."""
    whole = bucket.key(prefix)
    given = [("uploads", ""), ("prefix", whole), ("max-uploads", str(PAGE)), ("encoding-type", "url")]
    markers: list[tuple[str, str]] = []
    while True:
        reply = await bucket.call(Call("ListMultipartUploads", "GET", query=[*given, *markers]), prefix)
        document = Document.parse(reply.content, "ListMultipartUploadsResult")
        if document is None:
            raise bucket.failures.of_stranger("ListMultipartUploads")
        encoding = document.text("EncodingType")
        for found in document.children("Upload"):
            key = key_of(found.text("Key"), encoding)
            if key.startswith(whole):
                yield FoundUpload(key[len(bucket.root) :], found.text("UploadId"), time_of(found.text("Initiated")))
        marker = key_of(document.text("NextKeyMarker"), encoding)
        if document.text("IsTruncated") != "true" or not marker:
            return
        markers = [("key-marker", marker), ("upload-id-marker", document.text("NextUploadIdMarker"))]
