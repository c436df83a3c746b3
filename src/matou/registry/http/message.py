"""Requests and responses as the handlers see them, without a server's interface in them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qs

from matou.registry.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from matou.registry.drivers.unread import Unread

Headers = list[tuple[str, str]]

JSON_TYPE = "application/json"
MAX_PARAMETERS = 200  # of a query string
LARGEST_COLLECTED = 1 << 18  # bytes of a body that is in memory as a whole, though it comes from storage


class HeaderSource(Protocol):
    """Request headers by lower-case name; only the first of several of one name."""

    def get(self, name: str) -> str | None:
        """Return a header's value, or None."""
        ...

    def get_all(self, name: str) -> list[str]:
        """Return every value of a header."""
        ...


class Request:
    """One request.

    Attributes:
        method: upper case.
        path: percent-decoded.
        headers: by lower-case name.
        scheme: of the connection: ``http`` or ``https``.
        host: that the client asked, with the port when it said one; "" when it said none.
        id: names the request in the log and in ``X-Request-Id``.
    """

    __slots__ = ("_body", "_query", "headers", "host", "id", "method", "path", "query_string", "scheme")

    def __init__(
        self,
        method: str,
        path: str,
        query_string: str,
        headers: HeaderSource,
        scheme: str,
        body: AsyncIterator[bytes],
        request_id: str,
        authority: str | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.query_string = query_string
        self.headers = headers
        self.scheme = scheme
        self.host = headers.get("host") or authority or ""  # HTTP/2 has ":authority" in place of the header
        self.id = request_id
        self._body = body
        self._query: dict[str, list[str]] | None = None

    @property
    def query(self) -> dict[str, list[str]]:
        """The parameters of the query string, each with all its values."""
        if self._query is None:
            try:
                self._query = parse_qs(self.query_string, keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
            except ValueError:
                raise RegistryError(
                    "UNSUPPORTED",
                    "the query string has too many parameters",
                    detail=f"at most {MAX_PARAMETERS} are expected",
                    status=414,
                ) from None
        return self._query

    def parameter(self, name: str) -> str | None:
        """Return the first value of a query parameter, or None."""
        values = self.query.get(name)
        return values[0] if values else None

    @property
    def content_length(self) -> int | None:
        """``Content-Length`` in bytes; None with a chunked body."""
        text = self.headers.get("content-length")
        return int(text) if text and text.isascii() and text.isdigit() else None

    @property
    def has_body(self) -> bool:
        """Whether a body follows, of any length."""
        return bool(self.content_length) or self.headers.get("transfer-encoding") is not None

    def chunks(self) -> AsyncIterator[bytes]:
        """Return the body's pieces as they come in; once."""
        return self._body

    async def read(self, limit: int) -> bytes | None:
        """Return the whole body, or None when it has more than ``limit`` bytes (the rest is not read)."""
        announced = self.content_length
        if announced is not None and announced > limit:
            return None
        pieces: list[bytes] = []
        size = 0
        async for piece in self._body:
            size += len(piece)
            if size > limit:
                return None
            pieces.append(piece)
        return b"".join(pieces)


@dataclass(slots=True)
class Response:
    """An answer whose body, if any, is in memory. For HEAD the body is left out and its length told."""

    status: int
    headers: Headers = field(default_factory=list)
    body: bytes = b""


@dataclass(slots=True)
class FileResponse:
    """An answer whose body is a part of a local file, sent by the kernel.

    Attributes:
        path: of the file.
        start: first byte.
        end: the byte after the last.
    """

    status: int
    headers: Headers
    path: str
    start: int
    end: int


@dataclass(slots=True)
class StreamResponse:
    """An answer whose body comes in pieces.

    Attributes:
        first: piece: when there is one, the storage works, so an answer of success may begin.
        rest: of the pieces; closed by whoever sends the answer.
        length: bytes of the body, which the headers tell, too; more than ``LARGEST_COLLECTED``.
    """

    status: int
    headers: Headers
    first: bytes | Unread
    rest: AsyncIterator[bytes | Unread]
    length: int


AnyResponse = Response | FileResponse | StreamResponse


def json_response(
    document: Any, status: int = 200, headers: Headers | None = None, media_type: str = JSON_TYPE
) -> Response:
    """Return an answer with a JSON body."""
    # Half a surrogate pair, which UTF-8 cannot have, becomes the JSON escape that it came as.
    body = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode(errors="backslashreplace")
    return Response(status, [("content-type", media_type), *(headers or [])], body)


def error_response(error: RegistryError) -> Response:
    """Return an error as the specified JSON."""
    return json_response(error.document(), error.status, list(error.headers))
