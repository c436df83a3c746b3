"""Whether a manifest may be served to a client that sends an ``Accept`` header.

As in Distribution, an OCI manifest that the header does not name is refused, and a Docker manifest list asked for by
tag becomes its linux/amd64 image. Unlike Distribution, a request without the header or with a wildcard gets what is
stored: that is what ``curl`` and people send.
"""

from __future__ import annotations

import enum

from matou.registry.content import mediatypes

_DOCKER = frozenset({mediatypes.DOCKER_MANIFEST, mediatypes.DOCKER_MANIFEST_LIST})


class Negotiation(enum.Enum):
    """What to do."""

    AS_STORED = enum.auto()
    DEFAULT_PLATFORM = enum.auto()
    REFUSED = enum.auto()


def negotiate(accept: list[str], media_type: str, *, by_tag: bool) -> Negotiation:
    """Decide.

    Args:
        accept: every ``Accept`` header, in order.
        media_type: of the stored manifest.
        by_tag: whether the client asked for a tag; what is asked for by digest cannot become another manifest.
    """
    if not accept:
        return Negotiation.AS_STORED
    accepted = {part.split(";")[0].strip().lower() for header in accept for part in header.split(",")}
    if media_type in accepted or "*/*" in accepted or "application/*" in accepted or accepted == {""}:
        return Negotiation.AS_STORED
    if media_type == mediatypes.DOCKER_MANIFEST_LIST and by_tag:
        return Negotiation.DEFAULT_PLATFORM
    return Negotiation.AS_STORED if media_type in _DOCKER else Negotiation.REFUSED
