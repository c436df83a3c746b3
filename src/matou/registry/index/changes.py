"""The changes of the index: each runs in the writer's transaction, journals itself and marks what must be projected.

Every change is idempotent: repeated, it succeeds and journals nothing new but a push, which is an event of its own.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from matou.registry.index import queries
from matou.registry.index.records import MissingReferences, Projection

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from matou.registry.index.records import NewManifest


def now_us() -> int:
    """Return the time in microseconds since the epoch, UTC."""
    return time.time_ns() // 1000


def put_blob(connection: sqlite3.Connection, repository: str, digest: str, size: int, actor: str) -> list[Projection]:
    """Record that storage has a blob, and link it to a repository.

    Args:
        connection: the writer's.
        repository: name; made when missing.
        digest: of the blob.
        size: bytes.
        actor: who asked, for the journal.

    Returns:
        What must be projected.
    """
    connection.execute(queries.ADD_BLOB, {"digest": digest, "size": size, "now": now_us()})
    return _link_blob(connection, repository, digest, size, "push", actor)


def mount_blob(
    connection: sqlite3.Connection, repository: str, source: str, digest: str, actor: str
) -> list[Projection] | None:
    """Link a blob that another repository holds; None when that one does not hold it."""
    row = connection.execute(queries.BLOB_SIZE_IN_REPOSITORY, {"repository": source, "digest": digest}).fetchone()
    if row is None:
        return None
    return _link_blob(connection, repository, digest, row[0], "mount", actor)


def _link_blob(
    connection: sqlite3.Connection, repository: str, digest: str, size: int, action: str, actor: str
) -> list[Projection]:
    now = now_us()
    values = {"repository_id": _make_repository(connection, repository), "digest": digest, "now": now}
    if connection.execute(queries.LINK_BLOB, values).rowcount == 0:
        # The link files may still be on their way, from a request that was cut off: project again.
        return [Projection(None, "layer", repository, digest)]
    _journal(connection, action, repository, digest=digest, size=size, actor=actor)
    return [_mark(connection, "layer", repository, digest)]


def delete_blob(connection: sqlite3.Connection, repository: str, digest: str, actor: str) -> list[Projection] | None:
    """Unlink a blob from a repository; None when it was not linked."""
    repository_id = repository_id_of(connection, repository)
    if repository_id is None:
        return None
    if connection.execute(queries.UNLINK_BLOB, {"repository_id": repository_id, "digest": digest}).rowcount == 0:
        return None
    _journal(connection, "delete", repository, digest=digest, actor=actor)
    return [_mark(connection, "layer", repository, digest)]


def put_manifest(
    connection: sqlite3.Connection, repository: str, manifest: NewManifest, tags: Iterable[str], actor: str
) -> list[Projection]:
    """Record a manifest in a repository and point tags at it.

    Raises:
        MissingReferences: the repository lacks something that it refers to.
    """
    now = now_us()
    repository_id = _make_repository(connection, repository)
    _check_references(connection, repository_id, manifest)
    size = len(manifest.payload)
    add_manifest(connection, manifest, now)
    link = {"repository_id": repository_id, "digest": manifest.digest, "now": now}
    marks: list[Projection] = []
    if connection.execute(queries.LINK_MANIFEST, link).rowcount:
        marks.append(_mark(connection, "manifest", repository, manifest.digest))
    else:
        marks.append(Projection(None, "manifest", repository, manifest.digest))
    event: dict[str, Any] = {
        "digest": manifest.digest,
        "media_type": manifest.media_type,
        "size": size,
        "actor": actor,
    }
    tagged = False
    for tag in tags:
        tagged = True
        connection.execute(queries.PUT_TAG, link | {"tag": tag})
        marks.append(_mark(connection, "tag", repository, tag))
        _journal(connection, "push", repository, tag=tag, **event)
    if not tagged:
        _journal(connection, "push", repository, **event)
    return marks


def add_manifest(connection: sqlite3.Connection, manifest: NewManifest, now: int) -> None:
    """Record a manifest and its references, in no repository."""
    added = connection.execute(
        queries.ADD_MANIFEST,
        {
            "digest": manifest.digest,
            "media_type": manifest.media_type,
            "artifact_type": manifest.artifact_type,
            "subject": manifest.subject,
            "annotations": json.dumps(manifest.annotations) if manifest.annotations else None,
            "size": len(manifest.payload),
            "payload": manifest.payload,
            "now": now,
        },
    ).rowcount
    if not added:
        return
    references = [(target, "blob") for target in manifest.blobs]
    references += [(target, "manifest") for target in manifest.children]
    if manifest.subject is not None:
        references.append((manifest.subject, "subject"))
    connection.executemany(
        queries.ADD_REFERENCE,
        [{"manifest": manifest.digest, "target": target, "kind": kind} for target, kind in references],
    )


def delete_manifest(
    connection: sqlite3.Connection, repository: str, digest: str, actor: str
) -> list[Projection] | None:
    """Remove a manifest from a repository, with the tags that name it; None when it was not there."""
    repository_id = repository_id_of(connection, repository)
    if repository_id is None:
        return None
    values = {"repository_id": repository_id, "digest": digest}
    tags = [row[0] for row in connection.execute(queries.TAGS_OF_MANIFEST, values)]
    marks = []
    for tag in tags:
        connection.execute(queries.DELETE_TAG, values | {"tag": tag})
        _journal(connection, "delete", repository, digest=digest, tag=tag, actor=actor)
        marks.append(_mark(connection, "tag", repository, tag))
    if connection.execute(queries.UNLINK_MANIFEST, values).rowcount == 0:
        return None
    if connection.execute(queries.MANIFEST_IS_LINKED, values).fetchone() is None:
        connection.execute(queries.DELETE_REFERENCES, values)
        connection.execute(queries.DELETE_MANIFEST, values)
    _journal(connection, "delete", repository, digest=digest, actor=actor)
    return [*marks, _mark(connection, "manifest", repository, digest)]


def delete_tag(connection: sqlite3.Connection, repository: str, tag: str, actor: str) -> list[Projection] | None:
    """Remove a tag and leave its manifest; None when there was no such tag."""
    repository_id = repository_id_of(connection, repository)
    if repository_id is None:
        return None
    values = {"repository_id": repository_id, "tag": tag}
    row = connection.execute(queries.TAG_DIGEST, values).fetchone()
    if row is None:
        return None
    connection.execute(queries.DELETE_TAG, values)
    _journal(connection, "delete", repository, digest=row[0], tag=tag, actor=actor)
    return [_mark(connection, "tag", repository, tag)]


def clear_projections(connection: sqlite3.Connection, marks: Iterable[int]) -> None:
    """Forget dirty marks whose link files are durable."""
    connection.executemany(queries.DELETE_PROJECTION, [{"id": mark} for mark in marks])


def trim_journal(connection: sqlite3.Connection, before: int, limit: int) -> int:
    """Forget entries from before a time (microseconds UTC), the oldest first; return how many."""
    return connection.execute(queries.TRIM_JOURNAL, {"before": before, "limit": limit}).rowcount


def put_meta(connection: sqlite3.Connection, name: str, value: str) -> None:
    """Remember something about the index itself."""
    connection.execute(queries.PUT_META, {"name": name, "value": value})


def repository_id_of(connection: sqlite3.Connection, repository: str) -> int | None:
    """Return a repository's row, or None."""
    row = connection.execute(queries.REPOSITORY_ID, {"repository": repository}).fetchone()
    return None if row is None else int(row[0])


