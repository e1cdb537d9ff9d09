"""All rows of a catalog at one moment, out of one database and into another."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

from sqlalchemy import BigInteger, Table, bindparam, delete, select, tuple_
from sqlalchemy.sql import ClauseElement

from resilient_store.catalog import dump, schema
from resilient_store.catalog.contract import Dumped
from resilient_store.catalog.driver import STORE, Asked, Driver, Row
from resilient_store.catalog.rows import decode
from resilient_store.catalog.statements import compiled, put, statements

# The counters are in the head; each database keeps its own in another way.
TABLES = {
    table.name.removeprefix(schema.PREFIX): table
    for table in (
        *(schema.settings, schema.backends, schema.purges, schema.voids),
        *(schema.intents, schema.entries, schema.replicas),
    )
}
# Of these tables, not of the store.
OF_TABLES = ("schema", "oldest", "restoring")
# A page is so long that a block has about so many bytes: an entry may have megabytes of digests.
BLOCK_BYTES = 1 << 20
FIRST_PAGE, LONGEST_PAGE = 64, 4096
ROW_BYTES = 64  # what a row costs beside its text

WIPE_WITHIN_S = 600.0
LOAD_WITHIN_S = 60.0

Ask = Callable[[Asked], list[Row]]


def dump_all(driver: Driver, file: BinaryIO, number: int, check: Callable[[], None]) -> Dumped:
    """Write what the catalog knows at one moment, which no transaction of others cuts across.

    Parameters
    ----------
    number
        The dump's own; see `dump.Head`.
    check
        Called now and then; what it raises ends the dump.
    """
    with driver.still() as ask:
        said: dict[str, str] = dict(ask((statements(driver.dialect).settings, {})))
        ((counter,),) = ask(driver.drawn) or [(0,)]
        head = dump.Head(
            schema=int(said["schema"]),
            oldest=int(said["oldest"]),
            identity=decode(said.get("identity", "")),
            number=number,
            counter=counter,
            taken_s=driver.now_s(),
        )
        writer = dump.Writer(file, head)
        objects = 0
        for name, table in TABLES.items():
            for rows in _pages(ask, driver.dialect, table):
                check()
                kept = [row for row in rows if table is not schema.settings or _is_kept(row)]
                objects += _objects_among(name, kept)
                writer.add(name, kept)
        writer.end()
    return Dumped(rows=writer.rows, objects=objects)


def _objects_among(table: str, rows: Sequence[dump.Row]) -> int:
    return sum(not row["deleted"] for row in rows) if table == "entries" else 0


def _is_kept(setting: dump.Row) -> bool:
    return setting["name"] not in OF_TABLES


def _pages(ask: Ask, dialect: str, table: Table) -> Iterator[list[dump.Row]]:
    first, following = _statements(dialect, table.name)
    names = [column.name for column in table.c]
    limit = FIRST_PAGE
    found = ask((first, {"limit": limit}))
    while found:
        rows = [dict(zip(names, row, strict=True)) for row in found]
        yield rows
        if len(found) < limit:
            return
        keys = {f"key_{c.name}": rows[-1][c.name] for c in table.primary_key}
        row_bytes = sum(map(_length, found)) // len(found)
        limit = max(1, min(LONGEST_PAGE, BLOCK_BYTES // row_bytes))
        found = ask((following, {**keys, "limit": limit}))


def _length(row: Row) -> int:
    return ROW_BYTES + sum(len(value) for value in row if isinstance(value, str | bytes))


@functools.cache
def _statements(dialect: str, name: str) -> tuple[str, str]:
    """Return what asks for the first rows of a table, and for those after a key."""
    table = schema.metadata.tables[name]
    keys = list(table.primary_key)
    page = select(*table.c).order_by(*keys).limit(bindparam("limit", type_=BigInteger))
    after = tuple_(*(bindparam(f"key_{c.name}", type_=c.type) for c in keys))
    return compiled(page, dialect), compiled(page.where(tuple_(*keys) > after), dialect)


# --- into another -------------------------------------------------------------------------


def wipe(driver: Driver) -> None:
    """Forget all rows but those that are about the tables, and what was begun there."""
    kept = schema.settings.c.name.in_([*OF_TABLES, "identity", "frozen"])
    gone = [delete(t).where(~kept) if t is schema.settings else delete(t) for t in TABLES.values()]
    writes: list[Asked] = [(_literal(statement, driver.dialect), {}) for statement in gone]
    driver.transact([STORE], [], lambda *_: writes, within_s=WIPE_WITHIN_S)


def _literal(statement: ClauseElement, dialect: str) -> str:
    options = {"literal_binds": True}
    return str(statement.compile(dialect=schema.dialect(dialect), compile_kwargs=options))


def load(driver: Driver, table: str, rows: Sequence[dump.Row]) -> None:
    """Store rows of a dump, in one transaction; the same ones again change nothing.

    Raises
    ------
    DamagedError
        There is no such table here.
    """
    if table not in TABLES:
        raise dump.DamagedError(f"it has a table {table!r}, which this release does not know")
    text = compiled(put(driver.dialect, TABLES[table]), driver.dialect)
    writes: list[Asked] = [(text, row) for row in rows]
    driver.transact([STORE], [], lambda *_: writes, within_s=LOAD_WITHIN_S)


def usable(head: dump.Head) -> str:
    """Say why a dump is of no use to this release; empty where it is."""
    if head.oldest > schema.SCHEMA:
        return f"it needs a release that knows schema {head.oldest}"
    if head.schema < schema.OLDEST_READABLE:
        return f"it is of schema {head.schema}, which this release has forgotten"
    return ""


def summary(file: BinaryIO) -> tuple[dump.Head, Dumped]:
    """Read all of a dump, and say what is in it.

    Raises
    ------
    DamagedError
        Some of it is not what was written, or it is of no use to this release.
    """
    blocks = dump.read(file)
    table, rows = next(blocks, ("", []))
    head = dump.head_of(rows) if table == dump.HEAD else None
    if head is None:
        raise dump.DamagedError("it has no head")
    if why := usable(head):
        raise dump.DamagedError(why)
    count = objects = 0
    for table, rows in blocks:
        if table not in TABLES:
            raise dump.DamagedError(f"it has a table {table!r}, which this release does not know")
        count += len(rows)
        objects += _objects_among(table, rows)
    return head, Dumped(rows=count, objects=objects)
