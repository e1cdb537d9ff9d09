"""SQLite: a file with a write-ahead log, for the processes of one machine; or one in memory.

Every writing transaction begins with ``BEGIN IMMEDIATE``: one that first reads and then writes
fails at once when another has committed in between, whatever time-out is set. Locks are waited
for here, in short steps, so that nobody hears that the database is locked.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import attrs

from resilient_store import runtime
from resilient_store.catalog.contract import CatalogDownError, CommitUnknownError
from resilient_store.catalog.driver import WITHIN_S, Asked, Decide, Row
from resilient_store.catalog.location import Location, check_place
from resilient_store.catalog.pool import Pool
from resilient_store.catalog.statements import statements
from resilient_store.errors import ConfigurationError

A = TypeVar("A")

CONNECTIONS = 8
# A waiter looks again after so long; who had to wait itself lets others in for a moment before
# it begins again. A commit on a slow disk takes 20 ms, and what lies between two of one process
# is 50 us: without that it would go on for ever (starvation, seen with eight processes).
LOOK_EVERY_S = 0.001
COURTESY_S = 0.0015
CACHE_KIB = 16 * 1024  # for each connection
JOURNAL_BYTES = 64 << 20  # what is kept of a log that once was longer

# Asked for, and read back: some file systems and builds say no without an error.
PRAGMAS = {
    "journal_mode": ("WAL", "wal"),
    "synchronous": ("FULL", 2),
    "fullfsync": ("ON", 1),  # macOS only: there a plain sync does not reach the disk
    "checkpoint_fullfsync": ("ON", 1),
    "cache_size": (str(-CACHE_KIB), -CACHE_KIB),
    "journal_size_limit": (str(JOURNAL_BYTES), JOURNAL_BYTES),
}

_TRANSIENT = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
_WAY_ON = "move it away with its -wal and -shm, then call restore"
_WORDS = {
    sqlite3.SQLITE_FULL: "its disk is full",
    sqlite3.SQLITE_READONLY: "its file or folder cannot be written to",
    sqlite3.SQLITE_PERM: "its file or folder cannot be written to",
    sqlite3.SQLITE_CANTOPEN: "its file cannot be opened",
    sqlite3.SQLITE_NOTADB: f"its file is no SQLite database, or is damaged: {_WAY_ON}",
    sqlite3.SQLITE_CORRUPT: f"its file is damaged: {_WAY_ON}",
    sqlite3.SQLITE_IOERR: "its disk reports an error",
    sqlite3.SQLITE_NOMEM: "there is no memory left",
}
OTHERWISE = "its tables are not there, or SQLite refuses the call"
# After these SQLite has not written the last frame of a commit, so that it is not one.
_NOT_COMMITTED = {sqlite3.SQLITE_FULL, *_TRANSIENT}


@attrs.frozen(eq=False)
class Handle:
    """One connection, and which file it was opened on."""

    raw: sqlite3.Connection
    identity: tuple[int, int] | None

    def rows(self, asked: Asked) -> list[Row]:
        """Carry out one statement."""
        return self.raw.execute(*asked).fetchall()

    def roll_back(self) -> None:
        """End what is open, which after some errors SQLite has done by itself."""
        if self.raw.in_transaction:
            self.raw.execute("ROLLBACK")


class SqliteDriver:
    """One SQLite database. See `driver.Driver`.

    Parameters
    ----------
    clock
        The catalog's clock; the host's, unless a simulation has its own.
    """

    dialect = "sqlite"

    def __init__(self, location: Location, clock: Callable[[], float] = runtime.host_s) -> None:
        self._location = location
        self._clock = clock
        self._sql = statements(self.dialect)
        self.drawn: Asked = (self._sql.counter, {})
        self._may_create = False
        self._contended = False
        self._memory: Handle | None = None
        if not location.file:
            self._memory = Handle(_connect(":memory:"), None)
            weakref.finalize(self, self._memory.raw.close)
        # A database in memory is its connection's, so it has one only, which is kept.
        size, close = (CONNECTIONS, _close) if location.file else (1, _keep)
        self._pool: Pool[Handle] = Pool(self._open, close, size)
        self._made_in = runtime.process_id()

    def now_s(self) -> float:
        return self._clock()

    def close(self) -> None:
        self._pool.close()

    # --- connections ----------------------------------------------------------------------

    def _open(self, deadline_s: float) -> Handle:
        if self._memory is not None:
            return self._memory
        if self._pool.carried_over:
            raise CatalogDownError(f"{self._shown} was in use when this process was forked")
        mode = "rwc" if self._may_create else "rw"  # a lost file is not made anew in silence
        self._check_not_emptied()
        where = f"file:{quote(self._location.file)}?mode={mode}"
        raw = self._patiently(lambda: _connect(where), deadline_s)
        try:
            self._patiently(lambda: self._make_durable(raw), deadline_s)
        except BaseException:
            raw.close()
            raise
        return Handle(raw, self._identity())

    def _check_not_emptied(self) -> None:
        """Refuse a file that was emptied: opening it, SQLite would throw its log away as well."""
        file = self._location.file
        if _size(file) == 0 and (not self._may_create or _size(f"{file}-wal")):
            raise CatalogDownError(f"{self._shown}: its file was emptied")

    def _make_durable(self, raw: sqlite3.Connection) -> None:
        for name, (value, honoured) in PRAGMAS.items():
            raw.execute(f"PRAGMA {name} = {value}").fetchall()
            (said,) = raw.execute(f"PRAGMA {name}").fetchone()
            if said != honoured:
                raise ConfigurationError(
                    f"SQLite does not honour {name}={value} for {self._shown}, so that what it "
                    "acknowledges could be lost: use PostgreSQL, or a disk of this machine"
                )

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._location.file)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    @contextlib.contextmanager
    def _lend(self, deadline_s: float) -> Iterator[Handle]:
        handle = self._take(deadline_s)
        try:
            yield handle
        finally:
            self._pool.give_back(handle)

    def _take(self, deadline_s: float) -> Handle:
        if self._memory is not None and self._made_in != runtime.process_id():
            raise CatalogDownError("a catalog in memory belongs to the process that made it")
        handle = self._pool.take(deadline_s)
        # What is written to a file that was removed or replaced is lost.
        if handle.identity is not None and handle.identity != self._identity():
            self._pool.drop(handle)
            raise CatalogDownError(f"{self._shown}: its file was removed or replaced")
        return handle

    # --- waiting and errors ---------------------------------------------------------------

    @property
    def _shown(self) -> str:
        return self._location.shown

    def _patiently(
        self, call: Callable[[], A], deadline_s: float, handle: Handle | None = None
    ) -> A:
        """Make a call, on a lent connection or to open one, again until nobody is in its way."""
        while True:
            try:
                return call()
            except sqlite3.Error as error:
                code = _code(error)
            self._contended = True
            if code not in _TRANSIENT or runtime.steady_s() > deadline_s:
                raise self._down(code) if handle is None else self._give_up(handle, code)
            runtime.rest(LOOK_EVERY_S)

    def _down(self, code: int) -> CatalogDownError:
        if code in _TRANSIENT:
            return CatalogDownError(f"{self._shown}: others have held it for {WITHIN_S:g} s")
        return CatalogDownError(f"{self._shown}: {_WORDS.get(code, OTHERWISE)}")

    def _give_up(self, handle: Handle, code: int) -> CatalogDownError:
        """Undo what is open, and do not use again a connection that has met an error."""
        self._undo(handle)
        if code not in _TRANSIENT:
            self._pool.drop(handle)
        return self._down(code)

    def _undo(self, handle: Handle) -> None:
        """End what is open; a connection on which it cannot be ended is not used again."""
        with contextlib.suppress(sqlite3.Error):
            handle.roll_back()
        if handle.raw.in_transaction:
            self._pool.drop(handle)

    # --- reading --------------------------------------------------------------------------

    def ask(self, asked: Asked) -> list[Row]:
        # As `_lend`, without its generator: this is on the way of every read.
        deadline_s = runtime.steady_s() + WITHIN_S
        handle = self._take(deadline_s)
        try:
            return self._patiently(lambda: handle.rows(asked), deadline_s, handle)
        finally:
            self._pool.give_back(handle)

    def together(self, asked: Sequence[Asked]) -> list[list[Row]]:
        def read() -> list[list[Row]]:
            handle.raw.execute("BEGIN")
            try:
                return [handle.rows(one) for one in asked]
            finally:
                handle.roll_back()

        deadline_s = runtime.steady_s() + WITHIN_S
        with self._lend(deadline_s) as handle:
            return self._patiently(read, deadline_s, handle)

    @contextlib.contextmanager
    def still(self) -> Iterator[Callable[[Asked], list[Row]]]:
        """Ask a copy, so that the log can be cleared up meanwhile."""
        with tempfile.TemporaryDirectory(prefix="resilient-") as folder:
            copy = _connect(f"file:{quote(os.path.join(folder, 'copy.db'))}?mode=rwc")
            try:
                self._copy_into(copy)
                yield lambda asked: copy.execute(*asked).fetchall()
            except sqlite3.Error as error:
                code = _code(error)
            else:
                return
            finally:
                copy.close()
        raise CatalogDownError(f"a copy of {self._shown}: {_WORDS.get(code, OTHERWISE)}")

    def _copy_into(self, copy: sqlite3.Connection) -> None:
        deadline_s = runtime.steady_s() + WITHIN_S
        with self._lend(deadline_s) as handle:
            copy.execute("PRAGMA synchronous = OFF")  # nobody needs it after a crash
            # All at one go: step by step it would begin anew after each change of others.
            self._patiently(lambda: handle.raw.backup(copy), deadline_s, handle)

    # --- writing --------------------------------------------------------------------------

    # A SQLite database has one writer at a time: no path needs a lock of its own.
    def transact(
        self,
        _locked: Sequence[str],
        asked: Sequence[Asked],
        decide: Decide,
        /,
        *,
        within_s: float = WITHIN_S,
    ) -> None:
        deadline_s = runtime.steady_s() + within_s
        with self._lend(deadline_s) as handle:
            if self._contended:
                self._contended = False
                runtime.rest(COURTESY_S)
            self._patiently(lambda: handle.raw.execute("BEGIN IMMEDIATE"), deadline_s, handle)
            code = 0
            try:
                self._decide_and_write(handle, asked, decide)
            except sqlite3.Error as error:
                code = _code(error)
            except BaseException:
                self._undo(handle)
                raise
            if code:
                raise self._give_up(handle, code)
            self._commit(handle)

    def _decide_and_write(self, handle: Handle, asked: Sequence[Asked], decide: Decide) -> None:
        counter = _Counter(handle, self._sql.counter)
        rows = [handle.rows(one) for one in asked]
        try:
            writes = decide(rows, self._clock(), counter.draw)
        except BaseException:
            # What was drawn stays used; else nothing has been written so far.
            self._keep_numbers(handle, counter)
            handle.raw.execute("COMMIT")
            raise
        for text, many in _by_statement(writes):
            if len(many) == 1:
                handle.raw.execute(text, many[0])
            else:
                handle.raw.executemany(text, many)
        self._keep_numbers(handle, counter)

    def _keep_numbers(self, handle: Handle, counter: _Counter) -> None:
        if counter.last:
            handle.raw.execute(*self._go_on_after(counter.last))

    def _go_on_after(self, last: int) -> Asked:
        return self._sql.put_counter, {"name": "ids", "value": last}

    def _commit(self, handle: Handle) -> None:
        try:
            handle.raw.execute("COMMIT")
        except sqlite3.Error as error:
            code = _code(error)
        else:
            return
        down = self._give_up(handle, code)
        if code in _NOT_COMMITTED:
            raise down
        # A last frame that was written and not synced may yet be found after a crash.
        raise CommitUnknownError(f"{down}; what was to be stored may be, or not")

    def raise_counter(self, least: int) -> None:
        def decide(rows: list[list[Row]], _: float, __: Callable[[], int]) -> list[Asked]:
            ((last,),) = rows[0] or [(0,)]
            return [self._go_on_after(least - 1)] if least - 1 > last else []

        self.transact((), [(self._sql.counter, {})], decide)

    def create(self, statements: Sequence[Asked], there: Asked) -> None:
        check_place(self._location)
        self._may_create = True
        try:
            if self._identity() is not None and self.ask(there):
                return
            self.transact((), [there], lambda rows, _, __: () if rows[0] else statements)
        finally:
            self._may_create = False


class _Counter:
    """Draws numbers within a transaction, and remembers the last for its end."""

    def __init__(self, handle: Handle, statement: str) -> None:
        self._handle = handle
        self._statement = statement
        self.last = 0  # none is drawn so far

    def draw(self) -> int:
        if not self.last:
            ((self.last,),) = self._handle.rows((self._statement, {})) or [(0,)]
        self.last += 1
        return self.last


def _by_statement(writes: Sequence[Asked]) -> Iterable[tuple[str, list[dict[str, Any]]]]:
    """Gather what one statement is to write; no two of one transaction write the same row."""
    gathered: dict[str, list[dict[str, Any]]] = {}
    for text, parameters in writes:
        gathered.setdefault(text, []).append(parameters)
    return gathered.items()


def _connect(where: str) -> sqlite3.Connection:
    return sqlite3.connect(
        where, timeout=0, isolation_level=None, check_same_thread=False, uri=True
    )


def _close(handle: Handle) -> None:
    with contextlib.suppress(sqlite3.Error):
        handle.raw.close()


def _keep(handle: Handle) -> None:
    """Leave a database in memory be: it ends with its driver."""


def _size(file: str) -> int | None:
    try:
        return os.stat(file).st_size
    except OSError:
        return None


def _code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code; 1, a plain error, where Python itself complains."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
