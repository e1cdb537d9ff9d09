"""PostgreSQL finds its way by an index, as SQLite does, in tables that are worth one."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from resilient_store.catalog.contract import Database
from resilient_store.catalog.location import locate
from resilient_store.catalog.opening import database_at
from resilient_store.catalog.schema import after_all_of, bucket
from resilient_store.catalog.statements import statements
from tests.servers.postgres import Postgres

OBJECTS = 40_000
FOLDER, PATH = "f/07/", "f/07/00007.jpg"
NAME = "'f/' || lpad((n % 100)::text, 2, '0') || '/' || lpad(n::text, 5, '0') || '.jpg'"
SERIES = f"FROM generate_series(1, {OBJECTS}) AS n"
# Of a hundred paths one is deleted, one is staged, one is owed something.
FILLED = f"""
INSERT INTO resilient_entries (path, version, deleted, folded, size, kind, checksum, content_type,
                               created_s, modified_s, headers, past)
SELECT {NAME}, n, (n % 100 = 0)::int, n, 1000, 'chunked', repeat('c', 64), 'image/jpeg',
       n, n, '[]', '[]' {SERIES};
INSERT INTO resilient_replicas (path, backend, version, state, place, looked, tag, busy_until_s,
                                error, owed)
SELECT {NAME}, backend, n, 'good', CASE WHEN n % 100 = 1 THEN n || '-1' ELSE 'own' END, 1,
       repeat('t', 32), 0, '', (n % 100 = 2)::int
{SERIES}, unnest(ARRAY['aws', 'gcp', 'azure']) AS backend;
INSERT INTO resilient_intents (path, id, version, kind, token, phase, direct, checksum, owner,
                               started_s, expires_s)
SELECT {NAME}, n, n, 'write', n || '-2', 'open', '[]', '', '', n, n {SERIES} WHERE n % 10 = 3;
INSERT INTO resilient_voids (path, id, checksum, backends)
SELECT {NAME}, n, '', '[]' {SERIES} WHERE n % 10 = 4;
INSERT INTO resilient_purges (bucket, count) SELECT n, 1 FROM generate_series(0, 1023) AS n;
ANALYZE;
"""
BETWEEN = {"low": FOLDER, "high": after_all_of(FOLDER), "limit": 100}
ONE = {"path": PATH, "bucket": bucket(PATH)}
FROM_THE_FIRST = {"low": "", "high": after_all_of(""), "limit": 100}
QUEUED = {"queue", "tombstones", "intents_pkey", "voids_pkey"}
HOT = {
    "load": (
        ONE,
        {f"{name}_pkey" for name in ("entries", "replicas", "intents", "voids", "purges")},
    ),
    "page": (BETWEEN, {"listing"}),
    "page_on": (BETWEEN, {"listing"}),
    "names": (BETWEEN, {"listing"}),
    "has_below": (BETWEEN, {"listing"}),
    "holdings": (BETWEEN, {"listing", "replicas_pkey"}),
    "folded": ({"folded": 7}, {"folded"}),
    "held_by": ({"backend": "aws", "after": PATH, "limit": 100}, {"held"}),
    "tokens": ({"tokens": ["1-1", "3-2"]}, {"staged", "tokens"}),
    "owed": (FROM_THE_FIRST, QUEUED),
    "queue": (FROM_THE_FIRST, {*QUEUED, "entries_pkey", "replicas_pkey"}),
    "hidden": (BETWEEN, QUEUED - {"queue"}),
}


@pytest.fixture(scope="module")
def filled(running_postgres: Postgres) -> Iterator[Database]:
    name = running_postgres.database()
    database = database_at(locate(running_postgres.url_of(name)))
    database.prepare()
    with psycopg.connect(running_postgres.conninfo(name), autocommit=True) as connection:
        connection.execute(FILLED.encode())
    yield database
    database.close()


@pytest.mark.parametrize("name", HOT)
def test_postgresql_finds_its_way_by_an_index(filled, name):
    given, indexes = HOT[name]
    text = getattr(statements("postgresql"), name)
    plan = [line for (line,) in filled.driver.ask((f"EXPLAIN {text}", given))]
    missing = [
        index for index in indexes if not any(f"resilient_{index} " in line for line in plan)
    ]
    assert missing == [], "\n".join(plan)
    assert not [line for line in plan if "Seq Scan on resilient_" in line], "\n".join(plan)


@pytest.mark.parametrize("name", ["page", "owed", "queue"])
def test_postgresql_reads_no_more_than_a_page(filled, name):
    """Sorting all that there is, to show the first of it, would use an index as well."""
    text = getattr(statements("postgresql"), name)
    asked = f"EXPLAIN (ANALYZE, TIMING OFF, BUFFERS OFF) {text}"
    plan = [line for (line,) in filled.driver.ask((asked, {**FROM_THE_FIRST, "limit": 10}))]
    read = [float(line.partition("actual rows=")[2].split()[0]) for line in plan if "rows=" in line]
    assert max(read) <= 4 * 3 * 10, "\n".join(plan)
