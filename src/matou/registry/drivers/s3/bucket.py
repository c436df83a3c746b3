"""A bucket, to which requests are sent.

Concurrency: everything runs on the event loop.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from matou.registry.drivers.requests import RequestLimit, Requests
from matou.registry.drivers.s3.body import Contents
from matou.registry.drivers.s3.connection import Connection
from matou.registry.drivers.s3.errors import CredentialsMissing, Failures
from matou.registry.drivers.streams import closing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from types_aiobotocore_s3 import S3Client

    from matou.config.sections.s3 import S3Parameters
    from matou.registry.drivers.factory import Surroundings

T = TypeVar("T")

COPIES = 64  # parts that a worker has the service copy at a time, so that connections are left for other requests
JOINS = 4  # parts that are read and sent at a time, each of up to 10 MiB


class Bucket:
    """One bucket, below one root directory.

    Args:
        parameters: of the driver.
        surroundings: the limit of requests, and who is told of retries.

    Attributes:
        name: of the bucket.
        root: what all keys begin with.
        written: what is sent with each request that makes an object.
        contents: prepares what is sent.
        failures: translates errors.
        copying: limits the parts that are copied at a time.
        joining: limits the parts that are read and sent at a time.
    """

    def __init__(self, parameters: S3Parameters, surroundings: Surroundings) -> None:
        self.parameters = parameters
        self.name = parameters.bucket
        root = parameters.rootdirectory.strip("/")
        self.root = f"{root}/" if root else ""
        self.written = _sent_with_writes(parameters)
        self.contents = Contents(parameters.checksum)
        self.failures = Failures(parameters)
        self.copying = asyncio.Semaphore(min(COPIES, parameters.multipartcopymaxconcurrency))
        self.joining = asyncio.Semaphore(JOINS)
        self._connection = Connection(parameters)
        self._requests = Requests(
            parameters.maxretries,
            RequestLimit(parameters.maxrequestspersecond, surroundings.request_limit),
            surroundings.observer,
            patience=surroundings.patience,
        )

    @property
    def endpoint(self) -> str | None:
        """What tells the service from others; None for Amazon, which copies from region to region, too."""
        return self._connection.endpoint

    def key(self, key: str) -> str:
        """Return the whole key of a relative one."""
        return self.root + key

    def object(self, key: str) -> dict[str, Any]:
        """Return the arguments that name an object."""
        return {"Bucket": self.name, "Key": self.key(key)}

    async def send(self, operation: str, where: str, request: Callable[[S3Client], Awaitable[T]]) -> T:
        """Return what a request returns, repeating it as far as that may help.

        Args:
            operation: its name, for messages.
            where: key or prefix that it concerns, for messages.
            request: sends it once.

        Raises:
            StorageError: as ``Failures`` has it.
        """
        return await self._requests.send(lambda: self._once(operation, where, request))

    async def _once(self, operation: str, where: str, request: Callable[[S3Client], Awaitable[T]]) -> T:
        try:
            with self.failures.translated(operation, where):
                return await request(await self._connection.client())
        except CredentialsMissing:
            await self._connection.forget()  # a role may be there later
            raise

    def stream(
        self, request: Callable[[S3Client, int, int], AsyncIterator[bytes]], key: str, start: int, length: int
    ) -> AsyncIterator[bytes]:
        """Yield bytes of an object, going on where a connection broke.

        Args:
            request: asks once for ``length`` bytes from ``start``.
            key: of the object, for messages.
            start: first byte.
            length: in bytes.

        Raises:
            StorageError: as ``Failures`` has it.
        """

        async def once(start: int, length: int) -> AsyncIterator[bytes]:
            with self.failures.translated("GetObject", key):
                async with closing(request(await self._connection.client(), start, length)) as pieces:
                    async for piece in pieces:
                        yield piece

        return self._requests.stream(once, start, length)

    async def signed_url(self, operation: str, key: str, seconds: int) -> str:
        """Return a signed URL of an object.

        Args:
            operation: of the library: ``get_object``.
            key: of the object.
            seconds: how long it is good; a key that is good for a shorter time ends it.
        """
        with self.failures.translated("signed URL", key):
            client = await self._connection.url_client()
            return await client.generate_presigned_url(operation, Params=self.object(key), ExpiresIn=seconds)

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()
        self._requests.close()


def _sent_with_writes(parameters: S3Parameters) -> dict[str, Any]:
    sent: dict[str, Any] = {"ContentType": "application/octet-stream"}  # as Distribution does
    if parameters.encrypt:
        sent["ServerSideEncryption"] = "aws:kms" if parameters.keyid else "AES256"
        if parameters.keyid:
            sent["SSEKMSKeyId"] = parameters.keyid
    if parameters.storageclass.upper() != "NONE":
        sent["StorageClass"] = parameters.storageclass.upper()
    # Objects are private unless something else is asked for: a request that says so needs one more permission.
    if not parameters.objectownership and parameters.objectacl != "private":
        sent["ACL"] = parameters.objectacl
    return sent
