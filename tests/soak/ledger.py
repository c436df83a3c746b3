"""What a pusher knows of what it pushed: what was acknowledged, and what may or may not have happened."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.integration.hub import Image


class Tag(NamedTuple):
    """A tag of a repository."""

    repository: str
    name: str


@dataclass
class Ledger:
    """The state of the tags and manifests that nobody else touches.

    Attributes:
        tags: the digests that each tag may name; None stands for no such tag. Acknowledged means one alone.
        held: whether a repository holds a manifest; None when that is in doubt. By repository and digest.
        images: by digest of the manifest.
        touched: tags since the last look.
    """

    tags: dict[Tag, set[str | None]] = field(default_factory=dict)
    held: dict[tuple[str, str], bool | None] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    touched: set[Tag] = field(default_factory=set)

    def pushing(self, tag: Tag, image: Image) -> None:
        """A manifest is sent."""
        digest = image.manifest.digest
        self.images[digest] = image
        self.touched.add(tag)
        self.tags.setdefault(tag, {None}).add(digest)
        self.held.setdefault((tag.repository, digest), None)

    def pushed(self, tag: Tag, image: Image) -> None:
        """And acknowledged."""
        self.tags[tag] = {image.manifest.digest}
        self.held[tag.repository, image.manifest.digest] = True

    def untagging(self, tag: Tag) -> None:
        """A tag is about to be deleted."""
        self.touched.add(tag)
        self.tags[tag].add(None)

    def untagged(self, tag: Tag) -> None:
        """And was."""
        self.tags[tag] = {None}

    def deleting(self, repository: str, digest: str) -> None:
        """A manifest is about to be deleted."""
        self.held[repository, digest] = None
        for tag in self._naming(repository, digest):
            self.touched.add(tag)
            self.tags[tag].add(None)

    def deleted(self, repository: str, digest: str) -> None:
        """And was, with the tags that named it."""
        self.held[repository, digest] = False
        for tag in self._naming(repository, digest):
            self.tags[tag].discard(digest)

    def _naming(self, repository: str, digest: str) -> Iterable[Tag]:
        return [tag for tag, digests in self.tags.items() if tag.repository == repository and digest in digests]
