"""Ranges: of blob pulls (RFC 9110 section 14) and of upload chunks (OCI Distribution Specification 1.1)."""

from __future__ import annotations

import re

from matou.registry.errors import RegistryError

_UNIT = re.compile(r"bytes=", re.IGNORECASE)
_RANGE = re.compile(r"\s*([0-9]{0,40})-([0-9]{0,40})\s*")
_CONTENT_RANGE = re.compile(r"(?:bytes[ =])?([0-9]{1,19})-([0-9]{1,19})(?:/(?:[0-9]{1,19}|\*))?")


def parse_range(text: str, size: int) -> tuple[int, int] | None:
    """Return the first byte and the byte after the last of a ``Range`` header.

    None means that the header is to be ignored: it is of another unit or of several ranges, or there are no bytes at
    all (some clients add a range to every request).

    Args:
        text: the header.
        size: bytes of the whole.

    Raises:
        RegistryError: RANGE_INVALID when the range is malformed or no byte of it exists.
    """
    unit = _UNIT.match(text)
    if unit is None or size == 0 or "," in text:
        return None
    found = _RANGE.fullmatch(text, unit.end())
    if found is None or not (found[1] or found[2]):
        raise _unsatisfiable(text, size, "expected bytes=<first>-<last>, bytes=<first>- or bytes=-<count>")
    if not found[1]:
        start, end = max(size - int(found[2]), 0), size
    else:
        start = int(found[1])
        end = min(int(found[2]) + 1, size) if found[2] else size
    if start >= end:
        raise _unsatisfiable(text, size, "no byte of it exists")
    return start, end


def _unsatisfiable(text: str, size: int, reason: str) -> RegistryError:
    return RegistryError(
        "RANGE_INVALID",
        detail={"range": text[:100], "size": size, "reason": reason},
        headers=(("content-range", f"bytes */{size}"), ("accept-ranges", "bytes")),
    )


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
