"""User name and password from an ``Authorization`` header.

Source: RFC 7617.
"""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple

MAX_HEADER_LENGTH = 8 << 10
_CONTROL = frozenset(range(0x20)) | {0x7F}


class BasicCredentials(NamedTuple):
    """What the caller claims.

    Attributes:
        user: not empty.
        password: the bytes as sent; may be empty.
    """

    user: str
    password: bytes


def parse_basic(authorization: str) -> BasicCredentials | None:
    """Read a Basic ``Authorization`` value.

    Returns:
        None when it is of another scheme, too long, malformed, without user, or contains control characters.
    """
    if len(authorization) > MAX_HEADER_LENGTH:
        return None
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        raw = base64.b64decode(encoded.strip(" ").encode("ascii"), validate=True)
        user, colon, password = raw.partition(b":")
        name = user.decode("utf-8")
    except (ValueError, binascii.Error):
        return None
    if not colon or not name or not _CONTROL.isdisjoint(raw):
        return None
    return BasicCredentials(name, password)
