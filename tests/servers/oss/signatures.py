"""Who has signed a request: OSS's signatures of version 4 and 1, in headers and in URLs.

Source: OSS API reference, "Include signatures in the Authorization header" and "Add signatures to URLs", of V4 and V1.
Written apart from the libraries that make such signatures.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from tests.servers.oss.errors import OssError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.servers.oss.incoming import Incoming

V4 = "OSS4-HMAC-SHA256"
SKEW = 15 * 60  # seconds
LONGEST = 7 * 24 * 3600  # seconds that a URL of version 4 may be good for
# What of the parameters a signature of version 1 covers, as far as the front knows them.
SUBRESOURCES = frozenset(
    (
        *("acl", "append", "continuation-token", "delete", "location", "partNumber", "security-token", "uploadId"),
        *("uploads", "versionId"),
    )
)


@dataclass(frozen=True, slots=True)
class Key:
    """A key.

    Attributes:
        secret: that signs.
        token: of a temporary key; empty for a lasting one.
        operations: that it may do; None for all.
    """

    secret: str
    token: str = ""
    operations: frozenset[str] | None = None


def signer(request: Incoming, keys: Mapping[str, Key], region: str, now: float) -> Key:
    """Return the key that has signed a request.

    Args:
        request: a request.
        keys: known ones, by their ids.
        region: that signatures of version 4 must name.
        now: seconds since the epoch, UTC.

    Raises:
        OssError: none has, or not for now.
    """
    authorization = request.headers.get("authorization", "")
    if authorization.startswith(f"{V4} "):
        return _v4_header(request, authorization, keys, region, now)
    if request.query.get("x-oss-signature-version") == V4:
        return _v4_url(request, keys, region, now)
    if authorization.startswith("OSS "):
        identity, _, signature = authorization.removeprefix("OSS ").partition(":")
        key = _known(keys, identity, request.headers.get("x-oss-security-token", ""))
        date = request.headers.get("x-oss-date") or request.headers.get("date", "")
        return _check(key, signature, _v1(request, key.secret, date))
    if "Signature" in request.query:
        expires = request.query.get("Expires", "")
        if not expires.isdecimal() or int(expires) < now:
            raise OssError(403, "AccessDenied", "Request has expired.")
        key = _known(keys, request.query.get("OSSAccessKeyId", ""), request.query.get("security-token", ""))
        return _check(key, request.query["Signature"], _v1(request, key.secret, expires))
    raise OssError(403, "AccessDenied", "You have no right to access this object because of bucket acl.")


def _known(keys: Mapping[str, Key], identity: str, token: str) -> Key:
    key = keys.get(identity)
    if key is None:
        raise OssError(403, "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist in our records.")
    if key.token != token:
        raise OssError(403, "InvalidSecurityToken", "The security token you provided is invalid.")
    return key


def _check(key: Key, given: str, expected: str) -> Key:
    if not hmac.compare_digest(given.encode(), expected.encode()):
        raise OssError(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check your key and signing "
            "method.",
        )
    return key


def _v4_header(request: Incoming, authorization: str, keys: Mapping[str, Key], region: str, now: float) -> Key:
    fields = dict(field.strip().partition("=")[::2] for field in authorization.removeprefix(V4).split(","))
    when = request.headers.get("x-oss-date", "")
    if abs(_seconds(when) - now) > SKEW:
        raise OssError(
            403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."
        )
    key, scope = _scope(
        fields.get("Credential", ""), when, keys, region, request.headers.get("x-oss-security-token", "")
    )
    additional = [name for name in fields.get("AdditionalHeaders", "").split(";") if name]
    text = _v4_text(request, request.query, additional, request.headers.get("x-oss-content-sha256", ""), when, scope)
    return _check(key, fields.get("Signature", ""), v4_signature(key.secret, scope, text))


def _v4_url(request: Incoming, keys: Mapping[str, Key], region: str, now: float) -> Key:
    query = dict(request.query)
    when, expires = query.get("x-oss-date", ""), query.get("x-oss-expires", "")
    if not expires.isdecimal() or not 1 <= int(expires) <= LONGEST:
        raise OssError(400, "AuthorizationQueryParametersError", "x-oss-expires should be between 1 and 604800.")
    if now > _seconds(when) + int(expires):
        raise OssError(403, "AccessDenied", "Request has expired.")
    if _seconds(when) - now > SKEW:
        raise OssError(403, "AccessDenied", "Request is not valid yet.")
    key, scope = _scope(query.get("x-oss-credential", ""), when, keys, region, query.get("x-oss-security-token", ""))
    signature = query.pop("x-oss-signature", "")
    additional = [name for name in query.get("x-oss-additional-headers", "").split(";") if name]
    text = _v4_text(request, query, additional, "UNSIGNED-PAYLOAD", when, scope)
    return _check(key, signature, v4_signature(key.secret, scope, text))


def _scope(credential: str, when: str, keys: Mapping[str, Key], region: str, token: str) -> tuple[Key, str]:
    """Return the key of a credential and its scope: date, region, product and a fixed end."""
    identity, _, scope = credential.partition("/")
    date, named, product, end = (*scope.split("/"), "", "", "", "")[:4]
    key = _known(keys, identity, token)
    if date != when[:8] or end != "aliyun_v4_request":
        raise OssError(400, "InvalidArgument", "Invalid credential in Authorization header.")
    if named != region:
        raise OssError(400, "InvalidArgument", "Invalid signing region in Authorization header.")
    if product != "oss":
        raise OssError(400, "InvalidArgument", "Invalid signing product in Authorization header.")
    return key, scope


def _seconds(when: str) -> float:
    try:
        return datetime.strptime(when, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise OssError(403, "AccessDenied", "OSS authentication requires a valid Date.") from None


def _v4_text(
    request: Incoming, query: Mapping[str, str], additional: Iterable[str], payload: str, when: str, scope: str
) -> str:
    """Return the text that is signed."""
    path = f"/{request.bucket}/{request.key}" if request.bucket else "/"
    pairs = sorted((quote(name, safe=""), quote(value, safe="")) for name, value in query.items())
    signed = sorted(
        (name, value)
        for name, value in request.headers.items()
        if name.startswith("x-oss-") or name in ("content-type", "content-md5") or name in additional
    )
    canonical = "\n".join(
        (
            request.method,
            quote(path, safe="/"),
            "&".join(f"{name}={value}" if value else name for name, value in pairs),
            "".join(f"{name}:{value}\n" for name, value in signed),
            ";".join(sorted(additional)),
            payload,
        )
    )
    return "\n".join((V4, when, scope, hashlib.sha256(canonical.encode()).hexdigest()))


def v4_signature(secret: str, scope: str, text: str) -> str:
    """Return a signature of version 4."""
    key = f"aliyun_v4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def _v1(request: Incoming, secret: str, date: str) -> str:
    """Return the signature of version 1."""
    headers = sorted((name, value) for name, value in request.headers.items() if name.startswith("x-oss-"))
    parameters = sorted(
        (name, value)
        for name, value in request.query.items()
        if name in SUBRESOURCES or name.startswith(("x-oss-", "response-"))
    )
    resource = f"/{request.bucket}/{request.key}" if request.bucket else "/"
    if parameters:
        resource += "?" + "&".join(f"{name}={value}" if value else name for name, value in parameters)
    text = "\n".join(
        (
            request.method,
            request.headers.get("content-md5", ""),
            request.headers.get("content-type", ""),
            date,
            "".join(f"{name}:{value}\n" for name, value in headers) + resource,
        )
    )
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), "sha1")).decode()
