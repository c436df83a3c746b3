-- Revision 0001 of the index for SQLite, made by make reference.
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE meta (
	name TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (name)
);
CREATE TABLE repositories (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	name TEXT NOT NULL,
	created BIGINT NOT NULL,
	UNIQUE (name)
);
CREATE TABLE blobs (
	digest TEXT NOT NULL,
	size BIGINT NOT NULL,
	created BIGINT NOT NULL,
	PRIMARY KEY (digest)
)
 WITHOUT ROWID;
CREATE TABLE repository_blobs (
	repository_id INTEGER NOT NULL,
	digest TEXT NOT NULL,
	created BIGINT NOT NULL,
	PRIMARY KEY (repository_id, digest),
	FOREIGN KEY(repository_id) REFERENCES repositories (id),
	FOREIGN KEY(digest) REFERENCES blobs (digest)
)
 WITHOUT ROWID;
CREATE INDEX repository_blobs_digest ON repository_blobs (digest);
CREATE TABLE manifests (
	digest TEXT NOT NULL,
	media_type TEXT NOT NULL,
	artifact_type TEXT,
	subject TEXT,
	annotations TEXT,
	size BIGINT NOT NULL,
	payload BLOB NOT NULL,
	created BIGINT NOT NULL,
	PRIMARY KEY (digest)
);
CREATE INDEX manifests_subject ON manifests (subject, digest) WHERE subject IS NOT NULL;
CREATE TABLE repository_manifests (
	repository_id INTEGER NOT NULL,
	digest TEXT NOT NULL,
	created BIGINT NOT NULL,
	PRIMARY KEY (repository_id, digest),
	FOREIGN KEY(repository_id) REFERENCES repositories (id),
	FOREIGN KEY(digest) REFERENCES manifests (digest)
)
 WITHOUT ROWID;
CREATE INDEX repository_manifests_digest ON repository_manifests (digest);
CREATE TABLE manifest_references (
	manifest TEXT NOT NULL,
	target TEXT NOT NULL,
	kind TEXT NOT NULL,
	PRIMARY KEY (manifest, target, kind),
	FOREIGN KEY(manifest) REFERENCES manifests (digest)
)
 WITHOUT ROWID;
CREATE INDEX manifest_references_target ON manifest_references (target);
CREATE TABLE tags (
	repository_id INTEGER NOT NULL,
	name TEXT NOT NULL,
	digest TEXT NOT NULL,
	created BIGINT NOT NULL,
	updated BIGINT NOT NULL,
	PRIMARY KEY (repository_id, name),
	FOREIGN KEY(repository_id, digest) REFERENCES repository_manifests (repository_id, digest),
	FOREIGN KEY(repository_id) REFERENCES repositories (id)
)
 WITHOUT ROWID;
CREATE INDEX tags_digest ON tags (repository_id, digest);
CREATE TABLE journal (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	time BIGINT NOT NULL,
	action TEXT NOT NULL,
	repository TEXT NOT NULL,
	digest TEXT,
	tag TEXT,
	media_type TEXT,
	size BIGINT,
	actor TEXT NOT NULL
);
CREATE INDEX journal_time ON journal (time);
CREATE TABLE projections (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	kind TEXT NOT NULL,
	repository TEXT NOT NULL,
	name TEXT NOT NULL,
	created BIGINT NOT NULL
);
INSERT INTO alembic_version (version_num) VALUES ('0001');
