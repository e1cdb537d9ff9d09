"""PostgreSQL: for the processes of many machines.

Nothing outlives a transaction on the server (no SET, no session lock, no prepared statement), so
that a pooler that gives each transaction another connection will do. Changes of one path wait for
each other by a lock that ends with the transaction and needs no row; a change of the store as a
whole waits for all of them. Statements go out together: a change is two round trips and its
numbers. Where the server does not answer, the socket is closed in time: it cannot be relied on
to notice by itself that it hangs.
"""

from __future__ import annotations

import contextlib
import functools
import selectors
import zlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

from resilient_store import runtime
from resilient_store.catalog.contract import CatalogDownError, CommitUnknownError
from resilient_store.catalog.driver import STORE, WITHIN_S, Asked, Decide, Row
from resilient_store.catalog.location import Location
from resilient_store.catalog.pool import Pool
from resilient_store.catalog.schema import SEQUENCE
from resilient_store.catalog.statements import statements
from resilient_store.errors import ConfigurationError

A = TypeVar("A")

CONNECTIONS = 8
RETRY_AFTER_S = 0.005
# By then the server gives up a lock that is not to be had (so that no abandoned connection queues
# for it), and a transaction whose client was stopped (so that nobody waits for it any longer).
LOCK_MS = 1200
IDLE_MS = 5000

CONNECTION = {
    "application_name": "resilient_store",
    "client_encoding": "UTF8",
    "connect_timeout": "2",
    "tcp_user_timeout": str(int(WITHIN_S * 1000)),
}

_LOCKS = zlib.crc32(b"resilient_store") - (1 << 31)  # tells our locks from other programs'
_ALL_PATHS = 0
_BEGIN: Asked = ("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", {})
_SNAPSHOT: Asked = ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", {})
_COMMIT: Asked = ("COMMIT", {})
_ROLLBACK: Asked = ("ROLLBACK", {})
# `true`: for this transaction alone.
_SET = "set_config('{}', '{}', true)"
_LIMITED = (("lock_timeout", LOCK_MS), ("idle_in_transaction_session_timeout", IDLE_MS))
_LIMITS: Asked = (f"SELECT {', '.join(_SET.format(*limit) for limit in _LIMITED)}", {})
_LOCK_STORE: Asked = (f"SELECT pg_advisory_xact_lock({_LOCKS}, {_ALL_PATHS})", {})
_SHARE_STORE: Asked = (f"SELECT pg_advisory_xact_lock_shared({_LOCKS}, {_ALL_PATHS})", {})
_LOCK_PATH = f"SELECT pg_advisory_xact_lock({_LOCKS}, %(key)s::integer)"
_DRAW: Asked = (f"SELECT nextval('{SEQUENCE}')", {})
_DRAWN: Asked = (f"SELECT last_value FROM {SEQUENCE}", {})  # noqa: S608 - our own name
_GO_ON = f"SELECT setval('{SEQUENCE}', %(least)s::bigint, false)"
_ASKED_FOR = ("synchronous_commit", "fsync", "server_encoding")
_DURABLE: Asked = ("SELECT " + ", ".join(f"current_setting('{name}')" for name in _ASKED_FOR), {})

# Races: serialization failure, deadlock, a row that another inserted, a lock that was held.
_RACES = {"40001", "40P01", "23505", "55P03"}
_WORDS = {
    "25006": "it takes no changes (a standby, or set to read only)",
    "3D000": "there is no such database",
    "42501": "this user may not do that",
    "42P01": "its tables are not there",
    "53100": "its disk is full",
    "53300": "it takes no more connections",
    "55P03": f"others have held it for {WITHIN_S:g} s",
    "57014": "it cancelled the call",
}


class LateError(Exception):
    """The server did not answer in time, and its connection was closed."""


