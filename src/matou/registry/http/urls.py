"""The URLs that answers carry, as the client sees the registry through any proxy.

Source: Distribution ``registry/api/v2/urls.go``: ``http.host`` wins, then ``Forwarded`` (RFC 7239), then
``X-Forwarded-Proto`` and ``X-Forwarded-Host``, then the request itself; ``http.relativeurls`` drops scheme and host
unless ``http.host`` is set.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from matou.registry.auth.base import Origin

if TYPE_CHECKING:
    from matou.registry.http.message import Request

# What a proxy may name as a host: nothing that could end the header or the authority.
_HOST = re.compile(r"[A-Za-z0-9._~\-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
_FORWARDED = re.compile(r'(?:^|[;,])\s*(proto|host)\s*=\s*("(?:[^"\\]|\\.)*"|[^;,\s]+)', re.IGNORECASE)


class Urls:
    """Builds URLs.

    Args:
        host: ``http.host``, or "".
        prefix: ``http.prefix`` without the last slash, or "".
        relative: ``http.relativeurls``.
    """

    def __init__(self, host: str, prefix: str, *, relative: bool) -> None:
        parts = urlsplit(host)
        self._fixed = Origin(parts.scheme, parts.netloc) if host else None
        self._prefix = parts.path.rstrip("/") + prefix
        self._relative = relative

    def origin(self, request: Request) -> Origin:
        """Return scheme and host as the client used them."""
        if self._fixed is not None:
            return self._fixed
        headers = request.headers
        scheme, host = request.scheme, request.host
        forwarded = headers.get("forwarded")
        if forwarded:
            # Only the first element is the client's own; later ones are proxies in between.
            pairs = {name.lower(): value.strip('"') for name, value in _FORWARDED.findall(forwarded.split(",")[0])}
            scheme, host = pairs.get("proto", scheme), pairs.get("host", host)
        else:
            scheme = _first(headers.get("x-forwarded-proto")) or scheme
            host = _first(headers.get("x-forwarded-host")) or host
        scheme = scheme.lower()
        if scheme not in ("http", "https"):
            scheme = request.scheme
        if not _HOST.fullmatch(host):
            host = ""
        return Origin(scheme, host)

    def base(self, request: Request) -> str:
        """Return what comes before ``/v2``: "" or a path with relative URLs."""
        origin = self.origin(request)
        if (self._relative and self._fixed is None) or not origin.host:
            return self._prefix
        return f"{origin.scheme}://{origin.host}{self._prefix}"

    def blob(self, request: Request, repository: str, digest: str) -> str:
        """Return the URL of a blob."""
        return f"{self.base(request)}/v2/{repository}/blobs/{digest}"

    def manifest(self, request: Request, repository: str, reference: str) -> str:
        """Return the URL of a manifest."""
        return f"{self.base(request)}/v2/{repository}/manifests/{reference}"

    def upload(self, request: Request, repository: str, upload: str, state: str) -> str:
        """Return the URL at which an upload goes on."""
        return f"{self.base(request)}/v2/{repository}/blobs/uploads/{upload}?_state={quote(state, safe='=')}"


def _first(value: str | None) -> str:
    return value.split(",")[0].strip() if value else ""
