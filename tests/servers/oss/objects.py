"""Objects in SeaweedFS, by S3 requests of the front's own."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode
from xml.etree import ElementTree as ET

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from yarl import URL

from tests.servers.oss.errors import OssError
from tests.servers.seaweedfs import ACCESS_KEY, REGION, SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    import aiohttp

PIECE = 256 << 10  # bytes
NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"
KMS_KEY = ("x-oss-server-side-encryption-key-id", "x-amz-server-side-encryption-aws-kms-key-id")


class _Unsigned(S3SigV4Auth):  # type: ignore[misc]  # the library has no types
    """Signs all but the body, which streams."""

    def payload(self, request: AWSRequest) -> str:  # noqa: ARG002 -- the library's argument
        return "UNSIGNED-PAYLOAD"


class Objects:
    """Sends requests to SeaweedFS.

    Args:
        url: its S3 endpoint.
        session: sends them.
    """

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session
        self._signing = _Unsigned(Credentials(ACCESS_KEY, SECRET_KEY), "s3", REGION)

    @contextlib.asynccontextmanager
    async def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: AsyncIterator[bytes] | bytes | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request; yield its answer.

        Args:
            method: of HTTP.
            path: bucket and key.
            query: parameters.
            headers: of S3, with the length of a body that streams.
            body: what is sent.

        Raises:
            OssError: it was refused.
        """
        url = f"{self._url}/{quote(path)}" + (f"?{urlencode(query, quote_via=quote)}" if query else "")
        request = AWSRequest(method, url, dict(headers or {}))
        self._signing.add_auth(request)
        async with self._session.request(
            method, URL(url, encoded=True), headers=dict(request.headers.items()), data=body, allow_redirects=False
        ) as answer:
            if answer.status >= 400:
                raise await _refusal(answer)
            yield answer

    async def stream(self, path: str, span: tuple[int, int] | None = None) -> AsyncIterator[bytes]:
        """Yield the content of an object, or the bytes from a first to a last one."""
        headers = {"Range": f"bytes={span[0]}-{span[1]}"} if span else {}
        async with self.send("GET", path, headers=headers) as answer:
            async for piece in answer.content.iter_chunked(PIECE):
                yield piece

    async def size(self, path: str) -> int:
        """Return the bytes of an object."""
        async with self.send("HEAD", path) as answer:
            return int(answer.headers["Content-Length"])

    async def put(self, path: str, size: int, body: AsyncIterator[bytes], headers: Mapping[str, str]) -> str:
        """Store an object; return its ETag, as OSS writes it."""
        sent = {**headers, "Content-Length": str(size)}
        async with self.send("PUT", path, headers=sent, body=body if size else b"") as answer:
            return answer.headers["ETag"].upper()

    async def is_prefix(self, bucket: str, prefix: str) -> bool:
        """Tell whether an object has the prefix: SeaweedFS lists directories whose last object is gone for a while."""
        query = {"list-type": "2", "prefix": prefix, "max-keys": "1"}
        async with self.send("GET", bucket, query) as answer:
            root = ET.fromstring(await answer.read())  # noqa: S314 -- our own server
            return root.find(f"{NAMESPACE}Contents") is not None


def encryption(headers: Mapping[str, str]) -> dict[str, str]:
    """Return what an S3 request says of encryption where an OSS request has these headers."""
    how = headers.get("x-oss-server-side-encryption")
    if how is None:
        return {}
    sent = {"x-amz-server-side-encryption": {"KMS": "aws:kms"}.get(how, how)}
    if KMS_KEY[0] in headers:
        sent[KMS_KEY[1]] = headers[KMS_KEY[0]]
    return sent


async def _refusal(answer: aiohttp.ClientResponse) -> OssError:
    body = await answer.read()
    try:
        root = ET.fromstring(body)  # noqa: S314 -- our own server
    except ET.ParseError:
        code = "NoSuchKey" if answer.status == 404 else "InternalError"
        return OssError(answer.status, code, "The specified key does not exist." if code == "NoSuchKey" else "?")
    return OssError(answer.status, root.findtext("Code", ""), root.findtext("Message", ""))
