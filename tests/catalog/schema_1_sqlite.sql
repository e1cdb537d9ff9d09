-- The tables of schema 1, as the first release that had them made them: never to be changed.
CREATE TABLE resilient_backends ( name VARCHAR NOT NULL, domain VARCHAR NOT NULL, met SMALLINT NOT NULL, known SMALLINT NOT NULL, drained SMALLINT NOT NULL, suspect SMALLINT NOT NULL, came_back SMALLINT NOT NULL, epoch BIGINT NOT NULL, raised_s DOUBLE NOT NULL, raise_due SMALLINT NOT NULL, answered_s DOUBLE NOT NULL, failed_s DOUBLE NOT NULL, away_from_s DOUBLE NOT NULL, back_s DOUBLE NOT NULL, PRIMARY KEY (name) ) WITHOUT ROWID;
CREATE TABLE resilient_counters ( name VARCHAR NOT NULL, value BIGINT NOT NULL, PRIMARY KEY (name) ) WITHOUT ROWID;
CREATE TABLE resilient_entries ( path VARCHAR NOT NULL, version BIGINT NOT NULL, deleted SMALLINT NOT NULL, folded BIGINT NOT NULL, size BIGINT, kind VARCHAR, checksum VARCHAR, content_type VARCHAR, created_s DOUBLE NOT NULL, modified_s DOUBLE NOT NULL, chunk_bytes BIGINT, derived_path VARCHAR, derived_version BIGINT, headers VARCHAR NOT NULL, past VARCHAR NOT NULL, chunks BLOB, PRIMARY KEY (path) ) WITHOUT ROWID;
CREATE INDEX resilient_folded ON resilient_entries (folded);
CREATE INDEX resilient_tombstones ON resilient_entries (path) WHERE deleted = 1;
CREATE INDEX resilient_listing ON resilient_entries (path, version, size, checksum, content_type, created_s, modified_s, deleted) WHERE deleted = 0;
CREATE TABLE resilient_intents ( path VARCHAR NOT NULL, id BIGINT NOT NULL, version BIGINT NOT NULL, kind VARCHAR NOT NULL, token VARCHAR NOT NULL, phase VARCHAR NOT NULL, direct VARCHAR NOT NULL, checksum VARCHAR NOT NULL, owner VARCHAR NOT NULL, started_s DOUBLE NOT NULL, expires_s DOUBLE NOT NULL, PRIMARY KEY (path) ) WITHOUT ROWID;
CREATE INDEX resilient_tokens ON resilient_intents (token);
CREATE TABLE resilient_purges ( bucket SMALLINT NOT NULL, count BIGINT NOT NULL, PRIMARY KEY (bucket) ) WITHOUT ROWID;
CREATE TABLE resilient_replicas ( path VARCHAR NOT NULL, backend VARCHAR NOT NULL, version BIGINT NOT NULL, state VARCHAR NOT NULL, place VARCHAR, looked SMALLINT NOT NULL, tag VARCHAR, busy_until_s DOUBLE NOT NULL, verified_at_s DOUBLE, error VARCHAR NOT NULL, owed SMALLINT NOT NULL, PRIMARY KEY (path, backend) ) WITHOUT ROWID;
CREATE INDEX resilient_held ON resilient_replicas (backend, path);
CREATE INDEX resilient_queue ON resilient_replicas (path) WHERE owed = 1;
CREATE INDEX resilient_staged ON resilient_replicas (place) WHERE place <> 'own';
CREATE TABLE resilient_settings ( name VARCHAR NOT NULL, value VARCHAR NOT NULL, PRIMARY KEY (name) ) WITHOUT ROWID;
CREATE TABLE resilient_voids ( path VARCHAR NOT NULL, id BIGINT NOT NULL, checksum VARCHAR NOT NULL, backends VARCHAR NOT NULL, PRIMARY KEY (path, id) ) WITHOUT ROWID;
INSERT INTO resilient_settings (name, value) VALUES ('schema', '1');
INSERT INTO resilient_settings (name, value) VALUES ('oldest', '1');
