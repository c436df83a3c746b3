"""The routes as one table: path, methods, and the access that each method needs.

Repository names have slashes in them, so a path is taken apart from its right-hand end: the fixed words ``manifests``,
``blobs`` and so on may also be parts of a repository's name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

PULL = ("pull",)
PUSH = ("pull", "push")
DELETE = ("delete",)
NOTHING = ()


@dataclass(frozen=True, slots=True)
class Route:
    """One row.

    Attributes:
        name: of the handler.
        template: the path as the documentation gives it.
        methods: method to the actions that it needs on the repository (or on the catalogue).
    """

    name: str
    template: str
    methods: dict[str, tuple[str, ...]]


BASE = Route("base", "/v2/", {"GET": NOTHING, "HEAD": NOTHING})
CATALOG = Route("catalog", "/v2/_catalog", {"GET": ("*",), "HEAD": ("*",)})
TAGS = Route("tags", "/v2/<name>/tags/list", {"GET": PULL, "HEAD": PULL})
TAG_REFERENCE = Route("tag_reference", "/v2/<name>/tags/reference/<tag>", {"DELETE": DELETE})
MANIFEST = Route(
    "manifest",
    "/v2/<name>/manifests/<reference>",
    {"GET": PULL, "HEAD": PULL, "PUT": PUSH, "DELETE": DELETE},
)
BLOB = Route("blob", "/v2/<name>/blobs/<digest>", {"GET": PULL, "HEAD": PULL, "DELETE": DELETE})
UPLOADS = Route("uploads", "/v2/<name>/blobs/uploads/", {"POST": PUSH})
UPLOAD = Route(
    "upload",
    "/v2/<name>/blobs/uploads/<uuid>",
    {"GET": PULL, "HEAD": PULL, "PATCH": PUSH, "PUT": PUSH, "DELETE": PUSH},
)
REFERRERS = Route("referrers", "/v2/<name>/referrers/<digest>", {"GET": PULL, "HEAD": PULL})

ROUTES = (BASE, CATALOG, TAGS, TAG_REFERENCE, MANIFEST, BLOB, UPLOADS, UPLOAD, REFERRERS)

# In the order in which they are tried; an absent group is "".
_PATTERNS = tuple(
    (re.compile(pattern, re.DOTALL), route)  # a line end is for the name's own check to refuse
    for pattern, route in (
        (r"()()/?", BASE),
        (r"()()/_catalog/?", CATALOG),
        (r"/(.+)()/blobs/uploads/?", UPLOADS),
        (r"/(.+)()/tags/list/?", TAGS),
        (r"/(.+)/blobs/uploads/([^/]+)", UPLOAD),
        (r"/(.+)/manifests/([^/]*)", MANIFEST),
        (r"/(.+)/blobs/([^/]*)", BLOB),
        (r"/(.+)/referrers/([^/]*)", REFERRERS),
        (r"/(.+)/tags/reference/([^/]*)", TAG_REFERENCE),
    )
)


class Match(NamedTuple):
    """A route with the values that its path holds; neither has been validated."""

    route: Route
    repository: str
    reference: str


def match(path: str) -> Match | None:
    """Return the route of a path below ``/v2``, or None.

    Args:
        path: what follows ``/v2``, percent-decoded: ``/``, ``/_catalog``, ``/library/alpine/tags/list``.
    """
    for pattern, route in _PATTERNS:
        if found := pattern.fullmatch(path):
            return Match(route, found[1], found[2])
    return None
