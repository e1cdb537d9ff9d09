"""Every hot statement, written once in SQLAlchemy Core and compiled once for a dialect.

What runs is the text, on the driver's own connection with named parameters: SQLAlchemy's own
execution was measured at 7 to 11 times the cost of a look-up.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from operator import ge, gt
from typing import Any

import attrs
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Double,
    Select,
    String,
    Subquery,
    Table,
    TextClause,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal_column,
    select,
    union,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql import ClauseElement

from resilient_store.catalog import schema
from resilient_store.catalog.loading import each, given, load, one, picked
from resilient_store.catalog.schema import (
    IS_GOOD,
    IS_OBJECT,
    IS_OWED,
    IS_STAGED,
    IS_THERE,
    IS_TOMBSTONE,
    MAY_HOLD,
    backends,
    counters,
    entries,
    intents,
    purges,
    replicas,
    settings,
    voids,
)

# Where a page goes on: after the path that it ended with, or on the first that has a prefix.
_Above = Callable[[Any, Any], Any]


@attrs.frozen(kw_only=True)
class Statements:
    """The text of each statement in one dialect; parameters carry their columns' names."""

    load: str
    load_all: str
    settings: str
    backends: str
    page: str
    page_on: str
    names: str
    names_on: str
    has_below: str
    present: str
    folded: str
    owed: str
    queue: str
    hidden: str
    hidden_on: str
    working: str
    without: str
    reach: str
    held_by: str
    holdings: str
    holdings_on: str
    totals: str
    alike: str
    lost: str
    tokens: str
    put_entry: str
    put_replica: str
    put_intent: str
    put_void: str
    put_purges: str
    put_setting: str
    put_backend: str
    put_counter: str
    drop_entry: str
    drop_replica: str
    drop_intent: str
    drop_void: str
    drop_setting: str
    drop_backend: str
    counter: str
    clock: str
    exists: str


@functools.cache
def statements(name: str) -> Statements:
    """Compile all of them for ``sqlite`` or ``postgresql``."""
    made = {**_reading(name), **_saving(name)}
    texts = {what: compiled(statement, name) for what, statement in made.items()}
    return Statements(**texts, clock=_CLOCK, exists=_EXISTS[name])


# The database's own clock and its list of tables have no portable form.
_CLOCK = "SELECT CAST(extract(epoch FROM clock_timestamp()) AS double precision)"
_EXISTS = {
    "sqlite": f"SELECT 1 FROM sqlite_master WHERE name = '{settings.name}'",  # noqa: S608
    # No to_regclass(): it may answer from before a lock was waited for.
    "postgresql": f"SELECT 1 FROM pg_class WHERE relname = '{settings.name}'"  # noqa: S608
    " AND pg_table_is_visible(oid)",
}
# SQLAlchemy gives SQLite's LIMIT one, for versions long gone.
_NO_OFFSET = re.compile(r"\sOFFSET :\w+")


def compiled(statement: ClauseElement, name: str) -> str:
    """Return a statement's text in a dialect."""
    text = str(statement.compile(dialect=schema.dialect(name)))
    return " ".join(_NO_OFFSET.sub("", text).split())


def _limit() -> Any:
    return bindparam("limit", type_=BigInteger)


def _now() -> Any:
    return bindparam("now_s", type_=Double)


def _reading(name: str) -> dict[str, ClauseElement]:
    return {
        "load": load(name, one()),
        "load_all": load(name, each(name)),
        "settings": select(settings.c.name, settings.c.value),
        "backends": select(*backends.c),
        "page": _page(schema.LISTED, gt),
        "page_on": _page(schema.LISTED, ge),
        "names": _page(("path",), gt),
        "names_on": _page(("path",), ge),
        "has_below": select(entries.c.path)
        .where(IS_OBJECT, entries.c.path >= given("low"), entries.c.path < given("high"))
        .limit(_limit()),
        "present": select(entries.c.path).where(IS_OBJECT, _among(entries.c.path, "paths", name)),
        "folded": select(entries.c.path)
        .where(IS_OBJECT, entries.c.folded == given("folded", BigInteger))
        .order_by(entries.c.path),
        "owed": _owed(),
        "queue": _queue(),
        "working": select(intents.c.path)
        .where(intents.c.kind != literal_column("'repair'"), intents.c.expires_s > _now())
        .order_by(intents.c.path)
        .limit(_limit()),
        "holdings": _holdings(gt),
        "holdings_on": _holdings(ge),
        "totals": _totals(),
        "alike": _alike(),
        "lost": _lost(),
        "hidden": _first_of(*_UNDER_WAY, above=gt),
        "hidden_on": _first_of(*_UNDER_WAY, above=ge),
        "without": _without(),
        "reach": _reach(),
        "held_by": select(replicas.c.path)
        .where(replicas.c.backend == given("backend"), replicas.c.path > given("after"))
        .order_by(replicas.c.path)
        .limit(_limit()),
        "tokens": union(
            select(intents.c.token).where(_among(intents.c.token, "tokens", name)),
            select(replicas.c.place).where(IS_STAGED, _among(replicas.c.place, "tokens", name)),
        ),
        "counter": select(counters.c.value).where(counters.c.name == literal_column("'ids'")),
    }


def _among(column: ColumnElement[Any], parameter: str, name: str) -> ColumnElement[Any]:
    """Compare with a list of any length, which is one parameter: the text stays the same."""
    if name == "sqlite":
        listed = func.json_each(given(parameter)).table_valued("value")
        return column.in_(select(listed.c.value))
    return column == func.any(given(parameter, postgresql.ARRAY(String)))


def _page(columns: tuple[str, ...], above: _Above) -> Select[Any]:
    return (
        select(*picked(entries, columns))
        .where(IS_OBJECT, above(entries.c.path, given("low")), entries.c.path < given("high"))
        .order_by(entries.c.path)
        .limit(_limit())
    )