class Connection(psycopg.Connection[Row]):
    """A connection all of whose waits end at a moment that is set for each call."""

    deadline_s = 0.0

    def wait(self, gen: Any, *_: Any, **__: Any) -> Any:
        """Do as psycopg's own does, which waits for ever, or for each answer anew."""
        try:
            wanted = next(gen)
            with _Selector() as selector:
                selector.register(self.pgconn.socket, wanted)
                while True:
                    ready = selector.select(max(0.0, self.deadline_s - runtime.steady_s()))
                    if not ready:
                        self.pgconn.finish()
                        raise LateError
                    before, wanted = wanted, gen.send(ready[0][1])
                    if wanted != before:
                        selector.modify(self.pgconn.socket, wanted)
        except StopIteration as end:
            return end.value

    def rows(self, asked: Asked) -> list[Row]:
        """Carry out one statement."""
        return _rows_of(self.execute(asked[0], asked[1] or None))

    def run(self, asked: Sequence[Asked]) -> list[list[Row]]:
        """Carry out statements in one round trip; after one that fails none is carried out."""
        cursors: list[psycopg.Cursor[Row]] = []
        errors: list[psycopg.Error | LateError] = []
        try:
            with self.pipeline():
                try:
                    cursors += (self.execute(text, given or None) for text, given in asked)
                except (psycopg.Error, LateError) as error:
                    errors.append(error)  # kept from psycopg, which would log it, and raise another
        except (psycopg.Error, LateError) as error:
            errors.append(error)
        if errors:
            raise errors[0]
        return [_rows_of(cursor) for cursor in cursors]

    @property
    def lost(self) -> bool:
        """Whether nothing can be asked on it any more."""
        return self.closed or self.pgconn.status != pq.ConnStatus.OK


# No descriptor of its own for each wait, and no limit on their numbers where there is a choice.
_Selector: type[selectors.BaseSelector] = getattr(
    selectors, "PollSelector", selectors.SelectSelector
)


def _rows_of(cursor: psycopg.Cursor[Row]) -> list[Row]:
    return cursor.fetchall() if cursor.description else []


class PostgresDriver:
    """One PostgreSQL database. See `driver.Driver`."""

    dialect = "postgresql"

    def __init__(self, location: Location) -> None:
        self._location = location
        self._sql = statements(self.dialect)
        self._conninfo = _conninfo(location)
        self._pool: Pool[Connection] = Pool(self._open, _close, CONNECTIONS)

    def now_s(self) -> float:
        ((now_s,),) = self.ask((self._sql.clock, {}))
        return float(now_s)

    def close(self) -> None:
        self._pool.close()

    # --- connections ----------------------------------------------------------------------

    def _open(self, deadline_s: float) -> Connection:
        started = pq.PGconn.connect_start(self._conninfo)
        problem = _connected(started, deadline_s)
        if problem:
            started.finish()
            raise CatalogDownError(f"{self._location.shown} {problem}")
        started.nonblocking = 1
        connection = Connection(started)
        connection.deadline_s = deadline_s
        connection.prepare_threshold = None  # a pooler's connections know of no statement
        connection.autocommit = True  # transactions begin and end where it is said
        return connection

    def _carry_out(self, work: Callable[[Connection], A], within_s: float = WITHIN_S) -> A:
        """Do work on a connection; again where a race was lost, or the connection was stale."""
        deadline_s = runtime.steady_s() + within_s
        fresh = False
        while True:
            with self._pool.lend(deadline_s, fresh=fresh) as connection:
                connection.deadline_s = deadline_s
                try:
                    return work(connection)
                except (psycopg.Error, LateError) as error:
                    code = _code(error)
                    lost = self._recover(connection)
            in_time = runtime.steady_s() < deadline_s
            if lost and not fresh and in_time:
                fresh = True  # the server may only have been restarted since
            elif code in _RACES and not lost and in_time:
                runtime.rest(RETRY_AFTER_S)
            else:
                raise self._down(code)

    def _recover(self, connection: Connection) -> bool:
        """End what is open on a connection; say whether it is lost."""
        with contextlib.suppress(psycopg.Error, LateError):
            if connection.pgconn.transaction_status != pq.TransactionStatus.IDLE:
                connection.run([_ROLLBACK])
        if connection.lost or connection.pgconn.transaction_status != pq.TransactionStatus.IDLE:
            self._pool.drop(connection)
            return True
        return False

    def _down(self, code: str) -> CatalogDownError:
        words = _WORDS.get(code) or (f"it refuses the call (SQLSTATE {code})" if code else "")
        if words:
            return CatalogDownError(f"{self._location.shown}: {words}")
        return CatalogDownError(f"{self._location.shown} does not answer")

    # --- reading --------------------------------------------------------------------------

    def ask(self, asked: Asked) -> list[Row]:
        return self._carry_out(lambda connection: connection.rows(asked))

    def together(self, asked: Sequence[Asked]) -> list[list[Row]]:
        whole = [_SNAPSHOT, *asked, _COMMIT]
        return self._carry_out(lambda connection: connection.run(whole))[1:-1]

    # --- writing --------------------------------------------------------------------------

    def transact(
        self,
        locked: Sequence[str],
        asked: Sequence[Asked],
        decide: Decide,
        *,
        within_s: float = WITHIN_S,
    ) -> None:
        locks = _locks(locked)
        opening = [_BEGIN, _LIMITS, *locks, *asked, (self._sql.clock, {})]

        def work(connection: Connection) -> None:
            rows = connection.run(opening)[2 + len(locks) :]
            ((now_s,),) = rows.pop()
            drawn: list[int] = []

            def draw() -> int:
                ((number,),) = connection.rows(_DRAW)
                drawn.append(number)
                return int(number)

            try:
                writes = decide(rows, now_s, draw)
            except (psycopg.Error, LateError):
                raise
            except BaseException:
                # What was drawn stays used, also after a crash of the server.
                with contextlib.suppress(psycopg.Error, LateError):
                    connection.run([_COMMIT if drawn else _ROLLBACK])
                self._recover(connection)
                raise
            if writes or drawn:
                self._commit(connection, writes)
            else:
                connection.run([_ROLLBACK])

        self._carry_out(work, within_s)

    def _commit(self, connection: Connection, writes: Sequence[Asked]) -> None:
        """Write and commit in one go; an error that the server itself tells is no commit."""
        try:
            connection.run([*writes, _COMMIT])
        except (psycopg.Error, LateError) as error:
            if _code(error) and not connection.lost:
                raise
        else:
            return
        self._recover(connection)
        raise CommitUnknownError(
            f"{self._location.shown} did not say whether it stored a change; it may have"
        )

    def raise_counter(self, least: int) -> None:
        def decide(rows: list[list[Row]], _: float, __: Callable[[], int]) -> list[Asked]:
            ((last,),) = rows[0]
            return [(_GO_ON, {"least": least})] if least > last else []

        self.transact([STORE], [_DRAWN], decide)

    def create(self, statements: Sequence[Asked], there: Asked) -> None:
        ((synchronous, fsync, encoding),) = self.ask(_DURABLE)
        if synchronous == "off" or fsync == "off":
            raise ConfigurationError(
                f"{self._location.shown} acknowledges what it may lose: set fsync and "
                "synchronous_commit to on for the catalog's database"
            )
        if encoding != "UTF8":
            raise ConfigurationError(
                f"{self._location.shown}: the catalog's database must be made with ENCODING 'UTF8'"
            )
        if not self.ask(there):
            self.transact([STORE], [there], lambda rows, _, __: () if rows[0] else statements)


