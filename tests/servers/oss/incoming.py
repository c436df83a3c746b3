"""A request to OSS, taken apart: bucket, key, parameters, operation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

DOMAIN = ".aliyuncs.com"


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request.

    Attributes:
        method: of HTTP.
        host: without its port, in small letters.
        bucket: its name; empty for none.
        key: of an object; empty for the bucket.
        query: parameters, decoded.
        headers: by their names in small letters.
    """

    method: str
    host: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]

    @property
    def operation(self) -> str:
        """OSS's name of what is asked for."""
        if not self.key:
            return self._operation_of_a_bucket()
        copied = "x-oss-copy-source" in self.headers
        if "uploadId" in self.query:
            put = "UploadPartCopy" if copied else "UploadPart"
            return {"PUT": put, "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload"}.get(
                self.method, "ListParts"
            )
        if self.method == "POST":
            return "InitiateMultipartUpload" if "uploads" in self.query else "AppendObject"
        put = "CopyObject" if copied else "PutObject"
        return {"GET": "GetObject", "HEAD": "HeadObject", "PUT": put, "DELETE": "DeleteObject"}.get(self.method, "")

    def _operation_of_a_bucket(self) -> str:
        if self.method == "POST" and "delete" in self.query:
            return "DeleteMultipleObjects"
        if self.method == "GET" and "uploads" in self.query:
            return "ListMultipartUploads"
        if self.method == "GET" and self.query.get("list-type") == "2":
            return "ListObjectsV2"
        return ""


def incoming(request: web.Request, aliases: Mapping[str, str]) -> Incoming:
    """Take a request apart.

    Args:
        request: to the front itself, or through it as a proxy (with a whole URL).
        aliases: buckets by hosts that are bound to them (CNAME).
    """
    path, _, query = request.raw_path.partition("?")
    host = request.headers.get("Host", "")
    if "://" in path:
        path = urlsplit(path).path
    host = host.partition(":")[0].lower()
    path = unquote(path).removeprefix("/")
    bucket = aliases.get(host) or (host.partition(".")[0] if host.endswith(DOMAIN) and host.count(".") > 2 else "")
    if not bucket:
        bucket, _, path = path.partition("/")
    return Incoming(
        request.method,
        host,
        bucket,
        path,
        dict(_parameter(pair) for pair in query.split("&") if pair),
        {name.lower(): value.strip() for name, value in request.headers.items()},
    )


def _parameter(pair: str) -> tuple[str, str]:
    name, _, value = pair.partition("=")
    return unquote(name), unquote(value)