def _make_repository(connection: sqlite3.Connection, repository: str) -> int:
    existing = repository_id_of(connection, repository)
    if existing is not None:
        return existing
    connection.execute(queries.ADD_REPOSITORY, {"repository": repository, "now": now_us()})
    made = repository_id_of(connection, repository)
    if made is None:
        raise RuntimeError(f"the repository {repository} vanished in its own transaction")
    return made


def _check_references(connection: sqlite3.Connection, repository_id: int, manifest: NewManifest) -> None:
    missing = [
        digest
        for query, digests in (
            (queries.REPOSITORY_HAS_BLOB, manifest.required_blobs),
            (queries.REPOSITORY_HAS_MANIFEST, manifest.required_children),
        )
        for digest in digests
        if connection.execute(query, {"repository_id": repository_id, "digest": digest}).fetchone() is None
    ]
    if missing:
        raise MissingReferences(tuple(missing))


def _journal(
    connection: sqlite3.Connection,
    action: str,
    repository: str,
    *,
    actor: str,
    digest: str | None = None,
    tag: str | None = None,
    media_type: str | None = None,
    size: int | None = None,
) -> None:
    connection.execute(
        queries.ADD_JOURNAL,
        {
            "now": now_us(),
            "action": action,
            "repository": repository,
            "digest": digest,
            "tag": tag,
            "media_type": media_type,
            "size": size,
            "actor": actor,
        },
    )


def _mark(connection: sqlite3.Connection, kind: str, repository: str, name: str) -> Projection:
    cursor = connection.execute(
        queries.ADD_PROJECTION, {"kind": kind, "repository": repository, "name": name, "now": now_us()}
    )
    return Projection(cursor.lastrowid, kind, repository, name)
