"""What the objects of a storage tree are, told by their paths, and in which order they may be copied and deleted.

Source: Distribution's layout, see ``blobs.layout``.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import NamedTuple

from matou.registry.blobs import layout

TREE = "docker"  # everything below it is copied
LINK = re.compile(r"(?P<algorithm>[a-z0-9]+)/(?P<hex>[0-9a-f]+)/link")


class Stage(IntEnum):
    """Objects are copied in this order and deleted in the opposite one, so that no link ever names what is missing."""

    BLOBS = 0
    LINKS = 1
    TAGS = 2


class TreeObject(NamedTuple):
    """An object of the source.

    Attributes:
        path: in both storages.
        size: bytes.
        stage: see ``Stage``.
        existing: bytes that the destination has at the path; None when it has nothing there.
    """

    path: str
    size: int
    stage: Stage
    existing: int | None


def stage_of(path: str) -> Stage | None:
    """Return when an object is copied; None for a part of an upload, which is not."""
    if path.startswith(f"{layout.BLOBS}/"):
        return Stage.BLOBS
    part = layout.part_of(path)
    if part[:1] == [layout.UPLOADS]:
        return None
    return Stage.TAGS if part[:2] == [layout.MANIFESTS, "tags"] else Stage.LINKS


def linked_digest(content: bytes) -> str:
    """Return the digest that a link file names, or what stands in its place."""
    return content.decode("ascii", errors="replace").strip()


def names_itself(path: str, digest: str) -> bool:
    """Tell whether a link names what its path stands for, as all but the current ones of tags do."""
    algorithm, _, hexadecimal = digest.partition(":")
    return path.endswith(f"/{algorithm}/{hexadecimal}/link")


def own_directory(path: str) -> str:
    """Return what goes when an object goes: the directory that is there for it alone, where it has one."""
    parts = path.split("/")
    is_link = parts[-2:] == ["current", "link"] or LINK.fullmatch("/".join(parts[-3:]))
    return "/".join(parts[:-1]) if is_link or layout.digest_of_blob(path) is not None else path


def directory_of_tag(path: str) -> str | None:
    """Return the directory of the tag whose current link an object is; None for other objects."""
    is_current = stage_of(path) is Stage.TAGS and path.endswith("/current/link")
    return path.removesuffix("/current/link") if is_current else None
