"""A bucket, to which requests are sent.

Concurrency: everything runs on the event loop.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from matou.registry.drivers.requests import RequestLimit, Requests
from matou.registry.drivers.s3.body import Contents
from matou.registry.drivers.s3.connection import Call, Connection, Reply
from matou.registry.drivers.s3.errors import Failures
from matou.registry.drivers.s3.signing import encoded_key
from matou.registry.drivers.streams import closing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from matou.config.sections.s3 import S3Parameters
    from matou.registry.drivers.factory import Surroundings
    from matou.registry.drivers.unread import Content

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
        written: headers of each request that makes an object.
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

    async def call(self, call: Call, where: str) -> Reply:
        """Send a request, repeating it as far as that may help; return its answer.

        Args:
            call: the request.
            where: key or prefix that it concerns, for messages.

        Raises:
            StorageError: as ``Failures`` has it.
        """
        return await self.send(call.operation, where, lambda connection: connection.send(call))

    async def send(self, operation: str, where: str, request: Callable[[Connection], Awaitable[T]]) -> T:
        """Return what a request returns, repeating it as far as that may help.

        Args:
            operation: its name, for messages.
            where: key or prefix that it concerns, for messages.
            request: sends it once.

        Raises:
            StorageError: as ``Failures`` has it.
        """
        return await self._requests.send(lambda: self._once(operation, where, request))

    async def _once(self, operation: str, where: str, request: Callable[[Connection], Awaitable[T]]) -> T:
        with self.failures.translated(operation, where):
            return await request(self._connection)

    def stream(
        self, request: Callable[[Connection, int, int], AsyncIterator[Content]], key: str, start: int, length: int
    ) -> AsyncIterator[Content]:
        """Yield bytes of an object, going on where a connection broke.

        Args:
            request: asks once for ``length`` bytes from ``start``.
            key: of the object, for messages.
            start: first byte.
            length: in bytes.

        Raises:
            StorageError: as ``Failures`` has it.
        """

        async def once(start: int, length: int) -> AsyncIterator[Content]:
            with self.failures.translated("GetObject", key):
                async with closing(request(self._connection, start, length)) as pieces:
                    async for piece in pieces:
                        yield piece

        return self._requests.stream(once, start, length)

    async def signed_url(self, method: str, key: str, seconds: int) -> str:
        """Return a signed URL of an object.

        Args:
            method: of HTTP.
            key: of the object.
            seconds: how long it is good; a key that is good for a shorter time ends it.
        """
        with self.failures.translated("signed URL", key):
            return await self._connection.signed_url(method, self.key(key), seconds)

    def source(self, key: str) -> dict[str, str]:
        """Return the header that names an object of this bucket as the source of a copy."""
        joint = "/object/" if self.name.startswith("arn:") else "/"
        return {"x-amz-copy-source": encoded_key(f"{self.name}{joint}{self.key(key)}")}

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()
        self._requests.close()


def _sent_with_writes(parameters: S3Parameters) -> dict[str, str]:
    sent = {"content-type": "application/octet-stream"}  # as Distribution does
    if parameters.encrypt:
        sent["x-amz-server-side-encryption"] = "aws:kms" if parameters.keyid else "AES256"
        if parameters.keyid:
            sent["x-amz-server-side-encryption-aws-kms-key-id"] = parameters.keyid
    if parameters.storageclass.upper() != "NONE":
        sent["x-amz-storage-class"] = parameters.storageclass.upper()
    # Objects are private unless something else is asked for: a request that says so needs one more permission.
    if not parameters.objectownership and parameters.objectacl != "private":
        sent["x-amz-acl"] = parameters.objectacl
    return sent
