"""The groups of cases, by the name that ``--only`` takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.cases import blobs, images, large, lists, manifests, memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.run import Run

GROUPS: dict[str, Callable[[Run, str], None]] = {
    "manifests": manifests.run,
    "blobs": blobs.run,
    "images": images.run,
    "tags": lists.run_tags,
    "catalog": lists.run_catalog,
    "memory": memory.run,
    "large": large.run,
}
OF_BACKEND = {
    "filesystem": ("manifests", "blobs", "images", "tags", "catalog", "memory"),
    "s3": ("manifests", "blobs", "images", "memory", "large"),
}