def _holdings(above: _Above) -> Select[Any]:
    """Return objects, in as many rows as they have good replicas of their version, or in one."""
    objects = _page(("path", "version", "size"), above).subquery("objects")
    return (
        select(objects.c.path, objects.c.size, replicas.c.backend)
        .select_from(objects.outerjoin(replicas, _good_of(objects)))
        .order_by(objects.c.path)
    )


def _good_of(objects: Any) -> ColumnElement[bool]:
    return and_(replicas.c.path == objects.c.path, replicas.c.version == objects.c.version, IS_GOOD)


def _owed() -> Any:
    return _first_of((replicas, IS_OWED), *_UNDER_WAY, above=gt)


def _queue() -> Select[Any]:
    """Return what is owed, as `holdings` returns objects; without a size what is none."""
    owed = _owed().subquery("owed_paths")
    joined = owed.outerjoin(entries, entries.c.path == owed.c.path)
    joined = joined.outerjoin(replicas, _good_of(entries))
    columns = (owed.c.path, entries.c.size, replicas.c.backend)
    return select(*columns).select_from(joined).order_by(owed.c.path)


_UNDER_WAY = ((entries, IS_TOMBSTONE), (intents, None), (voids, None))


def _first_of(*parts: tuple[Table, TextClause | None], above: _Above) -> Any:
    """Return the first paths of several indexes, each in order and no further than needed."""
    some = [_first(table, condition, above) for table, condition in parts]
    return union(*(select(found.c.path) for found in some)).order_by("path").limit(_limit())


def _first(table: Table, condition: TextClause | None, above: _Above) -> Subquery:
    between = (above(table.c.path, given("low")), table.c.path < given("high"))
    paths = select(table.c.path).where(*between)
    if condition is not None:
        paths = paths.where(condition)
    found = paths.distinct().order_by(table.c.path).limit(_limit())
    return found.subquery(f"first_{table.name}")


def _reach() -> ClauseElement:
    """Return the last of the next objects, and how many there are."""
    window = _next(entries.c.path)
    return select(func.max(window.c.path), func.count(window.c.path))


def _next(*columns: ColumnElement[Any]) -> Subquery:
    following = select(*columns).where(IS_OBJECT, entries.c.path > given("low"))
    return following.order_by(entries.c.path).limit(_limit()).subquery("following")


def _between() -> tuple[Any, ...]:
    return IS_OBJECT, entries.c.path > given("low"), entries.c.path <= given("high")


def _without() -> Select[Any]:
    held = exists().where(
        replicas.c.path == entries.c.path, replicas.c.backend == given("backend"), IS_THERE
    )
    return select(entries.c.path).where(*_between(), ~held).order_by(entries.c.path).limit(_limit())


def _totals() -> ClauseElement:
    """Return the last of the next objects, how many there are, their bytes and newest version."""
    window = _next(entries.c.path, entries.c.size, entries.c.version)
    counted = (func.count(window.c.path), func.sum(window.c.size))
    return select(func.max(window.c.path), *counted, func.max(window.c.version))


def _alike() -> Select[Any]:
    """Return how many objects each backend holds in each state."""
    held = entries.outerjoin(replicas, replicas.c.path == entries.c.path)
    # As a number: what is true or false would come from PostgreSQL as text.
    same = replicas.c.version == entries.c.version
    current: Any = case((same, literal_column("1")), else_=literal_column("0"))
    alike = (replicas.c.backend, replicas.c.state, current)
    sums = (func.count(entries.c.path), func.sum(entries.c.size), func.min(entries.c.version))
    return select(*alike, *sums).select_from(held).where(*_between()).group_by(*alike)


def _lost() -> Select[Any]:
    may_hold = exists().where(replicas.c.path == entries.c.path, MAY_HOLD)
    at_work = exists().where(intents.c.path == entries.c.path)
    return select(func.count(entries.c.path)).where(*_between(), ~may_hold, ~at_work)


def _saving(name: str) -> dict[str, ClauseElement]:
    return {
        "put_entry": put(name, entries),
        "put_replica": put(name, replicas),
        "put_intent": put(name, intents),
        "put_void": put(name, voids),
        "put_purges": _added(name),
        "put_setting": put(name, settings),
        "put_backend": put(name, backends),
        "put_counter": put(name, counters),
        "drop_entry": _drop(entries),
        "drop_replica": _drop(replicas),
        "drop_intent": _drop(intents),
        "drop_void": _drop(voids),
        "drop_setting": _drop(settings),
        "drop_backend": _drop(backends),
    }


def _insert(name: str, table: Table) -> Any:
    insert = sqlite.insert if name == "sqlite" else postgresql.insert
    return insert(table).values(
        {column.name: given(column.name, column.type) for column in table.c}
    )


def put(name: str, table: Table) -> ClauseElement:
    """Insert a row, or change all of it but its key."""
    keys = [column.name for column in table.primary_key]
    insert = _insert(name, table)
    changed = {c.name: insert.excluded[c.name] for c in table.c if c.name not in keys}
    put: ClauseElement = insert.on_conflict_do_update(index_elements=keys, set_=changed)
    return put


def _added(name: str) -> ClauseElement:
    """Add to a purge counter: paths that share one do not wait for each other."""
    insert = _insert(name, purges)
    changed = {"count": purges.c.count + insert.excluded["count"]}
    put: ClauseElement = insert.on_conflict_do_update(index_elements=["bucket"], set_=changed)
    return put


def _drop(table: Table) -> ClauseElement:
    keys = (column == given(column.name, column.type) for column in table.primary_key)
    return delete(table).where(*keys)
