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
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import psycopg
from psycopg.conninfo import make_conninfo

from resilient_store import runtime
from resilient_store.catalog.contract import CatalogDownError, CommitUnknownError
from resilient_store.catalog.driver import STORE, WITHIN_S, Asked, Decide, Row
from resilient_store.catalog.location import Location
from resilient_store.catalog.pool import Pool
from resilient_store.catalog.schema import SEQUENCE
from resilient_store.catalog.statements import statements
from resilient_store.catalog.wire import Connection, LostError, RefusedError, ServerError
from resilient_store.errors import ConfigurationError

A = TypeVar("A")

CONNECTIONS = 8
RETRY_AFTER_S = 0.005
# The server gives up a lock so long before its client does, so that no abandoned connection waits
# for it; and after so long a transaction whose client was stopped, for which others wait.
GIVE_UP_S = 0.2
IDLE_MS = 5000
PAGE_WITHIN_S = 30.0  # what a page of a dump may take

CONNECTION = {
    "application_name": "resilient_store",
    "client_encoding": "UTF8",
    "tcp_user_timeout": str(int(WITHIN_S * 1000)),
}

_LOCKS = zlib.crc32(b"resilient_store") - (1 << 31)  # tells our locks from other programs'
_ALL_PATHS = 0
_BEGIN: Asked = ("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", {})
_SNAPSHOT: Asked = ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", {})
_COMMIT: Asked = ("COMMIT", {})
_ROLLBACK: Asked = ("ROLLBACK", {})
# `true`: for this transaction alone.
_LIMITS = (
    "SELECT set_config('lock_timeout', %(lock)s::text, true), "
    "set_config('idle_in_transaction_session_timeout', %(idle)s::text, true)"
)
_LOCK_STORE: Asked = (f"SELECT pg_advisory_xact_lock({_LOCKS}, {_ALL_PATHS})", {})
_SHARE_STORE: Asked = (f"SELECT pg_advisory_xact_lock_shared({_LOCKS}, {_ALL_PATHS})", {})
_LOCK_PATH = f"SELECT pg_advisory_xact_lock({_LOCKS}, %(key)s::integer)"
_DRAW: Asked = (f"SELECT nextval('{SEQUENCE}')", {})
_DRAWN: Asked = (f"SELECT last_value FROM {SEQUENCE}", {})  # noqa: S608 - our own name
_GO_ON = f"SELECT setval('{SEQUENCE}', %(least)s::bigint, false)"
_ASKED_FOR = ("synchronous_commit", "fsync", "server_encoding")
_DURABLE: Asked = ("SELECT " + ", ".join(f"current_setting('{name}')" for name in _ASKED_FOR), {})

# Races: serialization failure, deadlock, a row that another inserted.
_RACES = {"40001", "40P01", "23505"}
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


class PostgresDriver:
    """One PostgreSQL database. See `driver.Driver`."""

    dialect = "postgresql"
    drawn = _DRAWN

    def __init__(self, location: Location) -> None:
        self._location = location
        self._sql = statements(self.dialect)
        self._conninfo = _conninfo(location)
        self._pool: Pool[Connection] = Pool(self._open, Connection.close, CONNECTIONS)

    def now_s(self) -> float:
        ((now_s,),) = self.ask((self._sql.clock, {}))
        return float(now_s)

    def close(self) -> None:
        self._pool.close()

    # --- connections ----------------------------------------------------------------------

    def _open(self, deadline_s: float) -> Connection:
        try:
            return Connection.open(self._conninfo, deadline_s)
        except RefusedError as error:
            problem = str(error)
        raise CatalogDownError(f"{self._location.shown} {problem}")

    def _carry_out(self, work: Callable[[Connection], A], within_s: float = WITHIN_S) -> A:
        """Do work on a connection; again where a race was lost, or the connection was stale."""
        deadline_s = runtime.steady_s() + within_s
        fresh = False
        while True:
            code = ""
            with self._pool.lend(deadline_s, fresh=fresh) as connection:
                connection.deadline_s = deadline_s
                try:
                    return work(connection)
                except ServerError as error:
                    code = error.code
                except LostError:
                    pass
                except BaseException:  # whoever decides has raised, or we have
                    self._recover(connection)
                    raise
                lost = not self._recover(connection)
            in_time = runtime.steady_s() < deadline_s
            if lost and not fresh and in_time:
                fresh = True  # the server may only have been restarted since
            elif code in _RACES and not lost and in_time:
                runtime.rest(RETRY_AFTER_S)
            else:
                raise self._down(code)

    def _recover(self, connection: Connection) -> bool:
        """End what is open on a connection; say whether it can be used again."""
        with contextlib.suppress(ServerError, LostError):
            if connection.is_open and not connection.is_idle:
                connection.run([_ROLLBACK])
        if not connection.is_idle:
            self._pool.drop(connection)
        return connection.is_idle

    def _down(self, code: str) -> CatalogDownError:
        words = _WORDS.get(code) or (f"it refuses the call (SQLSTATE {code})" if code else "")
        if words:
            return CatalogDownError(f"{self._location.shown}: {words}")
        return CatalogDownError(f"{self._location.shown} does not answer")

    # --- reading --------------------------------------------------------------------------

    def ask(self, asked: Asked) -> list[Row]:
        return self._carry_out(lambda connection: connection.run([asked])[0])

    def together(self, asked: Sequence[Asked]) -> list[list[Row]]:
        whole = [_SNAPSHOT, *asked, _COMMIT]
        return self._carry_out(lambda connection: connection.run(whole))[1:-1]

    @contextlib.contextmanager
    def still(self) -> Iterator[Callable[[Asked], list[Row]]]:
        code = ""
        with self._pool.lend(runtime.steady_s() + WITHIN_S, fresh=True) as connection:

            def ask(asked: Asked) -> list[Row]:
                connection.deadline_s = runtime.steady_s() + PAGE_WITHIN_S
                return connection.run([asked])[0]

            try:
                ask(_SNAPSHOT)
                yield ask
            except ServerError as error:
                code = error.code
            except LostError:
                pass
            else:
                return
            finally:
                self._recover(connection)
        raise self._down(code)

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

        def work(connection: Connection) -> None:
            opening = [_BEGIN, _limits(connection.deadline_s), *locks]
            rows = connection.run([*opening, *asked, (self._sql.clock, {})])[len(opening) :]
            ((now_s,),) = rows.pop()
            drawn: list[int] = []

            def draw() -> int:
                (((number,),),) = connection.run([_DRAW])
                drawn.append(number)
                return drawn[-1]

            try:
                writes = decide(rows, now_s, draw)
            except (ServerError, LostError):
                raise
            except BaseException:
                if drawn:  # it stays used, also after a crash of the server
                    with contextlib.suppress(ServerError, LostError):
                        connection.run([_COMMIT])
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
        except ServerError:
            if connection.is_open:
                raise
        except LostError:
            pass
        else:
            return
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


def _limits(deadline_s: float) -> Asked:
    left_s = deadline_s - runtime.steady_s() - GIVE_UP_S
    return _LIMITS, {"lock": f"{max(1, int(1000 * left_s))}", "idle": str(IDLE_MS)}


def _conninfo(location: Location) -> bytes:
    try:
        return make_conninfo("", **{**location.server, **CONNECTION}).encode()
    except psycopg.Error:
        pass  # its text may repeat what is secret
    raise ConfigurationError(
        "the PostgreSQL catalog's URL has an option that PostgreSQL does not know"
    )
