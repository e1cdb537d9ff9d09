"""A catalog of very many objects, filled as fast as the database takes them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

from resilient_store.catalog import rows
from resilient_store.catalog.driver import Asked, Driver
from resilient_store.catalog.location import locate
from resilient_store.catalog.opening import database_at
from resilient_store.catalog.statements import statements
from resilient_store.model.info import Headers
from resilient_store.model.state import (
    OWN,
    BackendRow,
    Content,
    Entry,
    Record,
    Replica,
    State,
    StoreState,
)

OBJECTS = 1_000_000
IN_A_FOLDER = 1_000
IN_A_TRANSACTION = 20_000
WRITTEN_S = 1_700_000_000.0


def name_of(number: int) -> str:
    """Return a photograph's path: a folder holds a thousand of them."""
    return f"photos/{number // IN_A_FOLDER:04d}/{number % IN_A_FOLDER:06d}.jpg"


def fill(
    url: str,
    names: tuple[str, ...],
    count: int = OBJECTS,
    *,
    at_once: int = IN_A_TRANSACTION,
    content_of: Callable[[int], Content] | None = None,
    lacking: tuple[str, ...] = (),
) -> None:
    """Make a complete catalog in which each backend holds every object, but for some that lack all.

    Parameters
    ----------
    content_of
        What an object is; None: a photograph that nobody ever reads.
    """
    database = database_at(locate(url))
    database.prepare()
    met = {name: BackendRow(name=name, domain=name, met=True, known=True) for name in names}
    state = StoreState(identity="a million", backends=met, complete=True)
    database.change_state(lambda _, __: state)
    sql = statements(database.driver.dialect)
    for begin in range(0, count, at_once):
        numbers = range(begin, min(count, begin + at_once))
        records = _records(numbers, names, content_of or _photograph, lacking)
        made = [a for old, new in records for a in rows.differences(sql, old, new)]
        _write(database.driver, made)
    database.raise_counter(count + 1)
    database.close()


def _write(driver: Driver, made: list[Asked]) -> None:
    driver.transact((), (), lambda _, __, ___: made)


def _photograph(number: int) -> Content:
    checksum = f"blake3-1MiB:{hashlib.sha256(name_of(number).encode()).hexdigest()}"
    return Content(size=4_000_000 + number, checksum=checksum, chunk_bytes=1 << 20)


def _records(
    numbers: Iterable[int],
    names: tuple[str, ...],
    content_of: Callable[[int], Content],
    lacking: tuple[str, ...],
) -> Iterator[tuple[Record, Record]]:
    for number in numbers:
        path, content = name_of(number), content_of(number)
        entry = Entry(
            path=path,
            version=number + 1,
            content=content,
            headers=Headers(content_type="image/jpeg"),
            created_s=WRITTEN_S,
            modified_s=WRITTEN_S,
        )
        held = {
            name: Replica(
                backend=name,
                version=number + 1,
                state=State.MISSING if name in lacking else State.GOOD,
                place=OWN,
                looked=True,
                tag=content.checksum[-32:],
            )
            for name in names
        }
        yield Record(path=path), Record(path=path, entry=entry, replicas=held)
