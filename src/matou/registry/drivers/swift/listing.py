"""Pages of listings."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, NamedTuple


class Listed(NamedTuple):
    """An object in a listing.

    Attributes:
        name: in the container.
        size: in bytes; 0 for a dynamic large object, whatever it has.
        modified: seconds since the epoch, UTC.
        content_type: of the object.
        is_static: whether it is a static large object, as far as listings of the cluster tell.
    """

    name: str
    size: int
    modified: float
    content_type: str
    is_static: bool


class Page(NamedTuple):
    """A page of a listing.

    Attributes:
        objects: in it.
        directories: common prefixes up to the delimiter, which they end with.
    """

    objects: list[Listed]
    directories: list[str]


def read_page(body: bytes) -> tuple[Page, str]:
    """Read a page of a listing; return it and the last name in it."""
    entries: list[dict[str, Any]] = json.loads(body)
    objects = [
        Listed(
            entry["name"],
            entry["bytes"],
            datetime.fromisoformat(entry["last_modified"]).replace(tzinfo=UTC).timestamp(),
            entry.get("content_type", ""),
            "slo_etag" in entry,
        )
        for entry in entries
        if "name" in entry
    ]
    directories = [entry["subdir"] for entry in entries if "subdir" in entry]
    last = entries[-1] if entries else {}
    return Page(objects, directories), last.get("name") or last.get("subdir") or ""
