"""What a registry has after a kill, compared with what its pushers know, and its links with its index."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING

from tests.registry_http.content import digest_of
from tests.soak.pusher import LATEST

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.integration.hub import Hub, Image
    from tests.soak.ledger import Tag
    from tests.soak.pusher import Pusher


def check_pushers(hub: Hub, pushers: Iterable[Pusher], *, everything: bool) -> int:
    """Check that every tag names what was acknowledged, and that all of it can be pulled.

    Args:
        hub: the registry.
        pushers: that do not work now.
        everything: also what was not touched since the last look.

    Returns:
        How many images were pulled.
    """
    pulled = 0
    for pusher in pushers:
        ledger = pusher.ledger
        for tag in list(ledger.tags) if everything else list(ledger.touched):
            found = tagged(hub, tag)
            assert found in ledger.tags[tag], f"{tag} names {found}; it may be {ledger.tags[tag]}"
            ledger.tags[tag] = {found}
            if found is not None:
                ledger.held[tag.repository, found] = True
                pull(hub, ledger.images[found])
                pulled += 1
        ledger.touched.clear()
        if everything:
            for (repository, digest), held in ledger.held.items():
                if held is not None:
                    answer = hub.get(f"/v2/{repository}/manifests/{digest}")
                    assert answer.status == (200 if held else 404), (repository, digest, answer.status)
    latest = {digest: image for pusher in pushers for digest, image in pusher.latest.items()}
    if latest:
        found = tagged(hub, LATEST)
        if found is not None:
            pull(hub, latest[found])
            pulled += 1
    return pulled


def tagged(hub: Hub, tag: Tag) -> str | None:
    """Return the digest that a tag names, having checked that it is that of the content."""
    answer = hub.get(f"/v2/{tag.repository}/manifests/{tag.name}")
    if answer.status == 404:
        return None
    assert answer.status == 200, answer
    digest = answer.headers[2]
    assert digest == digest_of(answer.body)
    return digest


def pull(hub: Hub, image: Image) -> None:
    """Pull an image and check every byte of it."""
    answer = hub.get(f"/v2/{image.repository}/manifests/{image.manifest.digest}")
    assert answer.body == image.manifest.content
    for content in image.blobs:
        assert hub.get(f"/v2/{image.repository}/blobs/{content.digest}").body == content.content


def check_links(tree: Path) -> None:
    """Check that the links in storage say what the index says, all of it and nothing else.

    Args:
        tree: of a registry that answers no requests now.
    """
    with contextlib.closing(sqlite3.connect(tree / "matou" / "index.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        tags = connection.execute(
            "SELECT r.name, t.name, t.digest FROM tags t JOIN repositories r ON r.id = repository_id"
        )
        expected = {f"{name}/_manifests/tags/{tag}/current": digest for name, tag, digest in tags}
        for table, directory in (("repository_manifests", "_manifests/revisions"), ("repository_blobs", "_layers")):
            rows = connection.execute(
                f"SELECT r.name, l.digest FROM {table} l JOIN repositories r ON r.id = repository_id"  # noqa: S608 -- names of ours
            )
            expected |= {f"{name}/{directory}/{digest.replace(':', '/')}": digest for name, digest in rows}
        sizes = dict(connection.execute("SELECT digest, size FROM blobs").fetchall())
        manifests = {digest for (digest,) in connection.execute("SELECT digest FROM manifests")}
    root = tree / "docker" / "registry" / "v2"
    found = {}
    for directory, _, files in os.walk(root / "repositories"):
        if "link" in files and "/index/" not in directory:
            found[os.path.relpath(directory, root / "repositories")] = (
                root / "repositories" / directory / "link"
            ).read_text()
    assert found == expected
    for digest in manifests | set(sizes):
        algorithm, _, hexadecimal = digest.partition(":")
        data = root / "blobs" / algorithm / hexadecimal[:2] / hexadecimal / "data"
        assert data.stat().st_size == sizes.get(digest, data.stat().st_size)
