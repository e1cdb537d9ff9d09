-- The tables of schema 1, as the first release that had them made them: never to be changed.
CREATE TABLE resilient_backends ( name VARCHAR COLLATE "C" NOT NULL, domain VARCHAR COLLATE "C" NOT NULL, met SMALLINT NOT NULL, known SMALLINT NOT NULL, drained SMALLINT NOT NULL, suspect SMALLINT NOT NULL, came_back SMALLINT NOT NULL, epoch BIGINT NOT NULL, raised_s DOUBLE PRECISION NOT NULL, raise_due SMALLINT NOT NULL, answered_s DOUBLE PRECISION NOT NULL, failed_s DOUBLE PRECISION NOT NULL, away_from_s DOUBLE PRECISION NOT NULL, back_s DOUBLE PRECISION NOT NULL, PRIMARY KEY (name) );
CREATE TABLE resilient_entries ( path VARCHAR COLLATE "C" NOT NULL, version BIGINT NOT NULL, deleted SMALLINT NOT NULL, folded BIGINT NOT NULL, size BIGINT, kind VARCHAR COLLATE "C", checksum VARCHAR COLLATE "C", content_type VARCHAR COLLATE "C", created_s DOUBLE PRECISION NOT NULL, modified_s DOUBLE PRECISION NOT NULL, chunk_bytes BIGINT, derived_path VARCHAR COLLATE "C", derived_version BIGINT, headers VARCHAR COLLATE "C" NOT NULL, past VARCHAR COLLATE "C" NOT NULL, chunks BYTEA, PRIMARY KEY (path) );
CREATE INDEX resilient_folded ON resilient_entries (folded);
CREATE INDEX resilient_tombstones ON resilient_entries (path) WHERE deleted = 1;
CREATE INDEX resilient_listing ON resilient_entries (path) WHERE deleted = 0;
CREATE TABLE resilient_intents ( path VARCHAR COLLATE "C" NOT NULL, id BIGINT NOT NULL, version BIGINT NOT NULL, kind VARCHAR COLLATE "C" NOT NULL, token VARCHAR COLLATE "C" NOT NULL, phase VARCHAR COLLATE "C" NOT NULL, direct VARCHAR COLLATE "C" NOT NULL, checksum VARCHAR COLLATE "C" NOT NULL, owner VARCHAR COLLATE "C" NOT NULL, started_s DOUBLE PRECISION NOT NULL, expires_s DOUBLE PRECISION NOT NULL, PRIMARY KEY (path) );
CREATE INDEX resilient_tokens ON resilient_intents (token);
CREATE TABLE resilient_purges ( bucket SMALLINT NOT NULL, count BIGINT NOT NULL, PRIMARY KEY (bucket) );
CREATE TABLE resilient_replicas ( path VARCHAR COLLATE "C" NOT NULL, backend VARCHAR COLLATE "C" NOT NULL, version BIGINT NOT NULL, state VARCHAR COLLATE "C" NOT NULL, place VARCHAR COLLATE "C", looked SMALLINT NOT NULL, tag VARCHAR COLLATE "C", busy_until_s DOUBLE PRECISION NOT NULL, verified_at_s DOUBLE PRECISION, error VARCHAR COLLATE "C" NOT NULL, owed SMALLINT NOT NULL, PRIMARY KEY (path, backend) );
CREATE INDEX resilient_held ON resilient_replicas (backend, path);
CREATE INDEX resilient_queue ON resilient_replicas (path) WHERE owed = 1;
CREATE INDEX resilient_staged ON resilient_replicas (place) WHERE place <> 'own';
CREATE TABLE resilient_settings ( name VARCHAR COLLATE "C" NOT NULL, value VARCHAR COLLATE "C" NOT NULL, PRIMARY KEY (name) );
CREATE TABLE resilient_voids ( path VARCHAR COLLATE "C" NOT NULL, id BIGINT NOT NULL, checksum VARCHAR COLLATE "C" NOT NULL, backends VARCHAR COLLATE "C" NOT NULL, PRIMARY KEY (path, id) );
CREATE SEQUENCE resilient_counter;
INSERT INTO resilient_settings (name, value) VALUES ('schema', '1');
INSERT INTO resilient_settings (name, value) VALUES ('oldest', '1');
