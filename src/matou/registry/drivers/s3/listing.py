"""Listings of a bucket, page by page, and of a large tree several pages at a time.

No order of keys is assumed: SeaweedFS sorts ``/`` before ``-``.

Source: Amazon S3 API reference, ListObjectsV2 and ListMultipartUploads.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from matou.registry.drivers.object_store import Listing, StoredObject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from types_aiobotocore_s3.type_defs import ListObjectsV2OutputTypeDef, MultipartUploadTypeDef

    from matou.registry.drivers.s3.bucket import Bucket

PAGE = 1000  # keys, as many as the service gives
IN_PARALLEL = 8  # pages that are asked for at a time


async def pages(bucket: Bucket, prefix: str, *, directories: bool) -> AsyncIterator[Listing]:
    """Yield the pages of a listing, one after another. See ``ObjectStore.list``."""
    token = ""
    while True:
        answer = await _page(bucket, prefix, token, directories=directories)
        yield _listing(bucket, prefix, answer)
        token = answer.get("NextContinuationToken", "") if answer.get("IsTruncated") else ""
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

    What has more than a page is asked for directory by directory.
    """
    wanted = deque([_Wanted(prefix)])
    asked: dict[asyncio.Task[ListObjectsV2OutputTypeDef], _Wanted] = {}
    try:
        while wanted or asked:
            while wanted and len(asked) < IN_PARALLEL:
                next_one = wanted.popleft()
                page = _page(bucket, next_one.prefix, next_one.token, directories=next_one.directories)
                asked[asyncio.create_task(page)] = next_one
            done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                of, answer = asked.pop(task), task.result()
                token = answer.get("NextContinuationToken", "") if answer.get("IsTruncated") else ""
                if token and not of.directories:
                    wanted.append(_Wanted(of.prefix, directories=True))
                    continue
                if token:
                    wanted.append(of._replace(token=token))
                found = _listing(bucket, of.prefix, answer)
                wanted += [_Wanted(f"{of.prefix}{name}/") for name in found.directories]
                yield Listing(found.objects, [])
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


async def _page(bucket: Bucket, prefix: str, token: str, *, directories: bool) -> ListObjectsV2OutputTypeDef:
    arguments: dict[str, Any] = {"Bucket": bucket.name, "Prefix": bucket.key(prefix), "MaxKeys": PAGE}
    if directories:
        arguments["Delimiter"] = "/"
    if token:
        arguments["ContinuationToken"] = token
    answer = await bucket.send("ListObjectsV2", prefix, lambda client: client.list_objects_v2(**arguments))
    if "IsTruncated" not in answer:  # such as a web page, which must not pass for an empty bucket
        raise bucket.failures.of_stranger("ListObjectsV2")
    return answer


def _listing(bucket: Bucket, prefix: str, answer: ListObjectsV2OutputTypeDef) -> Listing:
    root, whole = len(bucket.root), len(bucket.key(prefix))
    return Listing(
        [
            StoredObject(found["Key"][root:], found["Size"], found["LastModified"].timestamp())
            for found in answer.get("Contents", ())
        ],
        [found["Prefix"][whole:].rstrip("/") for found in answer.get("CommonPrefixes", ())],
    )


async def multipart_uploads(bucket: Bucket, prefix: str) -> AsyncIterator[MultipartUploadTypeDef]:
    """Yield the multipart uploads of keys that begin with a prefix, which are neither complete nor aborted."""
    arguments: dict[str, Any] = {"Bucket": bucket.name, "Prefix": bucket.key(prefix)}
    while True:
        answer = await bucket.send(
            "ListMultipartUploads", prefix, lambda client: client.list_multipart_uploads(**arguments)
        )
        for upload in answer.get("Uploads", ()):
            if upload["Key"].startswith(arguments["Prefix"]):
                yield upload
        if not answer.get("IsTruncated") or not answer.get("NextKeyMarker"):
            return
        arguments["KeyMarker"] = answer["NextKeyMarker"]
        if answer.get("NextUploadIdMarker"):
            arguments["UploadIdMarker"] = answer["NextUploadIdMarker"]
