"""A catalog's tables, what to fill them with, and how to ask many things of them at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import attrs
from hypothesis import HealthCheck, settings

from resilient_store.catalog.contract import Database, single
from resilient_store.model.state import (
    OWN,
    Content,
    Entry,
    Record,
    Replica,
    State,
)
from resilient_store.protocol import transactions as rules
from resilient_store.protocol.moment import Moment, Wish

A = TypeVar("A")

Z_S = 900.0
WISH = Wish(kind="write", placed=("aws", "gcp"), owner="me", lease_s=60.0)
RACERS = 8
HIGHER = 1000
LAST = "\U0010ffff"

many_examples = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@attrs.frozen
class Catalogs:
    """One catalog's tables, empty, and ways to them.

    Attributes
    ----------
    again
        Opens them as another process does; a database that is gone with its process returns the
        same one each time.
    """

    again: Callable[[], Database]


class UndoError(Exception):
    """Raised within a change, which must undo it."""


def store(database: Database, record: Record) -> None:
    """Make a path's record this one, whatever it was; its purge counter only ever grows."""

    def replace(before: Record, _: Moment) -> tuple[Record, None]:
        return attrs.evolve(record, purges=before.purges + record.purges), None

    database.change([record.path], Z_S, single(replace))


def load(database: Database, path: str) -> Record:
    """Load a path's record."""
    return database.find(path)[0]


def ask(database: Database, path: str, change: Callable[[Record, Moment], tuple[Record, A]]) -> A:
    """Change a path's record."""
    return database.change([path], Z_S, single(change))


def begin(database: Database, path: str, wish: Wish = WISH) -> Any:
    """Begin a write."""
    return ask(database, path, lambda record, moment: rules.begin(record, moment, wish))


def draw(database: Database) -> int:
    """Draw a number of the store's counter."""
    return ask(database, "counter", lambda record, moment: (record, moment.new_id()))


def held(path: str, *backends: str, version: int = 1) -> Record:
    """Return an object that lies on some backends as it should."""
    row = Replica(backend="", version=version, state=State.GOOD, place=OWN)
    rows = {name: attrs.evolve(row, backend=name) for name in backends}
    entry = Entry(path=path, version=version, content=Content(size=len(path), checksum="c"))
    return Record(path=path, entry=entry, replicas=rows)


def tombstone(path: str) -> Record:
    """Return a path whose object was deleted."""
    return Record(path=path, entry=Entry(path=path, version=1, content=None))


def pages(
    ask_page: Callable[[str, int], Sequence[A]], key: Callable[[A], str], size: int
) -> list[A]:
    """Turn every page, of so many rows."""
    found: list[A] = []
    while page := ask_page(key(found[-1]) if found else "", size):
        assert len(page) <= size
        found += page
    return found


def at_once(calls: Sequence[Callable[[], A]]) -> list[A | Exception]:
    """Make calls in as many threads, all at the same moment."""
    start = threading.Barrier(len(calls))
    answers: list[A | Exception] = [RuntimeError("did not end")] * len(calls)

    def run(number: int) -> None:
        start.wait()
        try:
            answers[number] = calls[number]()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            answers[number] = error

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers
