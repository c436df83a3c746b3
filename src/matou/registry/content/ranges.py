"""Ranges: of blob pulls (RFC 9110 section 14) and of upload chunks (OCI Distribution Specification 1.1)."""

from __future__ import annotations

import re

from matou.registry.errors import RegistryError

_RANGE = re.compile(r"bytes=\s*([0-9]{0,19})-([0-9]{0,19})\s*", re.IGNORECASE)
_CONTENT_RANGE = re.compile(r"(?:bytes[ =])?([0-9]{1,19})-([0-9]{1,19})(?:/(?:[0-9]{1,19}|\*))?")


def parse_range(text: str, size: int) -> tuple[int, int] | None:
    """Return the first byte and the byte after the last of a ``Range`` header.

    None means that the header is to be ignored: it is malformed, of another unit, or of several ranges.

    Args:
        text: the header.
        size: bytes of the whole.

    Raises:
        RegistryError: RANGE_INVALID when no byte of the range exists.
    """
    found = _RANGE.fullmatch(text)
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        start, end = max(size - int(found[2]), 0), size
    else:
        start = int(found[1])
        end = min(int(found[2]) + 1, size) if found[2] else size
        if found[2] and int(found[2]) < start:
            return None
    if start >= end:
        raise RegistryError(
            "RANGE_INVALID",
            detail={"range": text[:100], "size": size},
            headers=(("content-range", f"bytes */{size}"), ("accept-ranges", "bytes")),
        )
    return start, end


def parse_content_range(text: str) -> tuple[int, int]:
    """Return the first byte and the byte after the last of an upload chunk's ``Content-Range``.

    Raises:
        RegistryError: RANGE_INVALID.
    """
    found = _CONTENT_RANGE.fullmatch(text.strip())
    if found is None or int(found[2]) < int(found[1]):
        raise RegistryError(
            "RANGE_INVALID",
            detail={"contentRange": text[:100], "reason": "expected <first byte>-<last byte>, such as 0-1023"},
        )
    return int(found[1]), int(found[2]) + 1
