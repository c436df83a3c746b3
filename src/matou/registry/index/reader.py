"""Reads of the index: point and page queries of a few microseconds, called inline on the event loop.

Concurrency: one connection a worker, used by the event loop's thread only. SQLite's WAL lets it read while the
writers of any worker write, and it sees every change that was acknowledged before it asks.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from matou.registry.index import queries
from matou.registry.index.changes import repository_id_of
from matou.registry.index.connection import connect
from matou.registry.index.records import JournalEntry, Projection, Referrer, StoredManifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


CONTENTS_PAGE = 1000  # rows
MOST_TEXT = 2 << 20  # characters of annotations in a page of referrers: clients take manifests of 4 MiB


class Reader:
    """Queries.

    Args:
        path: the database, migrated.
    """

    def __init__(self, path: Path) -> None:
        self._connection = connect(path, read_only=True)
        self._execute = self._connection.execute

    def version(self) -> int:
        """Return a number that changes whenever any process has changed the index."""
        return int(self._execute("PRAGMA data_version").fetchone()[0])

    def manifest_by_tag(self, repository: str, tag: str) -> StoredManifest | None:
        """Return the manifest that a tag names, or None."""
        row = self._execute(queries.MANIFEST_BY_TAG, {"repository": repository, "reference": tag}).fetchone()
        return None if row is None else StoredManifest._make(row)

    def manifest_by_digest(self, repository: str, digest: str) -> StoredManifest | None:
        """Return a manifest of a repository, or None."""
        row = self._execute(queries.MANIFEST_BY_DIGEST, {"repository": repository, "reference": digest}).fetchone()
        return None if row is None else StoredManifest._make(row)

    def blob_size(self, repository: str, digest: str) -> int | None:
        """Return the bytes of a blob of a repository, or None when the repository lacks it."""
        row = self._execute(queries.BLOB_SIZE_IN_REPOSITORY, {"repository": repository, "digest": digest}).fetchone()
        return None if row is None else int(row[0])

    def stored_blob_size(self, digest: str) -> int | None:
        """Return the bytes of a blob of any repository, or None when storage lacks it."""
        row = self._execute(queries.BLOB_SIZE, {"digest": digest}).fetchone()
        return None if row is None else int(row[0])

    def repositories_with_blob(self, digest: str, limit: int) -> list[str]:
        """Return repositories that hold a blob, the oldest first."""
        return [row[0] for row in self._execute(queries.REPOSITORIES_WITH_BLOB, {"digest": digest, "limit": limit})]

    def missing_blobs(self, repository: str, digests: tuple[str, ...]) -> list[str]:
        """Return those of the digests that are not blobs of the repository."""
        return self._missing(queries.REPOSITORY_HAS_BLOB, repository, digests)

    def missing_manifests(self, repository: str, digests: tuple[str, ...]) -> list[str]:
        """Return those of the digests that are not manifests of the repository."""
        return self._missing(queries.REPOSITORY_HAS_MANIFEST, repository, digests)

    def _missing(self, query: str, repository: str, digests: tuple[str, ...]) -> list[str]:
        repository_id = repository_id_of(self._connection, repository)
        return [
            digest
            for digest in digests
            if repository_id is None
            or self._execute(query, {"repository_id": repository_id, "digest": digest}).fetchone() is None
        ]

    def tags(self, repository: str, last: str, limit: int) -> list[str] | None:
        """Return a page of tags in byte order after ``last``; None when there is no such repository."""
        repository_id = repository_id_of(self._connection, repository)
        if repository_id is None:
            return None
        values = {"repository_id": repository_id, "last": last, "limit": limit}
        return [row[0] for row in self._execute(queries.TAGS_PAGE, values)]

    def tag_digest(self, repository: str, tag: str) -> str | None:
        """Return the digest that a tag names, or None."""
        repository_id = repository_id_of(self._connection, repository)
        if repository_id is None:
            return None
        row = self._execute(queries.TAG_DIGEST, {"repository_id": repository_id, "tag": tag}).fetchone()
        return None if row is None else str(row[0])

    def has_manifest(self, repository: str, digest: str) -> bool:
        """Tell whether a repository holds a manifest."""
        return not self.missing_manifests(repository, (digest,))

    def catalog(self, last: str, limit: int) -> list[str]:
        """Return a page of the repositories that hold a manifest, in byte order after ``last``."""
        return [row[0] for row in self._execute(queries.CATALOG_PAGE, {"last": last, "limit": limit})]

    def referrers(
        self,
        repository: str,
        subject: str,
        artifact_type: str | None,
        last: str,
        limit: int,
        most_text: int = MOST_TEXT,
    ) -> tuple[list[Referrer], bool]:
        """Return a page of the manifests whose subject is ``subject``, in order of their digests after ``last``.

        Args:
            repository: name.
            subject: digest.
            artifact_type: only those of this type, unless None.
            last: digest after which the page begins, or "".
            limit: most entries.
            most_text: characters of annotations after which the page ends early; it has one entry at least.

        Returns:
            The entries, and whether more follow.
        """
        query = queries.REFERRERS_PAGE if artifact_type is None else queries.REFERRERS_PAGE_OF_TYPE
        values = {
            "repository": repository,
            "subject": subject,
            "artifact_type": artifact_type,
            "last": last,
            "limit": limit + 1,
        }
        found: list[Referrer] = []
        text = 0
        for digest, media_type, kind, size, notes in self._execute(query, values):
            text += len(notes or "")
            if len(found) == limit or (found and text > most_text):
                return found, True
            found.append(Referrer(digest, media_type, kind, size, json.loads(notes) if notes else {}))
        return found, False

    def projections(self, before: int, limit: int, after: int = 0) -> list[Projection]:
        """Return dirty marks from before a time (microseconds UTC) and after an id, the oldest first."""
        rows = self._execute(queries.PROJECTIONS, {"before": before, "limit": limit, "after": after})
        return [Projection._make(row) for row in rows]

    def journal_end(self) -> int:
        """Return the id of the latest change."""
        row = self._execute(queries.JOURNAL_SEQUENCE).fetchone()
        return 0 if row is None else int(row[0])

    def journal(self, last: int, limit: int) -> list[JournalEntry]:
        """Return the changes after an id, the oldest first; those of the last days are known."""
        return [JournalEntry._make(row) for row in self._execute(queries.JOURNAL_PAGE, {"last": last, "limit": limit})]

    def content_size(self, digest: str) -> int | None:
        """Return the bytes of a blob or manifest of any repository, or None when storage lacks it."""
        size = self.stored_blob_size(digest)
        if size is not None:
            return size
        row = self._execute(queries.MANIFEST_SIZE, {"digest": digest}).fetchone()
        return None if row is None else int(row[0])

    def contents(self) -> Iterator[tuple[str, int]]:
        """Yield digest and size of every blob and manifest that storage must have, a page at a time."""
        for query in (queries.BLOBS_PAGE, queries.MANIFESTS_PAGE):
            last = ""
            while rows := self._execute(query, {"last": last, "limit": CONTENTS_PAGE}).fetchall():
                last = rows[-1][0]
                yield from rows

    def counts(self) -> tuple[int, int, int, int]:
        """Return how many repositories, tags, manifests and blobs there are."""
        repositories, tags, manifests, blobs = self._execute(queries.COUNTS).fetchone()
        return repositories, tags, manifests, blobs

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
