"""Where everything lies in storage: Distribution's layout, every path of it in this one file.

Source: ``registry/storage/paths.go`` of Distribution (2.x and 3.x agree). A ``link`` file holds a digest as text,
without a line end; ``startedat`` holds an RFC 3339 time in UTC.

An upload is the one thing that lies otherwise: one file, not a directory of two or three. No other registry can go on
with it, because its state is signed by us, and making and deleting directories is most of what a small push costs.
"""

from __future__ import annotations

from matou.registry.content.digest import Digest
from matou.registry.errors import RegistryError

ROOT = "docker/registry/v2"
BLOBS = f"{ROOT}/blobs"
REPOSITORIES = f"{ROOT}/repositories"
BLOB_PARTS = 4  # <algorithm>/<two digits>/<digits>/data
LAYERS, MANIFESTS, UPLOADS = "_layers", "_manifests", "_uploads"  # what a repository's directory has


def blob_directory(digest: Digest) -> str:
    """Return the directory of a blob or manifest."""
    hexadecimal = digest.hex
    return f"{BLOBS}/{digest.algorithm}/{hexadecimal[:2]}/{hexadecimal}"


def blob_data(digest: Digest) -> str:
    """Return the content of a blob or manifest."""
    return f"{blob_directory(digest)}/data"


def digest_of_blob(path: str) -> Digest | None:
    """Return the digest of a blob by the path of its content; None for any other path."""
    parts = path.removeprefix(f"{BLOBS}/").split("/")
    if len(parts) != BLOB_PARTS or parts[-1] != "data":
        return None
    try:
        digest = Digest.parse(f"{parts[0]}:{parts[2]}")
    except RegistryError:
        return None
    return digest if path == blob_data(digest) else None


def part_of(path: str) -> list[str]:
    """Return the part of a repository that a path lies in, and what follows: ``["_manifests", "tags", ...]``.

    It is empty for every other path. No part of a repository's name begins with an underscore, but a tag may.
    """
    parts = path.removeprefix(f"{REPOSITORIES}/").split("/")
    first = next((index for index, part in enumerate(parts) if part.startswith("_")), len(parts))
    return parts[first:] if path.startswith(f"{REPOSITORIES}/") else []


def repository(name: str) -> str:
    """Return the directory of a repository; repositories may lie in one another."""
    return f"{REPOSITORIES}/{name}"


def layers(name: str) -> str:
    """Return the directory of a repository's layer links."""
    return f"{repository(name)}/{LAYERS}"


def layer_directory(name: str, digest: Digest) -> str:
    """Return the directory of one layer (or config) link."""
    return f"{layers(name)}/{digest.algorithm}/{digest.hex}"


def layer_link(name: str, digest: Digest) -> str:
    """Return the link that makes a blob part of a repository."""
    return f"{layer_directory(name, digest)}/link"


def manifests(name: str) -> str:
    """Return the directory that makes a directory a repository."""
    return f"{repository(name)}/{MANIFESTS}"


def revisions(name: str) -> str:
    """Return the directory of a repository's manifest links."""
    return f"{manifests(name)}/revisions"


def revision_directory(name: str, digest: Digest) -> str:
    """Return the directory of one manifest link."""
    return f"{revisions(name)}/{digest.algorithm}/{digest.hex}"


def revision_link(name: str, digest: Digest) -> str:
    """Return the link that makes a manifest part of a repository."""
    return f"{revision_directory(name, digest)}/link"


def tags(name: str) -> str:
    """Return the directory of a repository's tags."""
    return f"{manifests(name)}/tags"


def tag_directory(name: str, tag: str) -> str:
    """Return the directory of one tag."""
    return f"{tags(name)}/{tag}"


def tag_current(name: str, tag: str) -> str:
    """Return the link to the manifest that a tag names now."""
    return f"{tag_directory(name, tag)}/current/link"


def tag_index(name: str, tag: str, digest: Digest) -> str:
    """Return the link that records that a tag has named a manifest."""
    return f"{tag_directory(name, tag)}/index/{digest.algorithm}/{digest.hex}/link"


def uploads(name: str) -> str:
    """Return the directory of a repository's uploads."""
    return f"{repository(name)}/{UPLOADS}"


def upload(name: str, uuid: str) -> str:
    """Return one upload: a file with the bytes so far; of Distribution's own uploads, a directory."""
    return f"{uploads(name)}/{uuid}"


def upload_started_at(name: str, uuid: str) -> str:
    """Return the time at which an upload of Distribution began, for purging."""
    return f"{upload(name, uuid)}/startedat"
