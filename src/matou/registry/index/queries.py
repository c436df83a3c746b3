"""Every SQL statement of the index, in one place, with named parameters.

The statements keep to what SQLite 3.35 and PostgreSQL 12 share, so that the same file serves both. Times are whole
microseconds since the epoch, UTC. Names compare byte by byte (``BINARY``, ``"C"``).
"""

from __future__ import annotations

# --- meta ---------------------------------------------------------------------------------------------------------

META = "SELECT value FROM meta WHERE name = :name"
PUT_META = (
    "INSERT INTO meta (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
DELETE_META = "DELETE FROM meta WHERE name = :name"

# --- repositories -------------------------------------------------------------------------------------------------

REPOSITORY_ID = "SELECT id FROM repositories WHERE name = :repository"
ADD_REPOSITORY = "INSERT INTO repositories (name, created) VALUES (:repository, :now) ON CONFLICT (name) DO NOTHING"
CATALOG_PAGE = """
    SELECT name FROM repositories AS r
    WHERE name > :last AND EXISTS (SELECT 1 FROM repository_manifests AS m WHERE m.repository_id = r.id)
    ORDER BY name LIMIT :limit
"""

# --- blobs --------------------------------------------------------------------------------------------------------

BLOB_SIZE = "SELECT size FROM blobs WHERE digest = :digest"
ADD_BLOB = """
    INSERT INTO blobs (digest, size, created) VALUES (:digest, :size, :now)
    ON CONFLICT (digest) DO UPDATE SET size = excluded.size WHERE blobs.size <> excluded.size
"""
BLOB_SIZE_IN_REPOSITORY = """
    SELECT b.size FROM repositories AS r
    JOIN repository_blobs AS l ON l.repository_id = r.id AND l.digest = :digest
    JOIN blobs AS b ON b.digest = l.digest
    WHERE r.name = :repository
"""
REPOSITORY_HAS_BLOB = "SELECT 1 FROM repository_blobs WHERE repository_id = :repository_id AND digest = :digest"
LINK_BLOB = """
    INSERT INTO repository_blobs (repository_id, digest, created) VALUES (:repository_id, :digest, :now)
    ON CONFLICT (repository_id, digest) DO NOTHING
"""
UNLINK_BLOB = "DELETE FROM repository_blobs WHERE repository_id = :repository_id AND digest = :digest"
REPOSITORIES_WITH_BLOB = """
    SELECT r.name FROM repository_blobs AS l JOIN repositories AS r ON r.id = l.repository_id
    WHERE l.digest = :digest ORDER BY r.id LIMIT :limit
"""

# --- manifests ----------------------------------------------------------------------------------------------------

MANIFEST_BY_TAG = """
    SELECT m.digest, m.media_type, m.payload FROM repositories AS r
    JOIN tags AS t ON t.repository_id = r.id AND t.name = :reference
    JOIN manifests AS m ON m.digest = t.digest
    WHERE r.name = :repository
"""
MANIFEST_BY_DIGEST = """
    SELECT m.digest, m.media_type, m.payload FROM repositories AS r
    JOIN repository_manifests AS l ON l.repository_id = r.id AND l.digest = :reference
    JOIN manifests AS m ON m.digest = l.digest
    WHERE r.name = :repository
"""
ADD_MANIFEST = """
    INSERT INTO manifests (digest, media_type, artifact_type, subject, annotations, size, payload, created)
    VALUES (:digest, :media_type, :artifact_type, :subject, :annotations, :size, :payload, :now)
    ON CONFLICT (digest) DO NOTHING
"""
ADD_REFERENCE = """
    INSERT INTO manifest_references (manifest, target, kind) VALUES (:manifest, :target, :kind)
    ON CONFLICT (manifest, target, kind) DO NOTHING
"""
REPOSITORY_HAS_MANIFEST = "SELECT 1 FROM repository_manifests WHERE repository_id = :repository_id AND digest = :digest"
LINK_MANIFEST = """
    INSERT INTO repository_manifests (repository_id, digest, created) VALUES (:repository_id, :digest, :now)
    ON CONFLICT (repository_id, digest) DO NOTHING
"""
UNLINK_MANIFEST = "DELETE FROM repository_manifests WHERE repository_id = :repository_id AND digest = :digest"
MANIFEST_IS_LINKED = "SELECT 1 FROM repository_manifests WHERE digest = :digest LIMIT 1"
DELETE_MANIFEST = "DELETE FROM manifests WHERE digest = :digest"
DELETE_REFERENCES = "DELETE FROM manifest_references WHERE manifest = :digest"
REFERRERS_PAGE = """
    SELECT m.digest, m.media_type, m.artifact_type, m.size, m.annotations FROM repositories AS r
    JOIN repository_manifests AS l ON l.repository_id = r.id
    JOIN manifests AS m ON m.digest = l.digest
    WHERE r.name = :repository AND m.subject = :subject AND m.digest > :last
    ORDER BY m.digest LIMIT :limit
"""
REFERRERS_PAGE_OF_TYPE = """
    SELECT m.digest, m.media_type, m.artifact_type, m.size, m.annotations FROM repositories AS r
    JOIN repository_manifests AS l ON l.repository_id = r.id
    JOIN manifests AS m ON m.digest = l.digest
    WHERE r.name = :repository AND m.subject = :subject AND m.digest > :last AND m.artifact_type = :artifact_type
    ORDER BY m.digest LIMIT :limit
"""

# --- tags ---------------------------------------------------------------------------------------------------------

TAGS_PAGE = "SELECT name FROM tags WHERE repository_id = :repository_id AND name > :last ORDER BY name LIMIT :limit"
TAG_DIGEST = "SELECT digest FROM tags WHERE repository_id = :repository_id AND name = :tag"
PUT_TAG = """
    INSERT INTO tags (repository_id, name, digest, created, updated) VALUES (:repository_id, :tag, :digest, :now, :now)
    ON CONFLICT (repository_id, name) DO UPDATE SET digest = excluded.digest, updated = excluded.updated
"""
TAGS_OF_MANIFEST = "SELECT name FROM tags WHERE repository_id = :repository_id AND digest = :digest ORDER BY name"
DELETE_TAG = "DELETE FROM tags WHERE repository_id = :repository_id AND name = :tag"

# --- journal and projections --------------------------------------------------------------------------------------

ADD_JOURNAL = """
    INSERT INTO journal (time, action, repository, digest, tag, media_type, size, actor)
    VALUES (:now, :action, :repository, :digest, :tag, :media_type, :size, :actor)
"""
JOURNAL_PAGE = """
    SELECT id, action, repository, digest, tag, media_type FROM journal WHERE id > :last ORDER BY id LIMIT :limit
"""
TRIM_JOURNAL = "DELETE FROM journal WHERE id IN (SELECT id FROM journal WHERE time < :before ORDER BY id LIMIT :limit)"
ADD_PROJECTION = "INSERT INTO projections (kind, repository, name, created) VALUES (:kind, :repository, :name, :now)"
PROJECTIONS = """
    SELECT id, kind, repository, name FROM projections WHERE id > :after AND created < :before ORDER BY id LIMIT :limit
"""
DELETE_PROJECTION = "DELETE FROM projections WHERE id = :id"

# --- moving to another storage --------------------------------------------------------------------------------------

BLOBS_PAGE = "SELECT digest, size FROM blobs WHERE digest > :last ORDER BY digest LIMIT :limit"
MANIFESTS_PAGE = "SELECT digest, size FROM manifests WHERE digest > :last ORDER BY digest LIMIT :limit"
MANIFEST_SIZE = "SELECT size FROM manifests WHERE digest = :digest"
# SQLite's own: ids are never given twice.
JOURNAL_SEQUENCE = "SELECT seq FROM sqlite_sequence WHERE name = 'journal'"

# --- rebuilding ---------------------------------------------------------------------------------------------------

# SQLite's own: the old index is attached as "old". Ids are never given twice, also after all entries were trimmed.
CARRY_JOURNAL = (
    """
    INSERT INTO journal (id, time, action, repository, digest, tag, media_type, size, actor)
    SELECT id, time, action, repository, digest, tag, media_type, size, actor FROM old.journal ORDER BY id
    """,
    "DELETE FROM sqlite_sequence WHERE name = 'journal'",
    "INSERT INTO sqlite_sequence (name, seq) SELECT name, seq FROM old.sqlite_sequence WHERE name = 'journal'",
)
COUNTS = """
    SELECT (SELECT count(*) FROM repositories), (SELECT count(*) FROM tags), (SELECT count(*) FROM manifests),
           (SELECT count(*) FROM blobs)
"""
