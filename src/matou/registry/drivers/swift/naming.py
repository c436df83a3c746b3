"""Names of objects in the container: exactly those of Distribution for content, and ours for segments.

Content lies at ``<prefix>/files/<path>``, segments below ``<prefix>/segments/``, without a slash at the start. What
Distribution writes there is ``<3 hexadecimal digits>/<37 more>/<number of 16 digits>``; ours is
``matou/<path of the upload>/`` with

- ``data.<offset>-<writer>``: segments,
- ``part.<level>.<number>``: static large objects of segments, when a blob has more than one manifest can name,
- ``claim``: written before a manifest. Its content, and its content type, where listings show it, name the blob that
  the segments belong to.

Keys of ``ObjectStore`` that begin with ``segments/`` are segments; all others are content.

Source: ``swiftPath`` and ``swiftSegmentPath`` of Distribution 2.8.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

ALL_SEGMENTS = "segments/"
SEGMENTS = f"{ALL_SEGMENTS}matou/"
CLAIM = "claim"
DATA = "data."
MANIFEST_PREFIX = re.compile(r"segments/(?:[0-9a-f]{3}/[0-9a-f]{37}/?|matou/.+/data\.)")
CLAIM_TYPE = re.compile(r'application/x-matou-claim; ?key="([^"]*)"')


def segment_prefix(upload: str) -> str:
    """Return the prefix of the segments of an upload."""
    return f"{SEGMENTS}{upload}/"


def upload_of(key: str) -> str:
    """Return the upload of the key of a segment, part or claim."""
    return key.removeprefix(SEGMENTS).rpartition("/")[0]


def claim_of(upload: str) -> str:
    """Return the key of the claim of an upload."""
    return segment_prefix(upload) + CLAIM


def part_of(upload: str, level: int, number: int) -> str:
    """Return the key of a manifest that other manifests name."""
    return f"{segment_prefix(upload)}part.{level}.{number:08d}"


def is_manifest_prefix(key: str) -> bool:
    """Tell whether a dynamic large object with this prefix was made by Distribution or by us."""
    return MANIFEST_PREFIX.fullmatch(key) is not None


def claim_type(key: str) -> str:
    """Return the content type of the claim for a blob."""
    return f'application/x-matou-claim; key="{quote(key)}"'


def claimed_key(content_type: str) -> str | None:
    """Return the blob that a claim of this content type is for; None for another type."""
    found = CLAIM_TYPE.fullmatch(content_type)
    return None if found is None else unquote(found[1])


@dataclass(frozen=True, slots=True)
class Naming:
    """Names in one container.

    Attributes:
        container: its name.
        prefix: as configured.
    """

    container: str
    prefix: str

    @property
    def files(self) -> str:
        """What the names of all content begin with."""
        return f"{self.prefix}/files/".lstrip("/")

    @property
    def segments(self) -> str:
        """What the names of all segments begin with, Distribution's too."""
        return f"{self.prefix}/segments/".lstrip("/")

    def name(self, key: str) -> str:
        """Return the name of a key's object; of a prefix, too."""
        if key.startswith(ALL_SEGMENTS):
            return self.segments + key.removeprefix(ALL_SEGMENTS)
        return self.files + key

    def key(self, name: str) -> str | None:
        """Return the key of an object; None for one that is not ours."""
        if name.startswith(self.files):
            return name.removeprefix(self.files)
        if name.startswith(self.segments):
            return ALL_SEGMENTS + name.removeprefix(self.segments)
        return None
