"""The statement that loads all that is known of paths: of one, or of many at once."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    ColumnElement,
    Select,
    SmallInteger,
    String,
    Table,
    bindparam,
    cast,
    column,
    func,
    literal_column,
    select,
)

from resilient_store.catalog.schema import entries, intents, purges, replicas, voids

# The columns of `load`, by table: rows.py takes a row apart by their numbers.
_NOT_LOADED = ("path", "deleted", "folded", "owed")
ENTRY = tuple(column.name for column in entries.c if column.name not in _NOT_LOADED)
INTENT = tuple(column.name for column in intents.c if column.name not in _NOT_LOADED)
REPLICA = tuple(column.name for column in replicas.c if column.name not in _NOT_LOADED)

# From what is asked for, its paths and their purge counters.
Asked = tuple[Any, Any, Any]


def given(name: str, kind: Any = String) -> Any:
    """Return a parameter, which carries its column's name."""
    return bindparam(name, type_=kind)


def picked(table: Table, names: tuple[str, ...]) -> list[ColumnElement[Any]]:
    """Return columns of a table, in this order."""
    return [table.c[name] for name in names]


def one() -> Asked:
    """Ask for one path, given with its purge counter."""
    one = select(literal_column("1").label("one")).subquery("one")
    return one, given("path"), given("bucket", SmallInteger)


def each(name: str) -> Asked:
    """Ask for all paths that were given, as JSON: a list of such pairs."""
    if name == "sqlite":
        pairs = func.json_each(given("asked")).table_valued("value", name="asked")
        path, bucket = (func.json_extract(pairs.c.value, _literal(at)) for at in ("$[0]", "$[1]"))
        return pairs, path, bucket
    listed = func.json_array_elements(cast(given("asked"), JSON))
    pairs = listed.table_valued(column("value", JSON), name="asked")
    path, bucket = (func.json_extract_path_text(pairs.c.value, _literal(at)) for at in "01")
    return pairs, path.collate("C"), cast(bucket, SmallInteger)


def _literal(text: str) -> ColumnElement[Any]:
    return literal_column(f"'{text}'")


def load(name: str, asked: Asked) -> Select[Any]:
    """Return all that is known of paths: of each as many rows as it has replicas, or one."""
    paths, path, bucket = asked
    known = paths.outerjoin(entries, entries.c.path == path)
    known = known.outerjoin(intents, intents.c.path == path)
    known = known.outerjoin(purges, purges.c.bucket == bucket)
    known = known.outerjoin(replicas, replicas.c.path == path)
    columns = [*picked(entries, ENTRY), *picked(intents, INTENT), *picked(replicas, REPLICA)]
    gathered = _gathered(name, voids.c.id, voids.c.checksum, voids.c.backends)
    failed = select(gathered).where(voids.c.path == path).scalar_subquery()
    return select(path, purges.c.count, failed, *columns).select_from(known)


def _gathered(name: str, *columns: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return rows as JSON, a list of lists; what would be a float in it could lose digits."""
    if name == "sqlite":
        return func.json_group_array(func.json_array(*columns))
    return cast(func.json_agg(func.json_build_array(*columns)), String)
