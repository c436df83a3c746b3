"""Signed URLs of version 4, as Google Cloud Storage looks at them.

Source: https://cloud.google.com/storage/docs/authentication/signatures, and .../canonical-requests.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.servers.google_accounts import Accounts

AHEAD = 900.0  # seconds that a URL's date may lie in the future
PARAMETERS = ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature")


class UrlRefused(Exception):  # noqa: N818 -- what it is
    """A URL is not good; the message is the code of the XML API.

    Args:
        status: of HTTP.
        code: of the XML API.
    """

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status


def verify_url(accounts: Accounts, method: str, path: str, query: str, headers: Mapping[str, str]) -> None:
    """Verify a URL.

    Args:
        accounts: whose keys count.
        method: of the request.
        path: as it came, encoded.
        query: as it came.
        headers: of the request, whatever the case of their names.

    Raises:
        UrlRefused: it is not good.
    """
    given = parse_qsl(query, keep_blank_values=True)
    fields = {name.removeprefix("X-Goog-"): value for name, value in given}
    if not any(f"X-Goog-{name}" in dict(given) for name in PARAMETERS):
        raise UrlRefused(401, "AuthenticationRequired")
    if any(name not in fields for name in PARAMETERS) or fields["Algorithm"] != "GOOG4-RSA-SHA256":
        raise UrlRefused(400, "AuthenticationQueryParametersError")
    email, _, scope = fields["Credential"].partition("/")
    date = datetime.strptime(fields["Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    account = accounts.known.get(email)
    if account is None or account.is_disabled or scope != f"{date:%Y%m%d}/auto/storage/goog4_request":
        raise UrlRefused(403, "SignatureDoesNotMatch")
    expires = int(fields["Expires"])
    if not 0 < expires <= 604800 or date.timestamp() > accounts.now() + AHEAD:
        raise UrlRefused(400, "AuthenticationQueryParametersError")
    request = _canonical(method, path, given, fields["SignedHeaders"], headers)
    to_sign = "\n".join((fields["Algorithm"], fields["Date"], scope, hashlib.sha256(request.encode()).hexdigest()))
    try:
        signature = bytes.fromhex(fields["Signature"])
    except ValueError:
        signature = b""
    if not account.has_signed(to_sign.encode(), signature):
        raise UrlRefused(403, "SignatureDoesNotMatch")
    if accounts.now() >= date.timestamp() + expires:
        raise UrlRefused(400, "ExpiredToken")


def _canonical(
    method: str, path: str, given: list[tuple[str, str]], signed_headers: str, headers: Mapping[str, str]
) -> str:
    names = signed_headers.split(";")
    if "host" not in names or names != sorted(names):
        raise UrlRefused(400, "InvalidSignedHeaders")
    query = sorted(
        (quote(name, safe="~"), quote(value, safe="~")) for name, value in given if name != "X-Goog-Signature"
    )
    lines = [method, path, "&".join(f"{name}={value}" for name, value in query)]
    values = {name: headers.get(name, "").strip() for name in names}
    values["host"] = values["host"].partition(":")[0]  # without the port, as Google's own conformance tests have it
    lines += [f"{name}:{value}" for name, value in values.items()]
    return "\n".join((*lines, "", signed_headers, "UNSIGNED-PAYLOAD"))
