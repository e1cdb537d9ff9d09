"""The catalog as coroutines: its calls run in threads of its own, and end in time.

A change that nobody waits for any more changes nothing, unless its commit may have begun: that
alone is told apart, since its caller has to ask again (R6).
"""

from __future__ import annotations

import functools
import logging
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, BinaryIO, TypeVar

from resilient_store import runtime
from resilient_store.catalog.contract import (
    CatalogDownError,
    Change,
    CommitUnknownError,
    Database,
    Dumped,
    Holding,
    Stretch,
    Summary,
)
from resilient_store.catalog.group_commit import GroupCommit
from resilient_store.catalog.location import locate
from resilient_store.catalog.opening import database_at
from resilient_store.model.state import Record, StoreState
from resilient_store.protocol.moment import Moment
from resilient_store.threads import AbandonedError, Abandonment, DaemonPool

logger = logging.getLogger("resilient_store")

A = TypeVar("A")
T = TypeVar("T")

WITHIN_S = 2.0
OPEN_WITHIN_S = 30.0
WHOLE_WITHIN_S = 3600.0  # what its statements may take that wipe it, or load a block of a dump
DUMP_MOVES_WITHIN_S = 120.0  # whatever all of it takes, the next rows come within
# SQLite finds a path in 50 us, on a busy machine in 300; to hear of it through the loop takes as
# long again, or longer. Where the disk itself is slower than this, so is all of a read.
GLANCE_S = 0.001
# One writer at a time is all that SQLite takes; more threads would only wait for each other.
SQLITE_THREADS = (1, 3)
POSTGRESQL_THREADS = (8, 8)
GROUPED = 32  # changes in one transaction, where there is one writer at a time
HIDDEN_AT_ONCE = 10_000


