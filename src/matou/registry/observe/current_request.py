"""The request that a log line belongs to.

Concurrency: Granian gives every request a context of its own. Tasks that a request starts inherit it, and some of them
outlive the request; so what the context holds is emptied when the request ends.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from matou.registry.http.routes import match
from matou.registry.observe.client_address import forwarded_address
from matou.registry.observe.redaction import redact_query

if TYPE_CHECKING:
    from matou.registry.http.message import Request

LONGEST = 512  # characters of a value that a client chose


class CurrentRequest:
    """Ties the lines that are logged in this context to a request, until ``end``.

    Args:
        request: that is being answered.
        client: address of the connection's other end.
        prefix: what comes before ``/v2`` in paths.
    """

    __slots__ = ("_client", "_prefix", "_request")

    def __init__(self, request: Request, client: str, prefix: str = "") -> None:
        self._request: Request | None = request
        self._client = client
        self._prefix = prefix
        _CURRENT.set(self)

    def end(self) -> None:
        """Lines that are logged from here on belong to no request."""
        self._request = None

    def fields(self) -> dict[str, Any]:
        """Return the fields of a line, with Distribution's names."""
        request = self._request
        if request is None:
            return {}
        header = request.headers.get
        query = redact_query(request.query_string)
        fields = {
            "http.request.id": request.id,
            "http.request.method": request.method,
            "http.request.uri": (f"{request.path}?{query}" if query else request.path)[:LONGEST],
            "http.request.host": request.host[:LONGEST],
            "http.request.remoteaddr": forwarded_address(header) or self._client,
            "http.request.useragent": (header("user-agent") or "")[:LONGEST],
        }
        found = match(request.path.removeprefix(f"{self._prefix}/v2"))
        if found is not None and found.repository:
            fields["vars.name"] = found.repository[:LONGEST]
        if found is not None and found.reference:
            fields["vars.reference"] = found.reference[:LONGEST]
        return fields


_CURRENT: ContextVar[CurrentRequest | None] = ContextVar("current_request", default=None)


def current_fields() -> dict[str, Any]:
    """Return the fields of the request in whose context the caller runs; none outside of requests."""
    current = _CURRENT.get()
    return {} if current is None else current.fields()
