"""The first schema.

Revision ID: 0001
Create Date: 2026-11-24
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table of the index."""
    op.create_table(
        "meta",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_table(
        "repositories",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("created", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "blobs",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "repository_blobs",
        sa.Column("repository_id", sa.Integer, sa.ForeignKey("repositories.id"), primary_key=True),
        sa.Column("digest", sa.Text, sa.ForeignKey("blobs.digest"), primary_key=True),
        sa.Column("created", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("repository_blobs_digest", "repository_blobs", ["digest"])
    op.create_table(
        "manifests",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("artifact_type", sa.Text),
        sa.Column("subject", sa.Text),
        sa.Column("annotations", sa.Text),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
    )
    op.create_index(
        "manifests_subject",
        "manifests",
        ["subject", "digest"],
        sqlite_where=sa.text("subject IS NOT NULL"),
        postgresql_where=sa.text("subject IS NOT NULL"),
    )
    op.create_table(
        "repository_manifests",
        sa.Column("repository_id", sa.Integer, sa.ForeignKey("repositories.id"), primary_key=True),
        sa.Column("digest", sa.Text, sa.ForeignKey("manifests.digest"), primary_key=True),
        sa.Column("created", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("repository_manifests_digest", "repository_manifests", ["digest"])
    op.create_table(
        "manifest_references",
        sa.Column("manifest", sa.Text, sa.ForeignKey("manifests.digest"), primary_key=True),
        sa.Column("target", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True, comment="blob, manifest or subject"),
        sqlite_with_rowid=False,
    )
    op.create_index("manifest_references_target", "manifest_references", ["target"])
    op.create_table(
        "tags",
        sa.Column("repository_id", sa.Integer, sa.ForeignKey("repositories.id"), primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("updated", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["repository_id", "digest"], ["repository_manifests.repository_id", "repository_manifests.digest"]
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("tags_digest", "tags", ["repository_id", "digest"])
    op.create_table(
        "journal",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("repository", sa.Text, nullable=False),
        sa.Column("digest", sa.Text),
        sa.Column("tag", sa.Text),
        sa.Column("media_type", sa.Text),
        sa.Column("size", sa.BigInteger),
        sa.Column("actor", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("journal_time", "journal", ["time"])
    op.create_table(
        "projections",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.Text, nullable=False, comment="layer, manifest or tag"),
        sa.Column("repository", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    """Refuse: the index is rebuilt from storage instead."""
    raise NotImplementedError("the index is rebuilt from storage: matou registry reindex CONFIG")
