"""The contract of a catalog's database, on top of whichever driver."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, TypeVar

from resilient_store.catalog import rows, schema, whole
from resilient_store.catalog.contract import (
    CatalogDownError,
    Change,
    Dumped,
    Holding,
    Stretch,
    Summary,
)
from resilient_store.catalog.driver import STORE, Asked, Driver, Row
from resilient_store.catalog.statements import statements
from resilient_store.errors import ConfigurationError
from resilient_store.model.state import Record, StoreState
from resilient_store.protocol.moment import Moment

A = TypeVar("A")

WINDOW = 50_000  # of so many objects one call asks who has no row: 0.1 s
REMEMBERED = 16  # records
REMEMBERED_BYTES = 64 * 1024  # of checksums of chunks, which each replica's row has: 2 GB of them

_NO_STATE = StoreState(identity="")  # nothing is complete, nothing was met


class SqlDatabase:
    """One catalog's tables, in SQLite or PostgreSQL. See `contract.Database`.

    Parameters
    ----------
    window
        How many objects one call of `without` or `stretch` looks at.
    """

    def __init__(self, driver: Driver, window: int = WINDOW) -> None:
        self.driver = driver
        self.window = window
        self._sql = statements(driver.dialect)
        self._store: tuple[Asked, Asked] = ((self._sql.settings, {}), (self._sql.backends, {}))
        self._seen: tuple[Sequence[list[Row]], StoreState | None] = ((), None)
        self._lately: dict[str, tuple[list[Row], Record]] = {}

    def prepare(self) -> None:
        there: Asked = (self._sql.exists, {})
        numbers = {"schema": str(schema.SCHEMA), "oldest": str(schema.OLDEST_ALLOWED)}
        made: list[Asked] = [(text, {}) for text in schema.creation(self.driver.dialect)]
        for name, value in numbers.items():
            made.append((self._sql.put_setting, {"name": name, "value": value}))
        self.driver.create(made, there)
        check_schema(dict(self.driver.ask((self._sql.settings, {}))))

    def close(self) -> None:
        self.driver.close()

    def now_s(self) -> float:
        return self.driver.now_s()

    # --- one path -------------------------------------------------------------------------

    def _load(self, path: str) -> Asked:
        return self._sql.load, {"path": path, "bucket": schema.bucket(path)}

    def _load_each(self, paths: Sequence[str]) -> Asked:
        if len(paths) == 1:
            return self._load(paths[0])
        asked = [(path, schema.bucket(path)) for path in dict.fromkeys(paths)]
        return self._sql.load_all, {"asked": json.dumps(asked)}

    def find(self, path: str) -> tuple[Record, StoreState | None]:
        record = self._record_of(path, self.driver.ask(self._load(path)))
        if record.entry is not None:
            return record, None
        # What is absent is absent from a store that was complete at that very moment.
        found, *store = self.driver.together([self._load(path), *self._store])
        return self._record_of(path, found), self._state_of(store)

    def _record_of(self, path: str, found: list[Row]) -> Record:
        # Some paths are read again and again, and their rows are mostly what they were.
        seen = self._lately.get(path)
        if seen is not None and seen[0] == found:
            return seen[1]
        record = rows.record_of(path, found)
        content = None if record.entry is None else record.entry.content
        if content is not None and len(content.chunks) > REMEMBERED_BYTES:
            return record
        if len(self._lately) >= REMEMBERED:
            self._lately.clear()
        self._lately[path] = found, record
        return record

    def change(self, paths: Sequence[str], late_window_s: float, change: Change[A]) -> A:
        asked = [self._load_each(paths), *self._store]
        answers: list[A] = []

        def decide(found: list[list[Row]], now_s: float, draw: Callable[[], int]) -> list[Asked]:
            answers.clear()  # of a race that was lost
            before = tuple(rows.records_of(paths, found[0]))
            store = self._state_of(found[1:]) or _NO_STATE
            moment = Moment(now_s=now_s, late_window_s=late_window_s, store=store, new_id=draw)
            after, answer = change(before, moment)
            answers.append(answer)
            pairs = zip(before, after, strict=True)
            return [asked for old, new in pairs for asked in rows.differences(self._sql, old, new)]

        self.driver.transact(paths, asked, decide)
        return answers[0]

    # --- the store ------------------------------------------------------------------------

    def state(self) -> StoreState | None:
        return self._state_of(self.driver.together(self._store))

    def _state_of(self, found: Sequence[list[Row]]) -> StoreState | None:
        # Every change asks for it, and it hardly ever changes: it is made anew where its rows have.
        seen, state = self._seen
        if found != seen:
            state = rows.state_of(*found)
            self._seen = found, state
        return state

    def change_state(self, change: Callable[[StoreState | None, float], StoreState]) -> StoreState:
        answers: list[StoreState] = []

        def decide(found: list[list[Row]], now_s: float, _: Callable[[], int]) -> list[Asked]:
            answers.clear()
            before = self._state_of(found)
            after = change(before, now_s)
            answers.append(after)
            return list(rows.state_differences(self._sql, before, after))

        self.driver.transact([STORE], self._store, decide)
        return answers[0]

    def raise_counter(self, least: int) -> None:
        self.driver.raise_counter(least)

    def dump(self, file: BinaryIO, number: int, check: Callable[[], None]) -> Dumped:
        return whole.dump_all(self.driver, file, number, check)

    def wipe(self) -> None:
        whole.wipe(self.driver)

    def load(self, table: str, rows: Sequence[dict[str, Any]]) -> None:
        whole.load(self.driver, table, rows)

    # --- many paths -----------------------------------------------------------------------

    def _paths(self, statement: str, **parameters: Any) -> list[str]:
        return [path for (path,) in self.driver.ask((statement, parameters))]

    def page(self, prefix: str, after: str, limit: int) -> list[Summary]:
        statement = self._sql.page if _goes_on(prefix, after) else self._sql.page_on
        found = self.driver.ask((statement, {**_between(prefix, after), "limit": limit}))
        return [rows.summary_of(row) for row in found]

    def names(self, prefix: str, after: str, limit: int) -> list[str]:
        statement = self._sql.names if _goes_on(prefix, after) else self._sql.names_on
        return self._paths(statement, **_between(prefix, after), limit=limit)

    def has_below(self, folder: str) -> bool:
        between = _between(f"{folder}/" if folder else "", "")
        return bool(self._paths(self._sql.has_below, **between, limit=1))

    def present(self, paths: Sequence[str]) -> list[str]:
        found = set(self._paths(self._sql.present, paths=self._listed(paths)))
        return [path for path in paths if path in found]

    def folded(self, path: str) -> list[str]:
        folded = schema.fold(path)
        alike = self._paths(self._sql.folded, folded=schema.folded(path))
        return [other for other in alike if other != path and schema.fold(other) == folded]

    def owed(self, after: str, limit: int) -> list[str]:
        return self._paths(self._sql.owed, **_between("", after), limit=limit)

    def queue(self, after: str, limit: int) -> list[Holding]:
        asked = {**_between("", after), "limit": limit}
        return rows.holdings_of(self.driver.ask((self._sql.queue, asked)))

    def hidden(self, prefix: str, after: str, limit: int) -> list[str]:
        statement = self._sql.hidden if _goes_on(prefix, after) else self._sql.hidden_on
        return self._paths(statement, **_between(prefix, after), limit=limit)

    def working(self, now_s: float, limit: int) -> list[str]:
        return self._paths(self._sql.working, now_s=now_s, limit=limit)

    def without(self, backend: str, after: str, limit: int) -> tuple[list[str], str]:
        ((reach, count),) = self.driver.ask((self._sql.reach, {"low": after, "limit": self.window}))
        if not count:
            return [], ""
        between = {"low": after, "high": reach}
        found = self._paths(self._sql.without, backend=backend, **between, limit=limit)
        if len(found) == limit:
            return found, found[-1]
        return found, reach if count == self.window else ""

    def held_by(self, backend: str, after: str, limit: int) -> list[str]:
        return self._paths(self._sql.held_by, backend=backend, after=after, limit=limit)

    def records(self, paths: Sequence[str]) -> list[Record]:
        return rows.records_of(paths, self.driver.ask(self._load_each(paths)))

    def holdings(self, prefix: str, after: str, limit: int) -> list[Holding]:
        statement = self._sql.holdings if _goes_on(prefix, after) else self._sql.holdings_on
        found = self.driver.ask((statement, {**_between(prefix, after), "limit": limit}))
        return rows.holdings_of(found)

    def stretch(self, after: str) -> Stretch:
        (totals,) = self.driver.ask((self._sql.totals, {"low": after, "limit": self.window}))
        between = {"low": after, "high": totals[0] or after}
        alike, lost = self.driver.together([(self._sql.alike, between), (self._sql.lost, between)])
        return rows.stretch_of(totals, lost[0][0], alike, ended=totals[1] < self.window)

    def tokens(self, tokens: Sequence[str]) -> set[str]:
        listed = self._listed([rows.encode(token) or "" for token in tokens])
        return set(map(rows.decode, self._paths(self._sql.tokens, tokens=listed)))

    def _listed(self, values: Sequence[str]) -> Any:
        return list(values) if self.driver.dialect == "postgresql" else json.dumps(list(values))


def _goes_on(prefix: str, after: str) -> bool:
    """Say whether a page begins after a path; else it begins on the first that has the prefix."""
    return bool(after) and after >= prefix


def _between(prefix: str, after: str) -> dict[str, str]:
    return {"low": max(prefix, after), "high": schema.after_all_of(prefix)}


def check_schema(settings: dict[str, str], oldest_readable: int = schema.OLDEST_READABLE) -> None:
    """Refuse tables that this release cannot work on, and say what to do."""
    try:
        made, oldest = int(settings["schema"]), int(settings["oldest"])
    except (KeyError, ValueError):
        pass
    else:
        if oldest > schema.SCHEMA:
            raise ConfigurationError(
                f"the catalog was made or upgraded by a newer release (schema {made}); use one "
                f"that knows schema {oldest}: this one knows {schema.SCHEMA}"
            )
        if made < oldest_readable:
            raise ConfigurationError(
                f"the catalog's tables are of schema {made}, and this release needs "
                f"{oldest_readable}; upgrade the catalog first"
            )
        return
    raise CatalogDownError("the catalog's tables do not say of which schema they are")
