"""What goes into the index and comes out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class StoredManifest(NamedTuple):
    """A manifest as it is served."""

    digest: str
    media_type: str
    payload: bytes


class NewManifest(NamedTuple):
    """A manifest to be recorded, whose content storage already has.

    Attributes:
        blobs: digests of its config and layers.
        required_blobs: those of the blobs that the repository must hold.
        children: digests of the manifests that an index lists.
        required_children: those of the children that the repository must hold.
        subject: digest of the manifest that it refers to; need not exist.
    """

    digest: str
    media_type: str
    payload: bytes
    artifact_type: str | None
    subject: str | None
    annotations: Mapping[str, str]
    blobs: tuple[str, ...]
    required_blobs: tuple[str, ...]
    children: tuple[str, ...]
    required_children: tuple[str, ...]


class Referrer(NamedTuple):
    """A manifest whose subject is another."""

    digest: str
    media_type: str
    artifact_type: str | None
    size: int
    annotations: Mapping[str, Any]


class Projection(NamedTuple):
    """A pointer that changed and whose link files have to be brought up to date.

    Attributes:
        id: of the dirty mark; None when it is not known.
        kind: ``layer``, ``manifest`` or ``tag``.
        repository: name of the repository.
        name: digest of the layer or manifest, or the tag.
    """

    id: int | None
    kind: str
    repository: str
    name: str


class JournalEntry(NamedTuple):
    """A change that was made.

    Attributes:
        id: its place in the order of all changes.
        action: ``push``, ``mount`` or ``delete``.
        repository: name.
        digest: of the blob or manifest.
        tag: that was put or deleted; None when the change is of a blob or a manifest itself.
        media_type: of a manifest that was pushed; None in all other cases.
    """

    id: int
    action: str
    repository: str
    digest: str
    tag: str | None
    media_type: str | None


class MissingReferences(Exception):  # noqa: N818 -- what it holds
    """A manifest refers to blobs or manifests that the repository lacks."""

    def __init__(self, digests: tuple[str, ...]) -> None:
        super().__init__(f"the repository lacks {', '.join(digests)}")
        self.digests = digests
