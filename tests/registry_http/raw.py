"""Requests as bytes on a socket: what a library would refuse to send, or tidy on the way."""

from __future__ import annotations

import contextlib
import json
import socket
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from tests.servers.matou_registry import MatouRegistry

TIMEOUT = 30.0


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def codes(self) -> list[str]:
        return [error["code"] for error in json.loads(self.body)["errors"]]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def request(method: str, target: str, headers: tuple[str, ...] = (), body: bytes = b"", host: str = "r") -> bytes:
    """Return a request; characters above U+007F go out as UTF-8.

    Args:
        method: as it is sent.
        target: as it is sent, with nothing encoded.
        headers: whole lines; ``Content-Length`` is added for a body unless one says how long it is.
        body: what follows.
        host: value of ``Host``.
    """
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
    told = any(line.lower().startswith(("content-length:", "transfer-encoding:")) for line in headers)
    if body and not told:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def exchange(registry: MatouRegistry, data: bytes, *, end: bool = False) -> Answer:
    """Send bytes and return the answer.

    Args:
        registry: that answers.
        data: all that is sent.
        end: whether the client then says that nothing more will come.
    """
    with socket.create_connection(("127.0.0.1", registry.port), timeout=TIMEOUT) as connection:
        # The server may answer and close before it has read everything.
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
            if end:
                connection.shutdown(socket.SHUT_WR)
        response = HTTPResponse(connection, method=data.split(b" ", 1)[0].decode("ascii", "replace"))
        try:
            response.begin()
            body = response.read()
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)
        finally:
            response.close()
