"""Signed URLs of version 4: whoever knows one gets the object, until it expires.

Source: https://cloud.google.com/storage/docs/access-control/signing-urls-manually
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from datetime import datetime

ALGORITHM = "GOOG4-RSA-SHA256"
LONGEST = 7 * 24 * 3600  # seconds; the service refuses more


class UnsignedUrl(NamedTuple):
    """A URL that lacks its signature.

    Attributes:
        url: all of it but for the last parameter.
        to_sign: what RSA with SHA-256 signs.
    """

    url: str
    to_sign: bytes

    def signed(self, signature: bytes) -> str:
        """Return the whole URL."""
        return f"{self.url}&X-Goog-Signature={signature.hex()}"


def unsigned_url(method: str, url: str, account: str, now: datetime, seconds: float) -> UnsignedUrl:
    """Return what has to be signed.

    Args:
        method: of the request.
        url: of the object, its path encoded, without a query.
        account: email address of the service account that signs.
        now: the present time, UTC.
        seconds: how long the URL is good; 7 days at most.
    """
    parts = urlsplit(url)
    timestamp = now.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{now:%Y%m%d}/auto/storage/goog4_request"
    parameters = {  # in the order of their names, as they are signed
        "X-Goog-Algorithm": ALGORITHM,
        "X-Goog-Credential": f"{account}/{scope}",
        "X-Goog-Date": timestamp,
        "X-Goog-Expires": str(max(1, min(LONGEST, int(seconds)))),
        "X-Goog-SignedHeaders": "host",
    }
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())
    # The host is signed without its port.
    request = f"{method}\n{parts.path}\n{query}\nhost:{parts.hostname}\n\nhost\nUNSIGNED-PAYLOAD"
    to_sign = f"{ALGORITHM}\n{timestamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    return UnsignedUrl(f"{url}?{query}", to_sign.encode())
