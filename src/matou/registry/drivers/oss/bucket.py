"""A bucket by the operations of OSS that a registry needs, typed.

Source: OSS API reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import alibabacloud_oss_v2 as oss
from alibabacloud_oss_v2.types import OperationInput

from matou.registry.drivers.base import NotFound, StorageError, Transient
from matou.registry.drivers.oss.body import CONTENT_TYPE, Body, content_md5
from matou.registry.drivers.oss.connection import Connection
from matou.registry.drivers.oss.failures import translated
from matou.registry.drivers.oss.multipart import Multiparts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from matou.registry.drivers.oss.credentials import CredentialsProvider
    from matou.registry.drivers.oss.endpoint import Endpoint
    from matou.registry.drivers.requests import Requests

PAGE = 1000  # keys of a listing at most
LONGEST_URL = timedelta(days=7)  # that a signature of version 4 may be good for
PARTIAL = 206


class Found(NamedTuple):
    """An object: its key, its bytes, and when it was changed (seconds since the epoch, UTC)."""

    key: str
    size: int
    modified: float


class Page(NamedTuple):
    """One page of a listing: objects, prefixes that end with a slash, and the token of the next page."""

    objects: list[Found]
    prefixes: list[str]
    next: str | None


@dataclass(frozen=True, slots=True)
class Encryption:
    """What new objects are encrypted with.

    Attributes:
        enabled: whether at all, by this registry; the bucket may have a rule of its own.
        key: of KMS; none for keys of OSS (AES-256).
    """

    enabled: bool = False
    key: str = ""

    @property
    def arguments(self) -> dict[str, str]:
        """The arguments of a request that makes an object."""
        if not self.enabled:
            return {}
        if not self.key:
            return {"server_side_encryption": "AES256"}
        return {"server_side_encryption": "KMS", "server_side_encryption_key_id": self.key}


class Bucket:
    """A bucket. Keys are whole: from the root of the bucket.

    Args:
        name: of it.
        endpoint: that takes requests for it.
        credentials: sign the requests.
        encryption: of what is written.
        requests: sends them; closed with the bucket.

    Attributes:
        multiparts: its multipart uploads.
    """

    def __init__(
        self,
        name: str,
        endpoint: Endpoint,
        credentials: CredentialsProvider,
        encryption: Encryption,
        requests: Requests,
    ) -> None:
        self.name = name
        self.endpoint = endpoint
        self._connection = Connection(name, endpoint, credentials, requests)
        self._encryption = encryption.arguments
        self.multiparts = Multiparts(self._connection, self._encryption, self._size)

    async def _size(self, key: str) -> int:
        return (await self.head(key)).size

    async def get(self, key: str) -> bytes:
        """Return a small object.

        Raises:
            NotFound: there is none.
        """
        request = oss.GetObjectRequest(self.name, key)
        result = await self._connection.send("GetObject", key, lambda: self._connection.client.get_object(request))
        content: bytes = result.body.content
        return content

    async def put(self, key: str, chunks: Sequence[bytes]) -> None:
        """Store an object."""
        size, md5 = sum(map(len, chunks)), await content_md5(chunks)
        await self._connection.send(
            "PutObject",
            key,
            lambda: self._connection.client.put_object(
                oss.PutObjectRequest(
                    self.name,
                    key,
                    body=Body(chunks),
                    content_length=size,
                    content_md5=md5,
                    content_type=CONTENT_TYPE,
                    **self._encryption,
                )
            ),
        )

    async def head(self, key: str) -> Found:
        """Describe an object.

        Raises:
            NotFound: there is none.
        """
        request = oss.HeadObjectRequest(self.name, key)
        result = await self._connection.send("HeadObject", key, lambda: self._connection.client.head_object(request))
        return Found(key, int(result.content_length), result.last_modified.timestamp())

    def read(self, key: str, start: int, length: int) -> AsyncIterator[bytes]:
        """Yield bytes of an object; a connection that breaks is made again where it broke.

        Raises:
            NotFound: there is none.
            StorageError: the object is shorter, or the service does not come back.
        """
        return self._connection.stream(lambda first, count: self._read(key, first, count), start, length)

    async def _read(self, key: str, start: int, length: int) -> AsyncIterator[bytes]:
        request = OperationInput(
            op_name="GetObject",
            method="GET",
            bucket=self.name,
            key=key,
            # Without the second one a range that is wrong is answered by the whole object.
            headers={"Range": f"bytes={start}-{start + length - 1}", "x-oss-range-behavior": "standard"},
            op_metadata={"response-stream": True},
        )
        await self._connection.credentials.refresh()
        with translated("GetObject", self.name, key, self.endpoint):
            output = await self._connection.client.invoke_operation(request)
            answer = output.http_response
            try:
                if start and answer.status_code != PARTIAL:
                    raise StorageError(f"OSS GetObject of {self.name}/{key}: the service ignores ranges")
                async for piece in answer.iter_bytes():
                    if not piece:  # the library gives None for a failure that it does not know
                        raise Transient(f"OSS GetObject of {self.name}/{key}: the connection failed")
                    yield piece[:length]
                    length -= len(piece)
                    if length <= 0:
                        return
            finally:
                await answer.close()

    async def page(self, prefix: str, delimiter: str, token: str | None) -> Page:
        """Return a page of the objects whose key begins with a prefix.

        Args:
            prefix: of keys.
            delimiter: what lies behind it is shown as a prefix; empty to see all objects.
            token: of the page; None for the first.
        """
        request = oss.ListObjectsV2Request(
            self.name,
            prefix=prefix or None,
            delimiter=delimiter or None,
            continuation_token=token,
            max_keys=PAGE,
            encoding_type="url",
        )
        result = await self._connection.send(
            "ListObjectsV2", prefix, lambda: self._connection.client.list_objects_v2(request)
        )
        objects = [Found(item.key, int(item.size), item.last_modified.timestamp()) for item in result.contents or []]
        prefixes = [item.prefix for item in result.common_prefixes or []]
        return Page(objects, prefixes, result.next_continuation_token if result.is_truncated else None)

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, at most 1,000; those that do not exist are success."""
        if len(keys) > 1:
            # Not quiet: only what the answer names is known to be gone.
            request = oss.DeleteMultipleObjectsRequest(
                self.name, objects=[oss.DeleteObject(key=key) for key in keys], quiet=False
            )
            result = await self._connection.send(
                "DeleteMultipleObjects", keys[0], lambda: self._connection.client.delete_multiple_objects(request)
            )
            gone = {item.key for item in result.deleted_objects or []}
            keys = [key for key in keys if key not in gone]
        for key in keys:
            await self._delete_one(key)

    async def _delete_one(self, key: str) -> None:
        request = oss.DeleteObjectRequest(self.name, key)
        try:
            await self._connection.send("DeleteObject", key, lambda: self._connection.client.delete_object(request))
        except NotFound:
            return

    async def copy(self, source: str, source_key: str, key: str) -> None:
        """Copy an object of at most 1 GiB.

        Args:
            source: its bucket.
            source_key: its key.
            key: of the copy.

        Raises:
            NotFound: there is none.
        """
        request = oss.CopyObjectRequest(self.name, key, source_bucket=source, source_key=source_key, **self._encryption)
        await self._connection.send("CopyObject", source_key, lambda: self._connection.copying.copy_object(request))

    async def url(self, key: str, method: str, seconds: float) -> str:
        """Return a URL that is signed for ``GET`` or ``HEAD``, for at most seven days. No request is sent."""
        request = (oss.HeadObjectRequest if method == "HEAD" else oss.GetObjectRequest)(self.name, key)
        await self._connection.credentials.refresh()
        with translated("GetObject", self.name, key, self.endpoint):
            signed = await self._connection.client.presign(
                request, expires=min(timedelta(seconds=seconds), LONGEST_URL)
            )
        url: str = signed.url
        return url

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()
