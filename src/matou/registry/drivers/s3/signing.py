"""Signature version 4, in headers and in URLs.

Source: Amazon S3 API reference, "Authenticating Requests (AWS Signature Version 4)".
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
UNRESERVED = "-_.~"  # besides letters and digits
UNSIGNED_HEADERS = frozenset(("user-agent",))  # proxies change it


class Credentials(NamedTuple):
    """A key.

    Attributes:
        key: its id.
        secret: of it.
        token: of a temporary key, or "".
    """

    key: str
    secret: str
    token: str


class Signer:
    """Signs requests for one service in one region.

    Args:
        region: of the service.
        service: its name in signatures: ``s3``.
    """

    def __init__(self, region: str, service: str) -> None:
        self._region = region
        self._service = service
        self._derived: tuple[str, str, bytes] = ("", "", b"")  # secret, date and the key made of them

    def headers(
        self,
        credentials: Credentials,
        now: datetime,
        *,
        method: str,
        host: str,
        path: str,
        query: Sequence[tuple[str, str]],
        headers: Mapping[str, str],
        payload: str,
    ) -> dict[str, str]:
        """Return the headers of a request, with those that sign it.

        Args:
            credentials: the key.
            now: UTC.
            method: of HTTP.
            host: with its port, unless that is the scheme's.
            path: encoded.
            query: parameters, not encoded.
            headers: that are sent; their names in lower case.
            payload: hexadecimal SHA-256 of the body, or ``UNSIGNED``.
        """
        time = now.strftime("%Y%m%dT%H%M%SZ")
        sent = {**headers, "host": host, "x-amz-content-sha256": payload, "x-amz-date": time}
        if credentials.token:
            sent["x-amz-security-token"] = credentials.token
        names = sorted(name for name in sent if name not in UNSIGNED_HEADERS)
        lines = "".join(f"{name}:{' '.join(sent[name].split())}\n" for name in names)
        signed = ";".join(names)
        request = f"{method}\n{path}\n{encoded_query(query)}\n{lines}\n{signed}\n{payload}"
        scope, signature = self._signature(credentials, time, request)
        sent["authorization"] = (
            f"{ALGORITHM} Credential={credentials.key}/{scope}, SignedHeaders={signed}, Signature={signature}"
        )
        return sent

    def query(self, credentials: Credentials, now: datetime, *, method: str, host: str, path: str, seconds: int) -> str:
        """Return the query of a URL that is good for a while.

        Args:
            credentials: the key.
            now: UTC.
            method: of HTTP.
            host: with its port, unless that is the scheme's.
            path: encoded.
            seconds: how long it is good, at most a week.
        """
        time = now.strftime("%Y%m%dT%H%M%SZ")
        parameters = [
            ("X-Amz-Algorithm", ALGORITHM),
            ("X-Amz-Credential", f"{credentials.key}/{self._scope(time)}"),
            ("X-Amz-Date", time),
            ("X-Amz-Expires", str(seconds)),
            ("X-Amz-SignedHeaders", "host"),
        ]
        if credentials.token:
            parameters.append(("X-Amz-Security-Token", credentials.token))
        query = encoded_query(parameters)
        request = f"{method}\n{path}\n{query}\nhost:{host}\n\nhost\n{UNSIGNED}"
        _, signature = self._signature(credentials, time, request)
        return f"{query}&X-Amz-Signature={signature}"

    def _scope(self, time: str) -> str:
        return f"{time[:8]}/{self._region}/{self._service}/aws4_request"

    def _signature(self, credentials: Credentials, time: str, request: str) -> tuple[str, str]:
        scope = self._scope(time)
        digest = hashlib.sha256(request.encode()).hexdigest()
        text = f"{ALGORITHM}\n{time}\n{scope}\n{digest}"
        return scope, hmac.new(self._key(credentials.secret, time[:8]), text.encode(), hashlib.sha256).hexdigest()

    def _key(self, secret: str, date: str) -> bytes:
        if self._derived[:2] != (secret, date):
            key = f"AWS4{secret}".encode()
            for part in (date, self._region, self._service, "aws4_request"):
                key = hmac.new(key, part.encode(), hashlib.sha256).digest()
            self._derived = (secret, date, key)
        return self._derived[2]


def encoded_query(parameters: Sequence[tuple[str, str]]) -> str:
    """Return parameters as they are signed and sent."""
    pairs = sorted((quote(name, safe=UNRESERVED), quote(value, safe=UNRESERVED)) for name, value in parameters)
    return "&".join(f"{name}={value}" for name, value in pairs)


def encoded_key(key: str) -> str:
    """Return a key as it is in paths; slashes stay."""
    return quote(key, safe=f"/{UNRESERVED}")
