"""Pages of listings of a bucket.

Source: Amazon S3 API reference, ListObjectsV2 and ListMultipartUploads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from matou.registry.drivers.object_store import Listing, StoredObject
from matou.registry.drivers.paged_listing import Page
from matou.registry.drivers.s3.connection import Call
from matou.registry.drivers.s3.documents import Document, key_of, time_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from matou.registry.drivers.s3.bucket import Bucket

PAGE = 1000  # keys, as many as the service gives


async def page(bucket: Bucket, prefix: str, token: str, *, directories: bool) -> Page:
    """Return a page of a listing. See ``Pages``.

    Raises:
        StorageError: as for all requests, and for an answer that is no listing.
    """
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


def _parsed(content: bytes, root: str, prefix: str) -> Page:
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
    return Page(Listing(objects, names), token or "")


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