@functools.lru_cache(maxsize=4096)
def _key(path: str) -> int:
    """Return a path's lock: one that is another's, too, only makes one wait for the other."""
    key = zlib.crc32(path.encode()) - (1 << 31)
    return key if key != _ALL_PATHS else 1


def _locks(locked: Sequence[str]) -> list[Asked]:
    """Return what to lock, in an order that is the same for everybody: so nobody deadlocks."""
    if STORE in locked:
        return [_LOCK_STORE]
    return [_SHARE_STORE, *((_LOCK_PATH, {"key": key}) for key in sorted(set(map(_key, locked))))]


def _conninfo(location: Location) -> bytes:
    try:
        return make_conninfo("", **{**location.server, **CONNECTION}).encode()
    except psycopg.Error:
        pass  # its text may repeat what is secret
    raise ConfigurationError(
        "the PostgreSQL catalog's URL has an option that PostgreSQL does not know"
    )


def _connected(started: pq.abc.PGconn, deadline_s: float) -> str:
    """See a connection made; return what went wrong, in our own words, or nothing."""
    while started.status != pq.ConnStatus.BAD:
        polled = started.connect_poll()
        if polled == pq.PollingStatus.OK:
            return ""
        if polled == pq.PollingStatus.FAILED:
            break
        wanted = selectors.EVENT_READ
        if polled == pq.PollingStatus.WRITING:
            wanted = selectors.EVENT_WRITE
        with _Selector() as selector:
            selector.register(started.socket, wanted)
            if not selector.select(max(0.0, deadline_s - runtime.steady_s())):
                return f"did not answer within {WITHIN_S:g} s"
    said = started.error_message
    if b"authentication" in said or b"password" in said:
        return "refuses the user or the password"
    return "cannot be reached"


def _close(connection: Connection) -> None:
    with contextlib.suppress(psycopg.Error, OSError):
        connection.close()


def _code(error: Exception) -> str:
    return getattr(error, "sqlstate", None) or ""
