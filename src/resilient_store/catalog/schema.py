"""The catalog's tables, once for both dialects, and which release may use them.

Keys are compared byte by byte, which for UTF-8 is by code point, as Python compares strings:
SQLite does so by itself, PostgreSQL is told to (``COLLATE "C"``). What is true or false is
stored as 1 or 0, so that the conditions of partial indexes read alike in both.

Two numbers travel with the tables: the schema that they are of, and the oldest schema that a
release must know to use them. An addition that older releases need not understand raises the
first alone, so that many machines can be upgraded one after the other.
"""

from __future__ import annotations

import functools
import unicodedata
import zlib
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    text,
)
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import CreateIndex, CreateTable

SCHEMA = 1  # what this release makes
OLDEST_READABLE = 1  # the oldest tables that it can work on
OLDEST_ALLOWED = 1  # the oldest release, by its SCHEMA, that may use what this one makes

BUCKETS = 1024  # purge counters; paths share one each, by a hash

PREFIX = "resilient_"  # a PostgreSQL database may hold other programs' tables, too
SEQUENCE = f"{PREFIX}counter"

LAST = "\U0010ffff"
END = LAST * 256  # comes after every path: none is longer than 896 bytes
BEFORE_SURROGATES, AFTER_SURROGATES = "\ud7ff", "\ue000"  # what is between them is no text

metadata = MetaData()
Text = String().with_variant(String(collation="C"), "postgresql")


def _table(name: str, *columns: Any) -> Table:
    # Without a row id a SQLite table lies in the order of its key: no second look-up.
    return Table(f"{PREFIX}{name}", metadata, *columns, sqlite_with_rowid=False)


def _key(name: str, kind: Any = Text) -> Column[Any]:
    return Column(name, kind, primary_key=True, autoincrement=False)


def _must(name: str, kind: Any) -> Column[Any]:
    return Column(name, kind, nullable=False)


settings = _table("settings", _key("name"), _must("value", Text))

# SQLite draws its numbers here; PostgreSQL has a sequence, which nobody waits for.
counters = _table("counters", _key("name"), _must("value", BigInteger))

purges = _table("purges", _key("bucket", SmallInteger), _must("count", BigInteger))

backends = _table(
    "backends",
    _key("name"),
    _must("domain", Text),
    _must("met", SmallInteger),
    _must("known", SmallInteger),
    _must("drained", SmallInteger),
    _must("suspect", SmallInteger),
    _must("came_back", SmallInteger),
    _must("epoch", BigInteger),
    _must("raised_s", Double),
    _must("raise_due", SmallInteger),
    _must("answered_s", Double),
    _must("failed_s", Double),
    _must("away_from_s", Double),
    _must("back_s", Double),
)

# What may be long comes last: a look-up of the rest need not read it.
entries = _table(
    "entries",
    _key("path"),
    _must("version", BigInteger),
    _must("deleted", SmallInteger),
    _must("folded", BigInteger),
    Column("size", BigInteger),
    Column("kind", Text),
    Column("checksum", Text),
    Column("content_type", Text),
    _must("created_s", Double),
    _must("modified_s", Double),
    Column("chunk_bytes", BigInteger),
    Column("derived_path", Text),
    Column("derived_version", BigInteger),
    _must("headers", Text),
    _must("past", Text),
    Column("chunks", LargeBinary),
)

replicas = _table(
    "replicas",
    _key("path"),
    _key("backend"),
    _must("version", BigInteger),
    _must("state", Text),
    Column("place", Text),
    _must("looked", SmallInteger),
    Column("tag", Text),
    _must("busy_until_s", Double),
    Column("verified_at_s", Double),
    _must("error", Text),
    _must("owed", SmallInteger),
)

intents = _table(
    "intents",
    _key("path"),
    _must("id", BigInteger),
    _must("version", BigInteger),
    _must("kind", Text),
    _must("token", Text),
    _must("phase", Text),
    _must("direct", Text),
    _must("checksum", Text),
    _must("owner", Text),
    _must("started_s", Double),
    _must("expires_s", Double),
)

voids = _table(
    "voids", _key("path"), _key("id", BigInteger), _must("checksum", Text), _must("backends", Text)
)

IS_OBJECT = text("deleted = 0")
IS_THERE = text("state <> 'gone'")  # but for what was taken away on purpose
IS_GOOD = text("state = 'good'")
MAY_HOLD = text("state IN ('good', 'unknown')")
IS_TOMBSTONE = text("deleted = 1")
IS_OWED = text("owed = 1")
IS_STAGED = text("place <> 'own'")


def _index(name: str, *columns: Any, where: Any = None) -> Index:
    return Index(f"{PREFIX}{name}", *columns, sqlite_where=where, postgresql_where=where)


_index("folded", entries.c.folded)
_index("tombstones", entries.c.path, where=IS_TOMBSTONE)
_index("queue", replicas.c.path, where=IS_OWED)
_index("staged", replicas.c.place, where=IS_STAGED)
_index("held", replicas.c.backend, replicas.c.path)
_index("tokens", intents.c.token)

# Listings must not wade through the tombstones of a large folder. In SQLite the index holds all
# that is asked for, and what it is about, or each row would be fetched from its table; an index
# row of PostgreSQL is too short for that.
LISTED = ("path", "version", "size", "checksum", "content_type", "created_s", "modified_s")
_listings = {
    "sqlite": Index(
        f"{PREFIX}listing",
        *(entries.c[name] for name in (*LISTED, "deleted")),
        sqlite_where=IS_OBJECT,
    ),
    "postgresql": Index(f"{PREFIX}listing", entries.c.path, postgresql_where=IS_OBJECT),
}
for _listing in _listings.values():
    entries.indexes.discard(_listing)


@functools.cache
def dialect(name: str) -> Dialect:
    """Return SQLAlchemy's dialect, which writes parameters as the driver takes them."""
    if name == "sqlite":
        return sqlite_dialect(paramstyle="named")
    return PGDialect_psycopg(paramstyle="pyformat")  # type: ignore[no-untyped-call]


@functools.cache
def creation(name: str) -> tuple[str, ...]:
    """Return the statements that make all tables in a dialect, in order."""
    made: list[str] = []
    for table in metadata.sorted_tables:
        if table is counters and name == "postgresql":
            continue
        made.append(str(CreateTable(table).compile(dialect=dialect(name))))
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        if table is entries:
            indexes.append(_listings[name])
        made += [str(CreateIndex(index).compile(dialect=dialect(name))) for index in indexes]
    if name == "postgresql":
        made.append(f"CREATE SEQUENCE {SEQUENCE}")
    return tuple(" ".join(statement.split()) for statement in made)


def bucket(path: str) -> int:
    """Return which purge counter is a path's; stored, so it must never change."""
    return zlib.crc32(path.encode()) % BUCKETS


def fold(path: str) -> str:
    """Return what all spellings of a path share that differ only in case or Unicode form.

    Notes
    -----
    Source: the Unicode Standard, D145 (canonical caseless matching).
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())


def folded(path: str) -> int:
    """Return a number of 32 bits of the folded path: short in the index, looked at again after."""
    return zlib.crc32(fold(path).encode())


def after_all_of(prefix: str) -> str:
    """Return the least string that comes after every string that begins with the prefix."""
    for end in range(len(prefix), 0, -1):
        last = prefix[end - 1]
        if last < LAST:
            following = AFTER_SURROGATES if last == BEFORE_SURROGATES else chr(ord(last) + 1)
            return prefix[: end - 1] + following
    return END