class Gate:
    """What a change passes just before its commit, unless its caller has given up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._given_up = False
        self._passed = False

    def enter(self) -> None:
        """Go on to the commit.

        Raises
        ------
        AbandonedError
            Nobody waits for it any more.
        """
        with self._lock:
            if self._given_up:
                raise AbandonedError
            self._passed = True

    def give_up(self) -> bool:
        """Let nothing through any more; say whether something has gone through."""
        with self._lock:
            self._given_up = True
            return self._passed


class Catalog:
    """One catalog, for a loop's coroutines.

    Parameters
    ----------
    database
        A URL, or a database.
    late_window_s
        Z: how long after it was sent a request may still land.

    Attributes
    ----------
    seen
        The store's state as it was last read or written; None before that.

    Notes
    -----
    Promises: P6.
    """

    def __init__(self, database: str | Database, late_window_s: float = 900.0) -> None:
        self.seen: StoreState | None = None
        self.late_window_s = late_window_s
        self._database: Database | None = None
        self._making = threading.Lock()
        self._threads = SQLITE_THREADS
        self._glance_s = GLANCE_S
        if isinstance(database, str):
            location = locate(database)
            self._make = functools.partial(database_at, location)
            if location.kind == "postgresql":
                self._threads = POSTGRESQL_THREADS
                self._glance_s = 0.0
        else:
            self._database = database
        self._begin()
        _catalogs.add(self)

    def _begin(self) -> None:
        self._writers = DaemonPool("catalog-writer", self._threads[0])
        self._readers = DaemonPool("catalog-reader", self._threads[1])
        self._begin_to_group()

    def _begin_to_group(self) -> None:
        self._group_commit = GroupCommit(GROUPED, self._writers, self.late_window_s)

    # --- one path -------------------------------------------------------------------------

    async def find(self, path: str) -> tuple[Record, StoreState | None]:
        """Load what is known of a path, and of the store where the path has no entry."""
        record, state = await self._read(lambda database: database.find(path), self._glance_s)
        self._saw(state)
        return record, state

    async def change(self, paths: Sequence[str], change: Change[A]) -> A:
        """Let a function change the records of some paths, in one transaction, or none of it.

        Raises
        ------
        CommitUnknownError
            It is changed, or it is not.
        """
        gate = Gate()

        def gated(
            records: tuple[Record, ...], moment: Moment
        ) -> tuple[tuple[Record, ...], tuple[A, StoreState]]:
            after, answer = change(records, moment)
            gate.enter()
            return after, (answer, moment.store)

        # A simulated loop makes each call at a moment of its own.
        if self._threads == SQLITE_THREADS and runtime.has_threads():
            database = self._database or await self._load(self._writers)
            # The writer's, which after a close is another: nothing is waited for in between.
            made = self._group_commit.change(database, paths, gated, WITHIN_S)
            answer, state = await self._answered(made, gate, WITHIN_S)
        else:
            answer, state = await self._write(
                lambda database: database.change(paths, self.late_window_s, gated), gate
            )
        self._saw(state)
        return answer

    # --- the store ------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Make the tables where there are none; refuse a schema that this release cannot use."""
        await self._write(lambda database: database.prepare(), Gate())

    async def state(self) -> StoreState | None:
        """Load what is known of the store; None where it has no identity yet."""
        state = await self._read(lambda database: database.state())
        self._saw(state)
        return state

    async def change_state(
        self, change: Callable[[StoreState | None, float], StoreState]
    ) -> StoreState:
        """Let a function change what is known of the store, given the catalog's clock."""
        gate = Gate()

        def gated(before: StoreState | None, now_s: float) -> StoreState:
            after = change(before, now_s)
            gate.enter()
            return after

        state = await self._write(lambda database: database.change_state(gated), gate)
        self._saw(state)
        return state

    async def raise_counter(self, least: int) -> None:
        """Let the store's counter go on from `least` at least (R7)."""
        await self._write(lambda database: database.raise_counter(least), Gate())

    async def dump(self, file: BinaryIO, number: int) -> Dumped:
        """Write all that is known at one moment into a local file; `number` is the dump's own."""
        abandonment = Abandonment()
        deadline = runtime.Deadline(DUMP_MOVES_WITHIN_S)

        def check() -> None:
            abandonment.check()
            deadline.push(DUMP_MOVES_WITHIN_S)

        try:
            return await self._within(
                self._readers,
                lambda database: database.dump(file, number, check),
                None,
                within_s=deadline,
            )
        finally:
            abandonment.abandoned = True

    async def wipe(self) -> None:
        """Forget all but who the store is, and that nobody may use it now."""
        await self._write(lambda database: database.wipe(), Gate(), WHOLE_WITHIN_S)

    async def load(self, table: str, rows: Sequence[dict[str, Any]]) -> None:
        """Store some rows of a dump, in one transaction."""
        await self._write(lambda database: database.load(table, rows), Gate(), WHOLE_WITHIN_S)

    async def now_s(self) -> float:
        """Return the catalog's clock: the database's, where it has one."""
        return await self._read(lambda database: database.now_s())

    async def close(self) -> None:
        """Give connections back, and let the threads end."""
        try:
            if self._database is not None:
                await self._write(lambda database: database.close(), Gate())
        except CatalogDownError as error:  # its connections end with the process
            logger.warning("the catalog could not be closed: %s", error)
        finally:
            self._group_commit.close()
            self._writers.close()
            self._readers.close()
            self._begin()  # whoever goes on after all finds threads that live

    # --- many paths -----------------------------------------------------------------------

    async def page(self, prefix: str, after: str, limit: int) -> list[Summary]:
        """List objects whose path begins with `prefix` and comes after `after`, in order."""
        return await self._read(lambda database: database.page(prefix, after, limit))

    async def names(self, prefix: str, after: str, limit: int) -> list[str]:
        """List the paths of the same objects, and nothing else of them."""
        return await self._read(lambda database: database.names(prefix, after, limit))

    async def has_below(self, folder: str) -> bool:
        """Say whether an object lies below a folder."""
        return await self._read(lambda database: database.has_below(folder))

    async def present(self, paths: Sequence[str]) -> list[str]:
        """Return those of these paths that are objects."""
        return await self._read(lambda database: database.present(paths))

    async def folded(self, path: str) -> list[str]:
        """Return objects whose path differs from this one only in case or Unicode form."""
        return await self._read(lambda database: database.folded(path))

    async def owed(self, after: str, limit: int) -> list[str]:
        """List paths of which something is not as it should be, or is at work, in order."""
        return await self._read(lambda database: database.owed(after, limit))

    async def queue(self, after: str, limit: int) -> list[Holding]:
        """List the same paths as `owed`, with who holds what."""
        return await self._read(lambda database: database.queue(after, limit))

    async def hidden(self, prefix: str) -> set[str]:
        """Return paths that begin with `prefix` and where what a backend shows is no object.

        They have a tombstone, a void, or are being changed; those among them that are objects
        are listed by `page`.
        """
        found: set[str] = set()
        after = ""
        while some := await self._hidden(prefix, after):
            found.update(some)
            after = some[-1]
        return found

    async def _hidden(self, prefix: str, after: str) -> list[str]:
        return await self._read(lambda database: database.hidden(prefix, after, HIDDEN_AT_ONCE))

    async def working(self, limit: int) -> list[str]:
        """List paths that somebody alive is changing, in order; repair changes no object."""
        return await self._read(lambda database: database.working(database.now_s(), limit))

    async def without(self, backend: str, after: str, limit: int) -> list[str]:
        """List objects of which a backend has no replica row, in order."""
        found: list[str] = []
        while len(found) < limit:
            some, after = await self._without(backend, after, limit - len(found))
            found += some
            if not after:
                break
        return found

    async def _without(self, backend: str, after: str, limit: int) -> tuple[list[str], str]:
        return await self._read(lambda database: database.without(backend, after, limit))

    async def held_by(self, backend: str, after: str, limit: int) -> list[str]:
        """List paths of which a backend has a replica row, in order."""
        return await self._read(lambda database: database.held_by(backend, after, limit))

    async def records(self, paths: Sequence[str]) -> list[Record]:
        """Load what is known of some paths, each as it is at a moment of its own."""
        return await self._read(lambda database: database.records(paths))

    async def holdings(self, prefix: str, after: str, limit: int) -> list[Holding]:
        """List objects with the backends that hold their current version, in order."""
        return await self._read(lambda database: database.holdings(prefix, after, limit))

    async def stretch(self, after: str) -> Stretch:
        """Add up the next objects after a path; the end is reached where `after` is empty."""
        return await self._read(lambda database: database.stretch(after))

    async def tokens(self, tokens: Sequence[str]) -> set[str]:
        """Return those of these staging tokens that an intent or a replica names (R18)."""
        return await self._read(lambda database: database.tokens(tokens))

    # --- threads --------------------------------------------------------------------------

    def _saw(self, state: StoreState | None) -> None:
        if state is not None and state.identity:
            self.seen = state

    def after_fork(self) -> None:
        """Forget who was opening the database, and who was asked to change it: parent's threads."""
        self._making = threading.Lock()
        self._begin_to_group()

    def _open(self) -> Database:
        with self._making:
            if self._database is None:
                self._database = self._make()
            return self._database

    async def _read(self, ask: Callable[[Database], T], glance_s: float = 0.0) -> T:
        return await self._within(self._readers, ask, None, glance_s)

    async def _write(
        self, ask: Callable[[Database], T], gate: Gate, within_s: float | None = None
    ) -> T:
        return await self._within(self._writers, ask, gate, within_s=within_s)

    async def _load(self, pool: DaemonPool) -> Database:
        """Load the database's libraries, which is no answer that is overdue."""
        why = f"in {OPEN_WITHIN_S:g} s"
        try:
            return await runtime.run_blocking(pool, self._open, OPEN_WITHIN_S)
        except runtime.OutOfTimeError:
            pass
        except runtime.NoThreadError as error:
            why = f"at all: {error}"
        raise CatalogDownError(f"the catalog could not be loaded {why}")

    async def _within(
        self,
        pool: DaemonPool,
        ask: Callable[[Database], T],
        gate: Gate | None,
        glance_s: float = 0.0,
        within_s: float | runtime.Deadline | None = None,
    ) -> T:
        within_s = WITHIN_S if within_s is None else within_s
        database = self._database or await self._load(pool)
        asked = runtime.run_blocking(pool, lambda: ask(database), within_s, glance_s)
        return await self._answered(asked, gate, within_s)

    async def _answered(
        self, asked: Awaitable[T], gate: Gate | None, within_s: float | runtime.Deadline
    ) -> T:
        try:
            return await asked
        except runtime.OutOfTimeError:
            how = "in time" if isinstance(within_s, runtime.Deadline) else f"within {within_s:g} s"
            why = f"the catalog did not answer {how}"
        except runtime.NoThreadError as error:
            why = f"the catalog could not be asked: {error}"
        finally:
            passed = gate is not None and gate.give_up()
        if passed:
            raise CommitUnknownError("the catalog did not say in time whether it stored a change")
        raise CatalogDownError(why)


_catalogs: weakref.WeakSet[Catalog] = weakref.WeakSet()


def _begin_anew() -> None:
    for catalog in list(_catalogs):
        catalog.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
